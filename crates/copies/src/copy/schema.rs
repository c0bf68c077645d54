//! What a database is made of but rows, by PostgreSQL's own programs.

use postgres::client_program;
use tempfile::TempDir;

use super::{CopyError, Options};
use crate::database::Database;

/// A schema in PostgreSQL's own form, in a folder that goes with it.
pub struct Schema {
    folder: TempDir,
}

impl Schema {
    pub async fn dump(source: &Database, snapshot: &str, options: &Options) -> Result<Self, CopyError> {
        let folder = tempfile::Builder::new()
            .prefix("schema")
            .tempdir_in(&options.work_dir)
            .map_err(CopyError::WorkDir)?;
        let mut arguments = words(
            "--format=custom --schema-only --no-owner --no-privileges --no-publications --no-subscriptions \
             --no-security-labels --no-tablespaces --lock-wait-timeout=10000",
        );
        arguments.push(format!("--snapshot={snapshot}"));
        arguments.push(format!("--file={}", folder.path().join("schema").display()));
        let schema = Self { folder };
        program(options, "pg_dump", arguments, source).await?.map_err(CopyError::Schema)?;
        Ok(schema)
    }

    pub async fn restore_tables(&self, target: &Database, options: &Options) -> Result<(), CopyError> {
        let arguments = words("--section=pre-data --single-transaction");
        self.restore(arguments, target, options).await?.map_err(CopyError::Schema)
    }

    pub async fn restore_constraints(&self, target: &Database, options: &Options) -> Result<(), CopyError> {
        let mut arguments = words("--section=post-data --exit-on-error");
        arguments.push(format!("--jobs={}", options.jobs.max(1)));
        self.restore(arguments, target, options).await?.map_err(CopyError::Constraints)
    }

    async fn restore(
        &self,
        mut arguments: Vec<String>,
        target: &Database,
        options: &Options,
    ) -> Result<Result<(), postgres::ToolError>, CopyError> {
        arguments.extend(words("--no-owner --no-privileges"));
        arguments.push(format!("--dbname={}", target.name));
        if let Some(role) = &target.role {
            arguments.push(format!("--role={role}"));
        }
        arguments.push(self.folder.path().join("schema").display().to_string());
        program(options, "pg_restore", arguments, target).await
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

async fn program(
    options: &Options,
    name: &'static str,
    arguments: Vec<String>,
    database: &Database,
) -> Result<Result<(), postgres::ToolError>, CopyError> {
    let (binaries, environment) = (options.binaries.clone(), database.environment());
    let ended =
        tokio::task::spawn_blocking(move || client_program(&binaries, name, &arguments, &environment)).await;
    Ok(ended.map_err(CopyError::Task)?.map(drop))
}

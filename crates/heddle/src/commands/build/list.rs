use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{or_dash, table};
use crate::time::local;

/// List builds, newest first
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle build list demo")]
pub struct List {
    /// Only this project's
    project: Option<String>,
}

impl List {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let builds = context.api()?.builds(self.project.as_deref()).await?;
        context.output.result(&builds, |builds| {
            let rows = builds.iter().map(|build| {
                [
                    build.id.to_string(),
                    build.project.clone(),
                    build.state.to_string(),
                    or_dash(build.odoo_version.as_deref()),
                    build.modules.join(","),
                    local(build.created_at),
                ]
            });
            let empty = "No builds yet. Make one: heddle build create PROJECT --odoo PATH";
            table(["id", "project", "state", "odoo", "modules", "created"], rows, empty)
        })
    }
}

//! Databases as earlier Heddles have left them: migrated up to a point, and
//! filled with what was kept then (`upgrade/NNNN.sql`, run after its migration).

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tokio_postgres::Client;

use crate::scratch::Scratch;

/// The state of the first Heddle that others may have used.
pub const FIRST: &str = "0006";

pub struct Migration {
    pub name: String,
    sql: String,
    /// What was kept by the Heddle whose last migration it was.
    rows: Option<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../database")
}

/// All that there are, in order.
pub fn migrations() -> Vec<Migration> {
    let mut files: Vec<PathBuf> = fs::read_dir(root().join("migrations"))
        .expect("list migrations")
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|file| {
            let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
            let rows = root().join("tests/it/upgrade").join(&name[..4]).with_extension("sql");
            Migration { sql: fs::read_to_string(&file).unwrap(), rows: fs::read_to_string(rows).ok(), name }
        })
        .collect()
}

/// Applies one, with its place in the ledger, as that Heddle did.
pub async fn apply(admin: &Client, place: usize, migration: &Migration) {
    let fault = |error: tokio_postgres::Error| panic!("{}: {error:?}", migration.name);
    admin.batch_execute("BEGIN; SET LOCAL ROLE heddle_owner").await.unwrap();
    admin.batch_execute(&migration.sql).await.unwrap_or_else(fault);
    let number = i32::try_from(place + 1).unwrap();
    let checksum = Sha256::digest(&migration.sql).to_vec();
    let note = "INSERT INTO ops.schema_migrations (number, name, checksum) VALUES ($1, $2, $3)";
    admin.execute(note, &[&number, &migration.name, &checksum]).await.unwrap();
    admin.batch_execute("COMMIT").await.unwrap();
}

/// Puts in what was kept then, where the migration has something to put in.
pub async fn fill(admin: &Client, migration: &Migration) {
    if let Some(rows) = &migration.rows {
        admin
            .batch_execute(rows)
            .await
            .unwrap_or_else(|error| panic!("rows of {}: {error:?}", migration.name));
    }
}

/// A database of the first Heddle, in use.
pub async fn first() -> Scratch {
    let scratch = Scratch::empty().await;
    let _turn = scratch.migrating();
    let admin = scratch.admin().await;
    for part in ["roles.sql", "ledger.sql"] {
        let sql = fs::read_to_string(root().join("roles").join(part)).unwrap();
        if part == "ledger.sql" {
            admin.batch_execute("SET ROLE heddle_owner").await.unwrap();
        }
        admin.batch_execute(&sql).await.unwrap();
    }
    admin.batch_execute("RESET ROLE").await.unwrap();
    for (place, migration) in migrations().iter().enumerate() {
        if migration.name.as_str() > FIRST && !migration.name.starts_with(FIRST) {
            break;
        }
        apply(&admin, place, migration).await;
        fill(&admin, migration).await;
    }
    scratch
}

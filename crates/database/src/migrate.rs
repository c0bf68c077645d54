//! Numbered migrations, each applied once, in one transaction, under a lock.

use sha2::{Digest, Sha256};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use crate::query::{Columns, Query, Read, query};
use crate::{Error, On, Result};

struct Migration {
    name: &'static str,
    sql: &'static str,
}

macro_rules! migrations {
    ($($name:literal)*) => {
        &[$(Migration { name: $name, sql: include_str!(concat!("../migrations/", $name, ".sql")) }),*]
    };
}

/// In order; a migration's number is its place from 1. Never changed once
/// released: their checksums are in the databases they were applied to.
const MIGRATIONS: &[Migration] = migrations! {
    "0001_projects"
    "0002_tenants"
    "0003_history"
    "0004_runs"
    "0005_users"
    "0006_details"
    "0007_access"
    "0008_queue"
    "0009_audit"
    "0010_approvals"
    "0011_secrets"
    "0012_schedules"
    "0013_alerts"
    "0014_edits"
    "0015_audited"
    "0016_retention"
    "0017_leaner_queue"
    "0018_peeks"
    "0019_streaming"
};

const ROLES: &str = include_str!("../roles/roles.sql");
const EXCESS: &str = include_str!("../roles/excess.sql");
const LEDGER: &str = include_str!("../roles/ledger.sql");
const APPLIED: Query = query!("schema/migrations");
const APPLY: Query = query!("schema/applied");

/// One migration at a time in one database, whoever starts it.
const LOCK: i64 = 0x6865_6464_6c65;

/// What `migrate` did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// The names of the migrations that were applied now.
    pub applied: Vec<&'static str>,
}

/// Makes the roles if they are missing, sets the password of `heddle_control`
/// and applies the migrations that the database lacks. `admin` is a superuser,
/// or a role that may create roles and, in this database, schemas. A second
/// call changes nothing but the password.
pub async fn migrate(admin: &mut Client, control_password: &str) -> Result<Migrated> {
    admin.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await.map_err(Error::Roles)?;
    let done = migrate_locked(admin, control_password).await;
    // A lost connection has let go of the lock already.
    let _ = admin.batch_execute("RESET ROLE").await;
    let _ = admin.execute("SELECT pg_advisory_unlock($1)", &[&LOCK]).await;
    done
}

/// As `migrate`, over a connection of its own. `url` is the administrator's.
pub async fn migrate_at(url: &str, control_password: &str) -> Result<Migrated> {
    let config: tokio_postgres::Config = url.parse().map_err(Error::Address)?;
    let (mut admin, connection) = config.connect(NoTls).await.map_err(Error::Connect)?;
    let driven = tokio::spawn(connection);
    let done = migrate(&mut admin, control_password).await;
    drop(admin);
    // Its errors were the queries' errors.
    let _ = driven.await;
    done
}

async fn migrate_locked(admin: &mut Client, control_password: &str) -> Result<Migrated> {
    // Looked at first: a newer Heddle's roles are not for this one to change.
    if admin
        .query_one("SELECT to_regclass('ops.schema_migrations') IS NOT NULL", &[])
        .await
        .map_err(Error::Roles)?
        .get(0)
    {
        compare(&applied(admin).await?)?;
    }
    admin.batch_execute(ROLES).await.map_err(Error::Roles)?;
    // Only a verifier goes to the server: the password is in no log.
    let verifier = postgres_protocol::password::scram_sha_256(control_password.as_bytes());
    admin
        .batch_execute(&format!("ALTER ROLE heddle_control LOGIN PASSWORD '{verifier}'"))
        .await
        .map_err(Error::Roles)?;
    let excess = admin.query(EXCESS, &[]).await.map_err(Error::Roles)?;
    if !excess.is_empty() {
        let rights: Vec<&str> = excess.iter().map(|row| row.get(0)).collect();
        return Err(Error::ExcessRights(rights.join(" and ")));
    }
    admin.batch_execute("SET ROLE heddle_owner").await.map_err(Error::Roles)?;
    admin.batch_execute(LEDGER).await.map_err(Error::Roles)?;
    let known = compare(&applied(admin).await?)?;
    let mut names = Vec::new();
    for (place, migration) in MIGRATIONS.iter().enumerate().skip(known) {
        apply(admin, place, migration)
            .await
            .map_err(|source| Error::Migration { name: migration.name.to_owned(), source })?;
        tracing::info!(migration = migration.name, "applied");
        names.push(migration.name);
    }
    Ok(Migrated { applied: names })
}

async fn apply(admin: &mut Client, place: usize, migration: &Migration) -> Result<(), tokio_postgres::Error> {
    let transaction = admin.transaction().await?;
    transaction.batch_execute(migration.sql).await?;
    let checksum = checksum(migration);
    transaction.execute(APPLY.sql, &[&number(place), &migration.name, &&checksum[..]]).await?;
    transaction.commit().await
}

fn number(place: usize) -> i32 {
    i32::try_from(place + 1).unwrap_or(i32::MAX)
}

fn checksum(migration: &Migration) -> [u8; 32] {
    Sha256::digest(migration.sql).into()
}

struct Applied {
    number: i32,
    name: String,
    checksum: Vec<u8>,
}

impl Read for Applied {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            number: columns.get("number")?,
            name: columns.get("name")?,
            checksum: columns.get("checksum")?,
        })
    }
}

async fn applied(admin: &Client) -> Result<Vec<Applied>> {
    let rows =
        admin.query(APPLIED.sql, &[]).await.map_err(|source| Error::Query { query: APPLIED.name, source })?;
    rows.iter().map(|row| Applied::read(&Columns::new(APPLIED.name, row))).collect()
}

/// How many migrations have been applied; they are the first ones, unchanged.
fn compare(applied: &[Applied]) -> Result<usize> {
    if let Some(last) = applied.last()
        && last.number > number(MIGRATIONS.len() - 1)
    {
        return Err(Error::Newer { found: last.number, known: number(MIGRATIONS.len() - 1) });
    }
    for (place, row) in applied.iter().enumerate() {
        let same = MIGRATIONS.get(place).is_some_and(|migration| {
            row.number == number(place) && row.name == migration.name && row.checksum == checksum(migration)
        });
        if !same {
            return Err(Error::Changed { name: row.name.clone() });
        }
    }
    Ok(applied.len())
}

/// Refuses a database that is not at this Heddle's last migration.
pub(crate) async fn check(on: &impl On) -> Result<()> {
    let applied: Vec<Applied> = match APPLIED.all(on, &[]).await {
        Err(Error::Query { source, .. }) if source.code() == Some(&SqlState::UNDEFINED_TABLE) => Vec::new(),
        applied => applied?,
    };
    let count = compare(&applied)?;
    if count < MIGRATIONS.len() {
        return Err(Error::Older { found: number(count) - 1, known: number(MIGRATIONS.len() - 1) });
    }
    Ok(())
}

//! A cluster that one role may read for a while, and nobody may write.

use tokio_postgres::{Client, Error};

use crate::cluster::ConfigError;
use crate::disk;
use crate::settings::PEEK_FILE;
use crate::sql::{quote_identifier, quote_literal};
use crate::{Cluster, SUPERUSER};

const SETTINGS: &str = include_str!("peek.conf");

/// Roles of the tenant: in the copy they log in no more, and what tells their
/// passwords is gone. Whoever reads all data reads `pg_authid`, too.
const LOCK_ROLES: &str = include_str!("peek/lock_roles.sql");

/// What everybody may do in a database that is more than reading.
const LOCK_DATABASE: &str = include_str!("peek/lock_database.sql");

/// What the role could still write, by name.
const WRITABLE: &str = include_str!("peek/writable.sql");

/// Who reads, and what.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    pub role: &'a str,
    /// See [`crate::verifier`].
    pub verifier: &'a str,
    pub database: &'a str,
    /// So many connections at once.
    pub connections: u32,
    /// The password is good for so many seconds from now.
    pub seconds: u64,
}

/// Writes the configuration of a cluster that is a peek, before it is first
/// started: nothing is archived, and nobody but `role` comes in, to `database`
/// alone. A setting that somebody has altered in the cluster is forgotten.
pub fn configure_peek(cluster: &Cluster, role: &str, database: &str) -> Result<(), ConfigError> {
    cluster.make_socket_dir()?;
    // Before what includes it.
    disk::place(&cluster.data_dir.join(PEEK_FILE), SETTINGS.as_bytes(), cluster.identity)?;
    disk::place(&cluster.data_dir.join("postgresql.auto.conf"), b"", cluster.identity)?;
    cluster.write_config()?;
    let hba = pg_hba_conf(role, database);
    disk::place(&cluster.data_dir.join("pg_hba.conf"), hba.as_bytes(), cluster.identity)?;
    Ok(disk::sync_folder(&cluster.data_dir)?)
}

fn pg_hba_conf(role: &str, database: &str) -> String {
    let (role, database) = (quote_identifier(role), quote_identifier(database));
    format!(
        "\
# Written by Heddle.
# TYPE  DATABASE  USER      ADDRESS         METHOD
local   all       {SUPERUSER}                    peer map=heddle
host    {database}  {role}  127.0.0.1/32    scram-sha-256
local   all       all                       reject
host    all       all       all             reject
"
    )
}

/// Makes the role that reads, and takes from everybody what is more than that.
/// Both connections are the superuser's: to the maintenance database, and to the
/// database that is read. Answers with what could still be written; nothing may be.
pub async fn lock_for_reading(
    cluster: &Client,
    database: &Client,
    reader: &Reader<'_>,
) -> Result<Vec<String>, Error> {
    let Reader { role, verifier, connections, seconds, .. } = *reader;
    let writing = "SET default_transaction_read_only = off; SET statement_timeout = 0";
    cluster.batch_execute(writing).await?;
    database.batch_execute(writing).await?;
    cluster.batch_execute(LOCK_ROLES).await?;
    let until: String = cluster
        .query_one("SELECT (now() + make_interval(secs => $1))::text", &[&(seconds as f64)])
        .await?
        .get(0);
    let (name, verifier, until) = (quote_identifier(role), quote_literal(verifier), quote_literal(&until));
    let read = quote_identifier(reader.database);
    cluster
        .batch_execute(&format!(
            "CREATE ROLE {name} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT \
             CONNECTION LIMIT {connections} PASSWORD {verifier} VALID UNTIL {until}; \
             GRANT pg_read_all_data TO {name}; \
             REVOKE ALL ON DATABASE {read} FROM PUBLIC; \
             GRANT CONNECT ON DATABASE {read} TO {name}"
        ))
        .await?;
    database.batch_execute(LOCK_DATABASE).await?;
    let left = database.query(WRITABLE, &[&role]).await?;
    Ok(left.into_iter().map(|row| row.get(0)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_role_comes_in_to_one_database() {
        let text = pg_hba_conf("heddle_peek", "acme");
        let hosts: Vec<&str> = text.lines().filter(|line| line.starts_with("host")).collect();
        assert_eq!(hosts.len(), 2, "{text}");
        assert!(hosts[0].contains("\"acme\"  \"heddle_peek\"  127.0.0.1/32    scram-sha-256"), "{text}");
        assert!(hosts[1].ends_with("reject"), "{text}");
    }
}

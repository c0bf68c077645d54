//! Databases and the roles that own them, in a running or a stopped cluster.

use tokio_postgres::{Client, Error};

use crate::MAINTENANCE_DATABASE;
use crate::sql::{quote_identifier, quote_literal};

/// A role that can log in and nothing else: it makes no databases and no roles,
/// replicates nothing, runs no programs on the server.
const POWERLESS: &str = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD";

/// Makes the role, or gives it this verifier (see [`crate::verifier`]). May be
/// repeated.
pub async fn ensure_login(client: &Client, role: &str, verifier: &str) -> Result<(), Error> {
    let known = client.query_opt("SELECT FROM pg_roles WHERE rolname = $1", &[&role]).await?.is_some();
    let verb = if known { "ALTER" } else { "CREATE" };
    let (role, verifier) = (quote_identifier(role), quote_literal(verifier));
    client.batch_execute(&format!("{verb} ROLE {role} {POWERLESS} {verifier}")).await
}

/// Makes the database if it is missing; None: owned by the superuser. Roles
/// other than its owner get nothing by being there.
pub async fn ensure_database(client: &Client, database: &str, owner: Option<&str>) -> Result<(), Error> {
    let known = client.query_opt("SELECT FROM pg_database WHERE datname = $1", &[&database]).await?;
    let database = quote_identifier(database);
    if known.is_none() {
        let owner = owner.map(|role| format!("OWNER {}", quote_identifier(role))).unwrap_or_default();
        client.batch_execute(&format!("CREATE DATABASE {database} {owner} TEMPLATE template0")).await?;
    }
    client.batch_execute(&format!("REVOKE ALL ON DATABASE {database} FROM PUBLIC")).await
}

/// Makes a tenant's one database and the role that owns it. The role may also
/// connect to the maintenance database, where Odoo listens for its bus, but
/// create nothing there. May be repeated.
pub async fn create_tenant_database(
    client: &Client,
    database: &str,
    role: &str,
    verifier: &str,
) -> Result<(), Error> {
    ensure_login(client, role, verifier).await?;
    ensure_database(client, database, Some(role)).await?;
    let role = quote_identifier(role);
    client
        .batch_execute(&format!(
            "REVOKE ALL ON DATABASE {MAINTENANCE_DATABASE}, template1 FROM PUBLIC; \
             GRANT CONNECT ON DATABASE {MAINTENANCE_DATABASE} TO {role}"
        ))
        .await
}

/// A statement, for [`crate::single_user`] in the maintenance database. Renaming
/// to the same name is refused by PostgreSQL.
pub fn rename_database(from: &str, to: &str) -> String {
    format!("ALTER DATABASE {} RENAME TO {}", quote_identifier(from), quote_identifier(to))
}

/// A statement, for [`crate::single_user`]; takes a verifier, not a password.
pub fn alter_password(role: &str, verifier: &str) -> String {
    format!("ALTER ROLE {} PASSWORD {}", quote_identifier(role), quote_literal(verifier))
}

//! A copy does nothing outside: no mail, no payment, nothing that runs by
//! itself, and no key of production opens it.

mod split;

use std::io;
use std::path::PathBuf;

use odoo::sql::{FreshTenant, fresh_tenant_sql};
use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

use crate::catalog::Catalog;
use crate::database::{Database, DatabaseError, run};

pub use split::statements;

const ACTS: &str = include_str!("neutralise/acts.toml");

/// By this name the proof knows the one server that mail may go to.
const CATCHER: &str = "Heddle's mail catcher";

/// The largest file of statements that a module may bring.
const LARGEST: u64 = 1 << 20;

/// What a copy is to be.
pub struct Identity {
    /// Its uuid, secret, administrator's password and address: all its own.
    pub fresh: FreshTenant,
    /// Where its mail goes. None: nowhere.
    pub catcher: Option<(String, u16)>,
    /// The folders of modules, whose own statements are run first (16 and later).
    pub addons: Vec<PathBuf>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Neutralised {
    /// Statements of modules that were run.
    pub of_modules: usize,
    /// Heddle's own that found what they need.
    pub own: usize,
    pub findings: Vec<Finding>,
}

/// A statement that failed; what it should have done may not be done, and the
/// proof has to say whether that matters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A module, or one of Heddle's own acts.
    pub of: String,
    pub what: String,
}

#[derive(Debug, thiserror::Error)]
pub enum NeutraliseError {
    #[error("neutralise the copy")]
    Database(#[from] DatabaseError),
    #[error("read {0}")]
    Read(PathBuf, #[source] io::Error),
    #[error("{0} holds more than 1 MiB of statements")]
    TooLarge(PathBuf),
    #[error("the database is no Odoo: it has no table of modules")]
    NotOdoo,
}

#[derive(Deserialize)]
struct Acts {
    act: Vec<Act>,
}

#[derive(Deserialize)]
struct Act {
    name: String,
    needs: Vec<String>,
    sql: String,
}

/// Everything in one transaction, each statement by itself in it: what fails is
/// a finding, and what the copy cannot be without fails it.
pub async fn neutralise(target: &Database, identity: &Identity) -> Result<Neutralised, NeutraliseError> {
    let client = target.connect().await?;
    let catalog = Catalog::read(&client).await?;
    if !catalog.is_odoo {
        return Err(NeutraliseError::NotOdoo);
    }
    let begin = "BEGIN; SET LOCAL search_path = public, pg_catalog; SET LOCAL statement_timeout = '5min'";
    run(&client, "begin to neutralise", begin).await?;
    let mut done = Neutralised::default();
    for (module, statement) in of_modules(&catalog, &identity.addons)? {
        done.of_modules += 1;
        attempt(&client, &module, &statement, &mut done.findings).await?;
    }
    for act in own() {
        if act.needs.iter().all(|need| has(&catalog, need)) {
            done.own += 1;
            attempt(&client, &act.name, &act.sql, &mut done.findings).await?;
        }
    }
    if let Some((host, port)) = &identity.catcher {
        run(&client, "name the mail catcher", &catcher(&catalog, host, *port)).await?;
    }
    for statement in fresh_tenant_sql(&identity.fresh) {
        run(&client, "make the copy's identity", &statement).await?;
    }
    run(&client, "end neutralising", "COMMIT").await?;
    Ok(done)
}

fn own() -> Vec<Act> {
    match toml::from_str::<Acts>(ACTS) {
        Ok(acts) => acts.act,
        Err(error) => unreachable!("the shipped acts are broken: {error}"),
    }
}

/// `table.column`
pub(crate) fn has(catalog: &Catalog, need: &str) -> bool {
    need.split_once('.').is_some_and(|(table, column)| {
        catalog.table(table).is_some_and(|table| table.column(column).is_some())
    })
}

/// The statements that the installed modules bring, by module.
fn of_modules(catalog: &Catalog, addons: &[PathBuf]) -> Result<Vec<(String, String)>, NeutraliseError> {
    let mut found = Vec::new();
    for module in &catalog.modules {
        // A name comes out of the database, and becomes part of a path.
        if !module.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            continue;
        }
        for folder in addons {
            let path = folder.join(module).join("data/neutralize.sql");
            let size = match path.metadata() {
                Ok(metadata) => metadata.len(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(NeutraliseError::Read(path, error)),
            };
            if size > LARGEST {
                return Err(NeutraliseError::TooLarge(path));
            }
            let text =
                std::fs::read_to_string(&path).map_err(|error| NeutraliseError::Read(path.clone(), error))?;
            found.extend(statements(&text).into_iter().map(|statement| (module.clone(), statement)));
            break;
        }
    }
    Ok(found)
}

async fn attempt(
    client: &Client,
    of: &str,
    statement: &str,
    findings: &mut Vec<Finding>,
) -> Result<(), DatabaseError> {
    run(client, "mark a place", "SAVEPOINT act").await?;
    match client.batch_execute(statement).await {
        Ok(()) => run(client, "keep what was done", "RELEASE SAVEPOINT act").await,
        Err(error) => {
            let Some(told) = error.as_db_error() else {
                return Err(DatabaseError::Ask(format!("neutralise {of}"), error));
            };
            findings.push(Finding { of: of.to_owned(), what: told.message().to_owned() });
            run(client, "take back what failed", "ROLLBACK TO SAVEPOINT act").await
        }
    }
}

fn catcher(catalog: &Catalog, host: &str, port: u16) -> String {
    let mut values = vec![
        ("name", postgres::quote_literal(CATCHER)),
        ("smtp_host", postgres::quote_literal(host)),
        ("smtp_port", port.to_string()),
        ("smtp_encryption", "'none'".to_owned()),
        ("active", "true".to_owned()),
        ("sequence", "1".to_owned()),
    ];
    if has(catalog, "ir_mail_server.smtp_authentication") {
        values.push(("smtp_authentication", "'login'".to_owned()));
    }
    let (names, values): (Vec<_>, Vec<_>) = values.into_iter().unzip();
    format!(
        "UPDATE ir_mail_server SET active = false; INSERT INTO ir_mail_server ({}) VALUES ({})",
        names.join(", "),
        values.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_acts_are_understood() {
        for act in own() {
            assert!(!act.name.is_empty() && act.needs.iter().all(|need| need.contains('.')), "{}", act.name);
            assert_eq!(statements(&act.sql).len(), 1, "{}", act.sql);
        }
    }
}

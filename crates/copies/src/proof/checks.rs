//! What a harmless copy has to be, asked of the database.

use std::collections::BTreeSet;

use serde::Deserialize;
use tokio_postgres::Client;

use super::{FindingKind, Proof, ProofError};
use crate::catalog::Catalog;
use crate::database::{Database, DatabaseError, query, run};
use crate::neutralise::has;

const CHECKS: &str = include_str!("checks.toml");

/// Everything of a schema that a copy has to have too.
const OBJECTS: &str = include_str!("objects.sql");

/// Ways out that nobody told Heddle about.
const UNKNOWN: &str = include_str!("unknown.sql");

/// They are of one database alone.
const IDENTITY: [&str; 2] = ["database.secret", "database.uuid"];

#[derive(Deserialize)]
struct Checks {
    check: Vec<Check>,
}

#[derive(Deserialize)]
struct Check {
    name: String,
    needs: Vec<String>,
    sql: String,
}

fn shipped() -> Vec<Check> {
    match toml::from_str::<Checks>(CHECKS) {
        Ok(checks) => checks.check,
        Err(error) => unreachable!("the shipped checks are broken: {error}"),
    }
}

pub async fn ask(
    source: &Database,
    target: &Database,
    catalog: &Catalog,
    proof: &mut Proof,
) -> Result<(), ProofError> {
    let (source, client) = (source.connect().await?, target.connect().await?);
    let paths = "SET search_path = public, pg_catalog";
    run(&source, "set the connection up", paths).await?;
    run(&client, "set the connection up", paths).await?;
    objects(&source, &client, proof).await?;
    if !catalog.is_odoo {
        return Ok(());
    }
    let copy = Catalog::read(&client).await?;
    for check in shipped() {
        if !check.needs.iter().all(|need| has(&copy, need)) {
            continue;
        }
        proof.checks += 1;
        let count: i64 = query(&client, &format!("count the {}", check.name), &check.sql).await?[0].get(0);
        if count != 0 {
            let hint = "neutralise the copy; if it was, a module undid it";
            proof.add(FindingKind::State, check.name, format!("{count}, where there may be none"), hint);
        }
    }
    for key in IDENTITY {
        proof.checks += 1;
        let (mine, theirs) = (parameter(&client, key).await?, parameter(&source, key).await?);
        if mine.is_empty() || mine == theirs {
            let what = if mine.is_empty() { "is missing" } else { "is the source's own" };
            let hint = "neutralise the copy: tokens that are made on it open the source";
            proof.add(FindingKind::State, key, what.to_owned(), hint);
        }
    }
    proof.checks += 1;
    for row in query(&client, "look for unknown ways out", UNKNOWN).await? {
        let (table, column): (String, String) = (row.get(0), row.get(1));
        let live = format!(
            "SELECT count(*) FROM public.{} WHERE {}",
            postgres::quote_identifier(&table),
            postgres::quote_identifier(&column)
        );
        let count: i64 = query(&client, "count what is live", &live).await?[0].get(0);
        if count != 0 {
            let what = format!("{count} rows are live in a table that sounds like a way out");
            let hint = "add a rule that sets the column to f, or one that drops the table";
            proof.add(FindingKind::State, format!("{table}.{column}"), what, hint);
        }
    }
    Ok(())
}

async fn parameter(client: &Client, key: &str) -> Result<String, DatabaseError> {
    let sql = format!("SELECT value FROM ir_config_parameter WHERE key = {}", postgres::quote_literal(key));
    let rows = query(client, "read a parameter", &sql).await?;
    Ok(rows.first().and_then(|row| row.get::<_, Option<String>>(0)).unwrap_or_default())
}

async fn objects(source: &Client, copy: &Client, proof: &mut Proof) -> Result<(), DatabaseError> {
    proof.checks += 1;
    let list = async |client| -> Result<BTreeSet<String>, DatabaseError> {
        let rows = query(client, "list what the schema is made of", OBJECTS).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    };
    let (wanted, there) = (list(source).await?, list(copy).await?);
    for missing in wanted.difference(&there) {
        let hint = "copy again; if it stays so, tell us";
        proof.add(FindingKind::Missing, missing.clone(), "is in the source and not in the copy".into(), hint);
    }
    for extra in there.difference(&wanted) {
        let hint = "start with an empty database";
        proof.add(FindingKind::Missing, extra.clone(), "is in the copy and not in the source".into(), hint);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_checks_are_understood() {
        for check in shipped() {
            assert!(check.needs.iter().all(|need| need.contains('.')), "{}", check.name);
            assert!(check.sql.starts_with("SELECT "), "{}", check.sql);
        }
    }
}

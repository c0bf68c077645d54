//! A database that an earlier Heddle has used is migrated, and keeps what is in it.

use std::collections::{BTreeMap, BTreeSet};

use database::Error;
use database::migrate::migrate_at;
use serde_json::{Map, Value};
use tokio_postgres::Client;

use crate::older::{self, FIRST, apply, fill, migrations};
use crate::scratch::PASSWORD;

/// Tables that are empty in a Heddle that is used, and why.
const EMPTY: &[(&str, &str)] = &[];

/// What a migration sets right: before 0008 nobody wrote down when a lease was given.
const SET_RIGHT: &[(&str, &str)] = &[("leases", "claimed_at")];

/// Every table's rows, by their primary key.
type Kept = BTreeMap<String, BTreeMap<String, Map<String, Value>>>;

async fn kept(admin: &Client) -> Kept {
    let tables = admin
        .query(
            "SELECT c.relname::text,
                    ARRAY(SELECT a.attname::text FROM pg_constraint k
                          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (k.conkey)
                          WHERE k.conrelid = c.oid AND k.contype = 'p' ORDER BY a.attname)
             FROM pg_class c
             WHERE c.relnamespace = 'ops'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition",
            &[],
        )
        .await
        .unwrap();
    let mut kept = Kept::new();
    for table in tables {
        let (name, key): (String, Vec<String>) = (table.get(0), table.get(1));
        // Of a run as it is known, which its row has not said alone since 0017.
        let known = if name == "runs" { "|| to_jsonb(d)" } else { "" };
        let details = if name == "runs" { "JOIN ops.run_details d USING (id)" } else { "" };
        let sql = format!("SELECT to_jsonb(t) {known} FROM ops.{name} t {details}");
        let rows = admin.query(&sql, &[]).await.unwrap();
        let by_key = rows.into_iter().map(|row| {
            let Value::Object(row) = row.get::<_, Value>(0) else { unreachable!("a row is an object") };
            let mut of_key: Vec<&Value> = key.iter().map(|column| &row[column]).collect();
            if of_key.is_empty() {
                of_key.extend(row.values());
            }
            (serde_json::to_string(&of_key).unwrap(), row)
        });
        kept.insert(name, by_key.collect());
    }
    kept
}

/// How many values are as they were; every row is there, and no value of a
/// column that is there has changed.
#[track_caller]
fn compare(before: &Kept, after: &Kept, through: &str) -> usize {
    let mut same = 0;
    for (table, rows) in before {
        if table == "schema_migrations" || rows.is_empty() {
            continue;
        }
        let now = after.get(table).unwrap_or_else(|| panic!("{through}: ops.{table} is gone"));
        // A key may have been widened, or given up: then rows are found by what they had.
        let widened = |row: &Map<String, Value>| {
            now.values()
                .find(|new| row.iter().all(|(name, value)| new.get(name).is_none_or(|now| now == value)))
        };
        for (key, row) in rows {
            let new = now.get(key).or_else(|| widened(row));
            let new = new.unwrap_or_else(|| panic!("{through}: ops.{table} has lost {key}"));
            for (column, value) in row {
                if SET_RIGHT.contains(&(table, column)) {
                    continue;
                }
                if let Some(now) = new.get(column) {
                    assert_eq!(now, value, "{through}: {column} of ops.{table} {key}");
                    same += 1;
                }
            }
        }
    }
    same
}

#[tokio::test]
async fn the_first_heddles_database_keeps_everything() {
    let scratch = older::first().await;
    let admin = scratch.admin().await;
    let before = kept(&admin).await;
    let filled = before.iter().filter(|(_, rows)| !rows.is_empty()).count();
    assert_eq!(filled, before.len(), "{:?}", before.iter().find(|(_, rows)| rows.is_empty()));
    let refused = database::Pool::connect(&scratch.url(), database::Sizes::each(1)).await.err().unwrap();
    assert!(matches!(refused, Error::Older { found: 6, .. }), "{refused}");
    let turn = scratch.migrating();
    let migrated = migrate_at(&scratch.admin_url(), PASSWORD).await.unwrap();
    drop(turn);
    assert_eq!(migrated.applied.len(), migrations().len() - 6);
    let after = kept(&admin).await;
    let same = compare(&before, &after, "all at once");
    assert!(same > 1000, "{same} values");
    println!("{same} values of {} tables are as they were", before.len());
    database::Pool::connect(&scratch.url(), database::Sizes::each(1)).await.unwrap();
    // The new columns say what was true before.
    let operators: i64 =
        admin.query_one("SELECT count(*) FROM ops.users WHERE operator", &[]).await.unwrap().get(0);
    assert_eq!(operators, 2, "who could do everything still can");
}

/// Each Heddle in turn: used, then migrated by the next one.
#[tokio::test]
async fn each_migration_keeps_what_the_one_before_left() {
    let scratch = older::first().await;
    let admin = scratch.admin().await;
    let migrations = migrations();
    let mut same = Vec::new();
    for (place, migration) in migrations.iter().enumerate() {
        if migration.name.as_str() < FIRST || migration.name.starts_with(FIRST) {
            continue;
        }
        let before = kept(&admin).await;
        apply(&admin, place, migration).await;
        same.push((migration.name.clone(), compare(&before, &kept(&admin).await, &migration.name)));
        fill(&admin, migration).await;
    }
    println!("values that are as they were: {same:?}");
    assert_eq!(same.len(), migrations.len() - 6);
    // No table is left out of this.
    let newest = kept(&admin).await;
    let empty: BTreeSet<&str> =
        newest.iter().filter(|(_, rows)| rows.is_empty()).map(|(name, _)| &**name).collect();
    let expected: BTreeSet<&str> = EMPTY.iter().map(|(name, _)| *name).collect();
    assert_eq!(empty, expected, "put rows of them into upgrade/NNNN.sql, after the migration that made them");
    // And the last one left what migrating at once would have.
    let turn = scratch.migrating();
    assert!(migrate_at(&scratch.admin_url(), PASSWORD).await.unwrap().applied.is_empty());
    drop(turn);
}

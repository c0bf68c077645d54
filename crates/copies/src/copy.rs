//! A copy: the schema without its indexes and constraints, then every table as
//! a stream that is rewritten on its way, then indexes and constraints. What a
//! rule hides never reaches the target, not even for a moment.

mod schema;
pub(crate) mod table;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use postgres::{Binaries, ToolError};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio_postgres::Client;

use crate::amounts::Amounts;
use crate::catalog::Catalog;
use crate::database::{Database, DatabaseError, query, run};
use crate::mask::{Key, Masker};
use crate::plan::{Plan, PlanError, RowError, TablePlan};
use crate::rules::Rules;

pub struct Options {
    /// Not older than either server.
    pub binaries: Binaries,
    /// Tables at a time, each with a connection to the source and the target.
    pub jobs: usize,
    /// Where the schema lies meanwhile.
    pub work_dir: PathBuf,
}

/// What goes on, told from several tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Progress {
    /// So many bytes are in the tables that will be read.
    Planned {
        tables: usize,
        bytes: i64,
    },
    Schema,
    /// So many bytes of the table's rows have been written, of about so many.
    Rows {
        table: String,
        written: u64,
        of: i64,
    },
    Table {
        table: String,
        rows: u64,
    },
    Indexes,
}

pub type Tell<'a> = &'a (dyn Fn(Progress) + Send + Sync);

/// What a copy holds.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Copied {
    /// By table; without those that were left out.
    pub tables: Vec<(String, u64)>,
    /// Tables whose rows were left out, and why.
    pub left_out: Vec<(String, String)>,
    pub rows: u64,
    pub bytes: u64,
    /// They are never copied.
    pub large_objects_left_out: i64,
}

#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("read the source")]
    Source(#[source] DatabaseError),
    #[error("write the target")]
    Target(#[source] DatabaseError),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error("the target is not empty: it holds the table {0}")]
    NotEmpty(String),
    #[error("make the copy's schema")]
    Schema(#[source] ToolError),
    #[error("make a place for the schema")]
    WorkDir(#[source] std::io::Error),
    #[error("copy the table {table} out of the source")]
    Out { table: String, source: tokio_postgres::Error },
    #[error("copy the table {table} into the target")]
    In { table: String, source: tokio_postgres::Error },
    #[error("rewrite the table {table}")]
    Rewrite { table: String, source: RowError },
    #[error("a task of the copy ended by itself")]
    Task(#[source] tokio::task::JoinError),
    #[error("build the copy's indexes and constraints")]
    Constraints(#[source] ToolError),
}

/// Copies what the source holds at one moment into an empty database. If it
/// fails, the target holds a part of a harmless copy, of no use to anybody.
pub async fn copy_database(
    source: &Database,
    target: &Database,
    rules: &Rules,
    key: Key,
    options: &Options,
    tell: Tell<'_>,
) -> Result<Copied, CopyError> {
    let reader = source.connect().await.map_err(CopyError::Source)?;
    let snapshot = export_snapshot(&reader).await.map_err(CopyError::Source)?;
    let catalog = Catalog::read(&reader).await.map_err(CopyError::Source)?;
    let plan = Plan::make(&catalog, rules)?;
    let writer = target.connect().await.map_err(CopyError::Target)?;
    if let Some(table) = Catalog::read(&writer).await.map_err(CopyError::Target)?.tables.first() {
        return Err(CopyError::NotEmpty(table.label()));
    }
    let amounts = match plan.needs_amounts() {
        true => Amounts::read(&reader, &catalog).await.map_err(CopyError::Source)?,
        false => Amounts::default(),
    };
    let bytes = plan.tables.iter().filter(|plan| plan.dropped.is_none()).map(|plan| plan.table.bytes).sum();
    tell(Progress::Planned { tables: plan.tables.len(), bytes });
    tell(Progress::Schema);
    let schema = schema::Schema::dump(source, &snapshot, options).await?;
    schema.restore_tables(target, options).await?;

    let mut copied = Copied { large_objects_left_out: catalog.large_objects, ..Copied::default() };
    let mut waiting: Vec<TablePlan> = Vec::new();
    for plan in plan.tables {
        match plan.dropped {
            Some(why) => copied.left_out.push((plan.table.label(), why)),
            None => waiting.push(plan),
        }
    }
    // The largest first: nobody waits for one table at the end.
    waiting.sort_by_key(|plan| std::cmp::Reverse(plan.table.bytes));
    let masker = Masker::new(key).with(amounts);
    let made = rows(source, target, &snapshot, waiting, masker, options, tell).await?;
    for (table, rows, bytes) in made {
        copied.rows += rows;
        copied.bytes += bytes;
        copied.tables.push((table, rows));
    }
    copied.tables.sort();
    set_sequences(&writer, &catalog).await.map_err(CopyError::Target)?;
    drop(reader);
    tell(Progress::Indexes);
    schema.restore_constraints(target, options).await?;
    refresh_views(&writer).await.map_err(CopyError::Target)?;
    run(&writer, "count the copy's values", "ANALYZE").await.map_err(CopyError::Target)?;
    Ok(copied)
}

/// Opens a transaction that only reads, whose view others can share.
pub(crate) async fn export_snapshot(client: &Client) -> Result<String, DatabaseError> {
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
    run(client, "begin to read", begin).await?;
    Ok(query(client, "export a snapshot", "SELECT pg_catalog.pg_export_snapshot()").await?[0].get(0))
}

pub(crate) async fn import_snapshot(client: &Client, snapshot: &str) -> Result<(), DatabaseError> {
    let snapshot = postgres::quote_literal(snapshot);
    let begin =
        format!("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET TRANSACTION SNAPSHOT {snapshot}");
    run(client, "begin to read a snapshot", &begin).await
}

/// Table, rows and bytes of each.
async fn rows(
    source: &Database,
    target: &Database,
    snapshot: &str,
    waiting: Vec<TablePlan>,
    masker: Masker,
    options: &Options,
    tell: Tell<'_>,
) -> Result<Vec<(String, u64, u64)>, CopyError> {
    let waiting = Arc::new(Mutex::new(VecDeque::from(waiting)));
    let masker = Arc::new(masker);
    let (told, mut telling) = tokio::sync::mpsc::channel(64);
    let mut tasks: JoinSet<Result<_, CopyError>> = JoinSet::new();
    for _ in 0..options.jobs.max(1) {
        let (source, target, snapshot) = (source.clone(), target.clone(), snapshot.to_owned());
        let (waiting, masker, told) = (waiting.clone(), masker.clone(), told.clone());
        tasks.spawn(async move {
            let reader = source.connect().await.map_err(CopyError::Source)?;
            import_snapshot(&reader, &snapshot).await.map_err(CopyError::Source)?;
            let writer = target.connect().await.map_err(CopyError::Target)?;
            // A copy that a crash takes is made again.
            run(&writer, "set the connection up", "SET synchronous_commit = off")
                .await
                .map_err(CopyError::Target)?;
            let mut made = Vec::new();
            loop {
                let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some(plan) = next else { return Ok(made) };
                made.push(table::copy(&reader, &writer, plan, &masker, &told).await?);
            }
        });
    }
    drop(told);
    let mut made = Vec::new();
    loop {
        tokio::select! {
            Some(progress) = telling.recv() => tell(progress),
            Some(ended) = tasks.join_next() => made.extend(ended.map_err(CopyError::Task)??),
            else => return Ok(made),
        }
    }
}

/// Views that hold rows are filled from the copy's own, the older ones first:
/// the younger may ask them.
async fn refresh_views(writer: &Client) -> Result<(), DatabaseError> {
    let unfilled = "SELECT oid::regclass::text FROM pg_catalog.pg_class \
                    WHERE relkind = 'm' AND NOT relispopulated ORDER BY oid";
    for row in query(writer, "list the views that hold rows", unfilled).await? {
        let name: String = row.get(0);
        run(writer, "fill a view", &format!("REFRESH MATERIALIZED VIEW {name}")).await?;
    }
    Ok(())
}

async fn set_sequences(writer: &Client, catalog: &Catalog) -> Result<(), DatabaseError> {
    let mut statements = String::new();
    for sequence in &catalog.sequences {
        if let Some(last) = sequence.last {
            let name = format!(
                "{}.{}",
                postgres::quote_identifier(&sequence.schema),
                postgres::quote_identifier(&sequence.name)
            );
            statements += &format!("SELECT pg_catalog.setval({}, {last});\n", postgres::quote_literal(&name));
        }
    }
    run(writer, "set the sequences", &statements).await
}

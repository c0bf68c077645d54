//! Looking for what should be gone from a copy, by other means than those that
//! made it: every value that a rule hides is searched in every row, and what a
//! harmless copy has to be is asked of the database.

mod checks;
mod files;
mod matcher;
mod scan;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use crate::catalog::Catalog;
use crate::copy::{export_snapshot, import_snapshot};
use crate::database::{Database, DatabaseError, run};
use crate::plan::{Plan, PlanError, RowError};
use crate::rules::Rules;
use matcher::Matcher;

pub use files::{FilesError, search_files};

/// What a canary is a value of: the first of the names.
const CANARY: u32 = 0;

/// More findings are only counted.
const TOLD: usize = 200;

pub struct Question<'a> {
    /// What the copy was made of.
    pub source: &'a Database,
    pub target: &'a Database,
    /// An Odoo with the same modules that holds nobody's data: what it holds
    /// too is no secret.
    pub pristine: Option<&'a Database>,
    pub rules: &'a Rules,
    /// Values that were planted in the source and must be nowhere.
    pub canaries: &'a [String],
    /// Folders and files of the copy, which are searched for the canaries as
    /// they lie there.
    pub raw: &'a [PathBuf],
}

/// What was looked at, and what was found. Without findings, the copy may start.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Proof {
    /// Columns that a rule decides on.
    pub columns: usize,
    /// Different values that were searched, and how many of them are no secret:
    /// a pristine Odoo holds them too, or a rule keeps them elsewhere as a
    /// document's number or a technical word.
    pub values: usize,
    pub known: usize,
    /// Bytes of rows and of files that were searched.
    pub searched_rows: u64,
    pub searched_files: u64,
    /// Questions that were asked of the copy.
    pub checks: usize,
    pub findings: Vec<Finding>,
    /// Findings that are not in the list.
    pub more: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub kind: FindingKind,
    /// A column, a file or a check.
    pub place: String,
    /// Without the value: reports are read by others.
    pub what: String,
    pub hint: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// No rule decides on a column.
    Unclassified,
    /// A value that a rule hides is in the copy.
    Value,
    /// What was planted is in the copy.
    Canary,
    /// The copy is not as a harmless one has to be.
    State,
    /// Something that the source has is missing: a constraint, an index, a table.
    Missing,
    /// Not everything could be searched.
    Unsearched,
}

#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    #[error("read what is to be proven")]
    Database(#[from] DatabaseError),
    #[error("read the table {0}")]
    Read(String, #[source] tokio_postgres::Error),
    #[error("look at the rows")]
    Row(#[from] RowError),
    #[error("search the copy's files")]
    Files(#[from] FilesError),
    #[error("a task of the proof ended by itself")]
    Task(#[source] tokio::task::JoinError),
    #[error(transparent)]
    Foreign(PlanError),
}

impl Proof {
    pub fn passed(&self) -> bool {
        self.findings.is_empty() && self.more == 0
    }

    fn add(&mut self, kind: FindingKind, place: impl Into<String>, what: String, hint: &str) {
        if self.findings.len() >= TOLD {
            self.more += 1;
            return;
        }
        self.findings.push(Finding { kind, place: place.into(), what, hint: hint.to_owned() });
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.place, self.what, self.hint)
    }
}

pub async fn prove(question: Question<'_>) -> Result<Proof, ProofError> {
    let mut proof = Proof::default();
    let reader = question.source.connect().await?;
    export_snapshot(&reader).await?;
    let source = Catalog::read(&reader).await?;
    let plan = match Plan::make(&source, question.rules) {
        Ok(plan) => plan,
        Err(PlanError::Unclassified { columns }) => {
            for column in columns {
                let hint = "add a rule for it to the project's file, and copy again";
                proof.add(FindingKind::Unclassified, column, "no rule says what becomes of it".into(), hint);
            }
            return Ok(proof);
        }
        Err(foreign) => return Err(ProofError::Foreign(foreign)),
    };
    proof.columns = plan.tables.iter().map(|table| table.columns.len()).sum();

    // The canaries first: a value that is one of them is told as one.
    let mut names = vec!["a canary".to_owned()];
    let mut matcher = Matcher::default();
    question.canaries.iter().for_each(|canary| matcher.add(canary.as_bytes(), CANARY));
    let kept = scan::collect(&reader, &plan, &mut matcher, &mut names).await?;
    run(&reader, "end reading", "COMMIT").await?;
    matcher.prepare();
    let matcher = Arc::new(matcher);
    proof.values = matcher.len();
    if matcher.left_out > 0 {
        let what = format!("{} values are too many to be searched at once", matcher.left_out);
        proof.add(FindingKind::Unsearched, "values", what, "prove the copy on a machine with more memory");
    }

    let mut known = vec![false; matcher.len()];
    kept.into_iter().for_each(|number| known[number as usize] = true);
    if let Some(pristine) = question.pristine {
        for (_, number) in everything(pristine, &matcher).await?.by_place.into_keys() {
            known[number as usize] = true;
        }
    }
    proof.known = known.iter().filter(|known| **known).count();

    let hits = everything(question.target, &matcher).await?;
    proof.searched_rows = hits.bytes;
    // One line for each pair of columns, however many values.
    let mut pairs: BTreeMap<(String, u32), (u64, u64)> = BTreeMap::new();
    for ((place, number), count) in hits.by_place {
        let of = matcher.of(number);
        if of == CANARY || !known[number as usize] {
            let (values, times) = pairs.entry((place, of)).or_default();
            *values += 1;
            *times += count;
        }
    }
    for ((place, of), (values, times)) in pairs {
        let kind = if of == CANARY { FindingKind::Canary } else { FindingKind::Value };
        let what = format!("holds {values} values of {} in {times} places", names[of as usize]);
        let hint = "mask this column with a rule of the project's file, or keep both if they are nobody's";
        proof.add(kind, place, what, hint);
    }
    checks::ask(question.source, question.target, &source, &mut proof).await?;
    let found = search_files(question.raw, question.canaries)?;
    proof.searched_files = found.bytes;
    for path in found.files {
        let what = "holds a canary as it lies there".to_owned();
        proof.add(FindingKind::Canary, path.display().to_string(), what, "the copy was not made by a stream");
    }
    Ok(proof)
}

/// Every row of a database, seen at one moment.
async fn everything(database: &Database, matcher: &Arc<Matcher>) -> Result<scan::Hits, ProofError> {
    let client = database.connect().await?;
    let snapshot = export_snapshot(&client).await?;
    let catalog = Catalog::read(&client).await?;
    let plan = Plan::looking(&catalog);
    // Halves of the tables on two connections: PostgreSQL writes out text with
    // one processor a connection.
    let (mut one, mut two) = (Plan { tables: Vec::new() }, Plan { tables: Vec::new() });
    let mut tables = plan.tables;
    tables.sort_by_key(|plan| std::cmp::Reverse(plan.table.bytes));
    for (index, table) in tables.into_iter().enumerate() {
        if matches!(index % 4, 0 | 3) { one.tables.push(table) } else { two.tables.push(table) }
    }
    let other = database.connect().await?;
    import_snapshot(&other, &snapshot).await?;
    let (mut hits, more) =
        futures::try_join!(scan::search(&client, &one, matcher), scan::search(&other, &two, matcher))?;
    hits.bytes += more.bytes;
    hits.by_place.extend(more.by_place);
    Ok(hits)
}

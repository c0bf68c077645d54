use jiff::{SignedDuration, Timestamp};
use model::RunId;
use model::run::Level;
use serde_json::Value;
use uuid::Uuid;

use crate::query::{Columns, Only, Query, Read, query};
use crate::{On, Result};

const APPEND: Query = query!("event/append");
const NOTE: Query = query!("event/note");
const LIST: Query = query!("event/list");
const KEEP: Query = query!("event/keep");

/// Characters of a message that are kept.
pub const LONGEST: usize = 8192;

#[derive(Debug, Clone)]
pub struct NewEvent {
    pub at: Timestamp,
    pub level: Level,
    /// At most `LONGEST` characters.
    pub message: String,
    /// From 0 to 1.
    pub progress: Option<f64>,
    pub payload: Option<Value>,
}

/// What a run has said under a lease.
#[derive(Debug, Clone)]
pub struct Said {
    pub run: RunId,
    pub fence: i64,
    /// The number of the first of them, counted along the lease from 1.
    pub first: i64,
    pub events: Vec<NewEvent>,
}

#[derive(Debug, Clone)]
pub struct Event {
    pub id: i64,
    pub at: Timestamp,
    pub level: Level,
    pub message: String,
    pub progress: Option<f64>,
    pub payload: Option<Value>,
}

impl Read for Event {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            id: columns.get("id")?,
            at: columns.get("at")?,
            level: columns.written("level")?,
            message: columns.get("message")?,
            progress: columns.get("progress")?,
            payload: columns.get("payload")?,
        })
    }
}

/// In the given order; what was appended already, by its number, is not
/// appended again. Nothing is appended for runs that are not held so: those
/// are the answer.
pub async fn append(on: &impl On, said: &[Said]) -> Result<Vec<RunId>> {
    append_some(on, said, false).await
}

/// As `append`, in the transaction that lets go of the runs.
pub async fn append_last(on: &impl On, said: &[Said]) -> Result<Vec<RunId>> {
    append_some(on, said, true).await
}

async fn append_some(on: &impl On, said: &[Said], ending: bool) -> Result<Vec<RunId>> {
    let runs: Vec<Uuid> = said.iter().map(|one| one.run.0).collect();
    let fences: Vec<i64> = said.iter().map(|one| one.fence).collect();
    let count = |one: &Said| i64::try_from(one.events.len()).unwrap_or(i64::MAX);
    let lasts: Vec<i64> = said.iter().map(|one| one.first.saturating_add(count(one)) - 1).collect();
    let fractions: Vec<Option<f64>> =
        said.iter().map(|one| one.events.iter().rev().find_map(|event| event.progress)).collect();
    let all = || said.iter().flat_map(|one| &one.events);
    let owners: Vec<i32> =
        (1..).zip(said).flat_map(|(nth, one)| one.events.iter().map(move |_| nth)).collect();
    let numbers: Vec<i64> =
        said.iter().flat_map(|one| (one.first..).zip(&one.events).map(|(number, _)| number)).collect();
    let at: Vec<Timestamp> = all().map(|event| event.at).collect();
    let levels: Vec<&str> = all().map(|event| event.level.as_str()).collect();
    let messages: Vec<&str> = all().map(|event| event.message.as_str()).collect();
    let progress: Option<Vec<Option<f64>>> =
        all().any(|event| event.progress.is_some()).then(|| all().map(|event| event.progress).collect());
    let payloads: Option<Vec<Option<&Value>>> = all()
        .any(|event| event.payload.is_some())
        .then(|| all().map(|event| event.payload.as_ref()).collect());
    let stale: Vec<Only<Uuid>> = APPEND
        .all(
            on,
            &[
                &runs, &fences, &lasts, &fractions, &owners, &numbers, &at, &levels, &messages, &progress,
                &payloads, &ending,
            ],
        )
        .await?;
    Ok(stale.into_iter().map(|only| RunId(only.0)).collect())
}

/// Control's own word on a run.
pub async fn note(on: &impl On, run: RunId, level: Level, message: &str) -> Result<()> {
    NOTE.one::<Only<bool>>(on, &[&run.0, &level.as_str(), &message]).await.map(drop)
}

/// At most 1,000 whose id is greater than `after`, in order.
pub async fn list(on: &impl On, run: RunId, after: i64) -> Result<Vec<Event>> {
    LIST.all(on, &[&run.0, &after, &earliest(run)]).await
}

/// Nothing is said of a run before it is queued, which its id tells: partitions
/// before that need not be looked at. A day for clocks that differ.
fn earliest(run: RunId) -> Timestamp {
    let made = run.0.get_timestamp().and_then(|time| {
        let (seconds, _) = time.to_unix();
        Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
    });
    let known = made.filter(|_| run.0.get_version_num() == 7);
    known
        .and_then(|made| made.checked_sub(SignedDuration::from_hours(24)).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A month's partition, and whether it was made, detached or dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    pub name: String,
    pub done: String,
}

impl Read for Partition {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self { name: columns.get("partition")?, done: columns.get("done")? })
    }
}

/// Makes the partitions of the months ahead, and takes away those past `keep` months.
pub async fn keep_partitions(on: &impl On, ahead: i32, keep: i32) -> Result<Vec<Partition>> {
    KEEP.all(on, &[&ahead, &keep]).await
}

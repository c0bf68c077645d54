use std::time::Duration;

use jiff::Timestamp;
use model::WorkerId;
use model::run::WorkerKind;

use crate::query::{Columns, Only, Query, Read, query};
use crate::{On, Result};

const REGISTER: Query = query!("worker/register");
const SEEN: Query = query!("worker/seen");
const LIST: Query = query!("worker/list");
const GONE: Query = query!("worker/gone");
const DRAIN: Query = query!("worker/drain");

#[derive(Debug, Clone)]
pub struct Worker {
    pub id: WorkerId,
    pub name: String,
    pub version: String,
    pub seen_at: Timestamp,
    pub gone_at: Option<Timestamp>,
    /// None: every kind.
    pub kinds: Option<Vec<String>>,
    pub labels: Vec<String>,
    pub draining_at: Option<Timestamp>,
    /// How many it holds.
    pub runs: i64,
}

impl Read for Worker {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            id: columns.id("id")?,
            name: columns.get("name")?,
            version: columns.get("version")?,
            seen_at: columns.get("seen_at")?,
            gone_at: columns.get("gone_at")?,
            kinds: columns.get("kinds")?,
            labels: columns.get("labels")?,
            draining_at: columns.get("draining_at")?,
            runs: columns.get("runs")?,
        })
    }
}

/// A worker's process, as it says that it has started.
#[derive(Debug, Clone, Copy)]
pub struct Register<'a> {
    pub name: &'a str,
    pub version: &'a str,
    /// None: every kind.
    pub kinds: Option<&'a [WorkerKind]>,
    pub labels: &'a [String],
}

/// The id of a worker's name: `id` if the name is new, else the one it has.
pub async fn register(on: &impl On, id: WorkerId, new: &Register<'_>) -> Result<WorkerId> {
    let kinds: Option<Vec<&str>> = new.kinds.map(|kinds| kinds.iter().map(|kind| kind.as_str()).collect());
    let row: Only<uuid::Uuid> =
        REGISTER.one(on, &[&id.0, &new.name, &new.version, &kinds, &new.labels]).await?;
    Ok(WorkerId(row.0))
}

/// Whether it takes nothing more, from now on.
pub async fn drain(on: &impl On, name: &str, drain: bool) -> Result<()> {
    DRAIN.one::<Only<bool>>(on, &[&name, &drain]).await.map(drop)
}

/// Notes that it lives; false: there is no such worker.
pub async fn seen(on: &impl On, worker: WorkerId) -> Result<bool> {
    Ok(SEEN.one::<Only<bool>>(on, &[&worker.0]).await?.0)
}

pub async fn list(on: &impl On) -> Result<Vec<Worker>> {
    LIST.all(on, &[]).await
}

/// The names of those found silent for so long, each told once.
pub async fn gone(on: &impl On, silence: Duration) -> Result<Vec<String>> {
    let names: Vec<Only<String>> = GONE.all(on, &[&silence.as_secs_f64()]).await?;
    Ok(names.into_iter().map(|only| only.0).collect())
}

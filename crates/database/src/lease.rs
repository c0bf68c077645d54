use std::time::Duration;

use jiff::Timestamp;
use model::run::{Loss, RunKind, RunState, Stop};
use model::{BuildId, ProjectId, RestoreId, RunId, SnapshotId, TenantId, WorkerId};
use serde_json::Value;
use uuid::Uuid;

use crate::query::{Columns, Only, Query, Read, query};
use crate::{On, Result};

const CLAIM: Query = query!("lease/claim");
const HOLD: Query = query!("lease/hold");
const EXTEND: Query = query!("lease/extend");
const FINISH: Query = query!("lease/finish");
const LOST: Query = query!("lease/lost");
const TAKE: Query = query!("lease/take");

/// A run that was given to a worker.
#[derive(Debug, Clone)]
pub struct Claimed {
    pub run: RunId,
    pub kind: RunKind,
    pub tenant: Option<TenantId>,
    pub fence: i64,
    pub attempt: i32,
    pub metadata: Value,
}

impl Read for Claimed {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            run: columns.id("run")?,
            kind: columns.written("kind")?,
            tenant: columns.id_if("tenant")?,
            fence: columns.get("fence")?,
            attempt: columns.get("attempt")?,
            metadata: columns.get("metadata")?,
        })
    }
}

/// What a worker can take.
#[derive(Debug, Clone)]
pub struct Claim<'a> {
    pub worker: WorkerId,
    pub kinds: &'a [RunKind],
    pub at_most: i32,
    /// How many of them may be of development environments.
    pub previews: i32,
    pub lease: Duration,
}

/// Takes the first queued runs that the worker is made for and whose tenants
/// nobody works on, under new leases. Also says that the worker lives.
pub async fn claim(on: &impl On, claim: &Claim<'_>) -> Result<Vec<Claimed>> {
    let kinds: Vec<&str> = claim.kinds.iter().map(|kind| kind.as_str()).collect();
    let lease = claim.lease.as_secs_f64();
    CLAIM.all(on, &[&claim.worker.0, &kinds, &claim.at_most, &lease, &claim.previews]).await
}

/// The run that a lease is for.
#[derive(Debug, Clone)]
pub struct Held {
    pub run: RunId,
    pub kind: RunKind,
    pub project: ProjectId,
    pub tenant: Option<TenantId>,
    pub build: Option<BuildId>,
    pub snapshot: Option<SnapshotId>,
    pub restore: Option<RestoreId>,
    pub started_at: Timestamp,
    pub worker: WorkerId,
    pub attempts: i32,
    pub max_attempts: i32,
    pub cancel_requested: bool,
}

impl Held {
    /// Whether it is tried again if it fails now.
    pub fn has_another_attempt(&self) -> bool {
        self.attempts < self.max_attempts && !self.cancel_requested
    }
}

impl Read for Held {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            run: columns.id("id")?,
            kind: columns.written("kind")?,
            project: columns.id("project_id")?,
            tenant: columns.id_if("tenant_id")?,
            build: columns.id_if("build_id")?,
            snapshot: columns.id_if("snapshot_id")?,
            restore: columns.id_if("restore_id")?,
            started_at: columns.get("started_at")?,
            worker: columns.id("worker_id")?,
            attempts: columns.get("attempts")?,
            max_attempts: columns.get("max_attempts")?,
            cancel_requested: columns.get("cancel_requested")?,
        })
    }
}

/// Locks the lease and its run until the transaction ends. None: the run is
/// not held under this fence any more.
pub async fn hold(on: &impl On, run: RunId, fence: i64) -> Result<Option<Held>> {
    HOLD.first(on, &[&run.0, &fence]).await
}

/// A worker's sign of life for one of its runs.
#[derive(Debug, Clone, Copy)]
pub struct Beat {
    pub run: RunId,
    pub fence: i64,
    pub begun: bool,
}

#[derive(Debug, Clone, Copy)]
pub struct Extended {
    pub run: RunId,
    pub stop: Option<Stop>,
    pub worker: WorkerId,
}

impl Read for Extended {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        let stop = columns.get::<Option<&str>>("stop")?.map(str::parse).transpose();
        Ok(Self {
            run: columns.id("run")?,
            stop: stop.map_err(|source| columns.fault("stop", source))?,
            worker: columns.id("worker")?,
        })
    }
}

/// Those that are not answered for are not held under their fence any more.
pub async fn extend(on: &impl On, beats: &[Beat], lease: Duration) -> Result<Vec<Extended>> {
    let runs: Vec<Uuid> = beats.iter().map(|beat| beat.run.0).collect();
    let fences: Vec<i64> = beats.iter().map(|beat| beat.fence).collect();
    let begun: Vec<bool> = beats.iter().map(|beat| beat.begun).collect();
    EXTEND.all(on, &[&runs, &fences, &begun, &lease.as_secs_f64()]).await
}

/// A run's end, as its worker says it.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    pub run: RunId,
    pub fence: i64,
    /// Succeeded, failed or cancelled.
    pub state: RunState,
    /// Given with all but success.
    pub reason: Option<&'a str>,
    pub hint: Option<&'a str>,
}

/// What became of a run that did not just succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Queued: it is tried again.
    In(RunState),
    /// It had ended under the same fence before.
    Again,
    Stale,
}

struct Answer {
    run: RunId,
    ended: Ended,
}

impl Read for Answer {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        let ended = match columns.get::<&str>("outcome")? {
            "again" => Ended::Again,
            "stale" => Ended::Stale,
            _ => Ended::In(columns.written("outcome")?),
        };
        Ok(Self { run: columns.id("run")?, ended })
    }
}

/// Ends runs and lets go of their leases. Answers with those that did not just
/// succeed.
pub async fn finish(on: &impl On, ends: &[End<'_>]) -> Result<Vec<(RunId, Ended)>> {
    finish_some(on, ends, false).await
}

/// As `finish`; a run that does not stand alone is stale.
pub async fn finish_alone(on: &impl On, ends: &[End<'_>]) -> Result<Vec<(RunId, Ended)>> {
    finish_some(on, ends, true).await
}

async fn finish_some(on: &impl On, ends: &[End<'_>], alone: bool) -> Result<Vec<(RunId, Ended)>> {
    let runs: Vec<Uuid> = ends.iter().map(|end| end.run.0).collect();
    let fences: Vec<i64> = ends.iter().map(|end| end.fence).collect();
    let states: Vec<&str> = ends.iter().map(|end| end.state.as_str()).collect();
    let reasons: Vec<Option<&str>> = ends.iter().map(|end| end.reason).collect();
    let hints: Vec<Option<&str>> = ends.iter().map(|end| end.hint).collect();
    let answers: Vec<Answer> = FINISH.all(on, &[&runs, &fences, &states, &reasons, &hints, &alone]).await?;
    Ok(answers.into_iter().map(|answer| (answer.run, answer.ended)).collect())
}

/// A lease to be taken back.
#[derive(Debug, Clone)]
pub struct Lost {
    pub run: RunId,
    pub fence: i64,
    pub why: Loss,
    pub kind: RunKind,
    pub worker: String,
    /// How often the run had lost its worker before.
    pub losses: i32,
    pub attempts: i32,
    pub max_attempts: i32,
    pub deadline: Option<Duration>,
}

impl Read for Lost {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        let deadline: Option<f64> = columns.get("deadline")?;
        Ok(Self {
            run: columns.id("run_id")?,
            fence: columns.get("fence")?,
            why: columns.written("why")?,
            kind: columns.written("kind")?,
            worker: columns.get("worker")?,
            losses: columns.get("losses")?,
            attempts: columns.get("attempts")?,
            max_attempts: columns.get("max_attempts")?,
            deadline: deadline.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        })
    }
}

/// How long a worker may take over each of these.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// To begin what it has claimed.
    pub to_begin: Duration,
    /// To say anything of what it has begun.
    pub silence: Duration,
    /// To stop after the deadline.
    pub to_stop: Duration,
}

/// Leases to be taken back, locked; those that another has locked are skipped.
/// `of`: all of this worker's.
pub async fn lost(on: &impl On, at_most: i32, patience: Patience, of: Option<WorkerId>) -> Result<Vec<Lost>> {
    let Patience { to_begin, silence, to_stop } = patience;
    let seconds = [to_begin, silence, to_stop].map(|time| time.as_secs_f64());
    LOST.all(on, &[&at_most, &seconds[0], &seconds[1], &seconds[2], &of.map(|id| id.0)]).await
}

/// Where a run goes that is taken from its worker.
#[derive(Debug, Clone)]
pub struct Taken {
    pub run: RunId,
    pub fence: i64,
    /// Queued, or an end with a reason.
    pub state: RunState,
    pub reason: Option<String>,
    pub hint: Option<String>,
    /// What its events say of it.
    pub note: String,
}

/// How many were taken.
pub async fn take(on: &impl On, taken: &[Taken]) -> Result<i32> {
    let runs: Vec<Uuid> = taken.iter().map(|one| one.run.0).collect();
    let fences: Vec<i64> = taken.iter().map(|one| one.fence).collect();
    let states: Vec<&str> = taken.iter().map(|one| one.state.as_str()).collect();
    let reasons: Vec<Option<&str>> = taken.iter().map(|one| one.reason.as_deref()).collect();
    let hints: Vec<Option<&str>> = taken.iter().map(|one| one.hint.as_deref()).collect();
    let notes: Vec<&str> = taken.iter().map(|one| one.note.as_str()).collect();
    Ok(TAKE.one::<Only<i32>>(on, &[&runs, &fences, &states, &reasons, &hints, &notes]).await?.0)
}

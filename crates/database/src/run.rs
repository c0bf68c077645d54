use std::time::Duration;

use jiff::Timestamp;
use model::run::{RunKind, RunState};
use model::{BuildId, ProjectId, RestoreId, RunId, SnapshotId, TenantId, WorkerId};
use serde_json::Value;

use crate::guard::{self, Guarded, Seen};
use crate::query::{Columns, Only, Query, Read, query};
use crate::{On, Result};

const INSERT: Query = query!("run/insert");
const LIST: Query = query!("run/list");
const FIND: Query = query!("run/find");
const BY_KEY: Query = query!("run/by_key");
const LOCK: Query = query!("run/lock");
const QUEUED_OF: Query = query!("run/queued_of");
const LIVE_OF: Query = query!("run/live_of");
const CLAIM: Query = query!("run/claim");
const MOVE: Query = query!("run/move");
const ASK_CANCEL: Query = query!("run/ask_cancel");
const PROGRESS: Query = query!("run/progress");
const COUNTS: Query = query!("run/counts");

#[derive(Debug, Clone)]
pub struct Run {
    pub id: RunId,
    pub kind: RunKind,
    pub state: RunState,
    pub project_id: ProjectId,
    pub project: String,
    pub tenant_id: Option<TenantId>,
    pub tenant: Option<String>,
    pub build_id: Option<BuildId>,
    pub snapshot_id: Option<SnapshotId>,
    pub restore_id: Option<RestoreId>,
    pub payload: Value,
    pub request_hash: Option<Vec<u8>>,
    pub attempts: i32,
    pub losses: i32,
    pub fence: Option<i64>,
    pub cancel_requested: bool,
    pub reason: Option<String>,
    pub hint: Option<String>,
    pub progress: Option<f64>,
    pub queued_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
}

impl Read for Run {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            id: columns.id("id")?,
            kind: columns.written("kind")?,
            state: columns.written("state")?,
            project_id: columns.id("project_id")?,
            project: columns.get("project")?,
            tenant_id: columns.id_if("tenant_id")?,
            tenant: columns.get("tenant")?,
            build_id: columns.id_if("build_id")?,
            snapshot_id: columns.id_if("snapshot_id")?,
            restore_id: columns.id_if("restore_id")?,
            payload: columns.get("payload")?,
            request_hash: columns.get("request_hash")?,
            attempts: columns.get("attempts")?,
            losses: columns.get("losses")?,
            fence: columns.get("fence")?,
            cancel_requested: columns.get("cancel_requested")?,
            reason: columns.get("reason")?,
            hint: columns.get("hint")?,
            progress: columns.get("progress")?,
            queued_at: columns.get("queued_at")?,
            started_at: columns.get("started_at")?,
            ended_at: columns.get("ended_at")?,
        })
    }
}

/// What a run is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    Build(BuildId),
    Provision(TenantId),
    Backup(TenantId),
    Snapshot(TenantId, SnapshotId),
    PlanRestore(TenantId, RestoreId),
    Restore(TenantId, RestoreId),
    Expire(TenantId),
}

impl About {
    pub fn kind(self) -> RunKind {
        match self {
            Self::Build(_) => RunKind::Build,
            Self::Provision(_) => RunKind::Provision,
            Self::Backup(_) => RunKind::Backup,
            Self::Snapshot(..) => RunKind::Snapshot,
            Self::PlanRestore(..) => RunKind::PlanRestore,
            Self::Restore(..) => RunKind::Restore,
            Self::Expire(_) => RunKind::Expire,
        }
    }

    pub fn tenant(self) -> Option<TenantId> {
        match self {
            Self::Build(_) => None,
            Self::Provision(tenant)
            | Self::Backup(tenant)
            | Self::Snapshot(tenant, _)
            | Self::PlanRestore(tenant, _)
            | Self::Restore(tenant, _)
            | Self::Expire(tenant) => Some(tenant),
        }
    }
}

#[derive(Debug, Clone)]
pub struct NewRun<'a> {
    pub id: RunId,
    pub project: ProjectId,
    pub about: About,
    pub payload: Value,
    pub requester: &'a str,
    /// The idempotency key, and the SHA-256 of what was asked for under it.
    pub key: Option<(&'a str, &'a [u8])>,
}

/// Queues a run. False, and nothing is queued, when the requester has used the
/// key before or the tenant has a run of this kind under way of which there is
/// one at a time.
pub async fn insert(on: &impl On, new: &NewRun<'_>) -> Result<bool> {
    let build = if let About::Build(build) = new.about { Some(build.0) } else { None };
    let snapshot = if let About::Snapshot(_, snapshot) = new.about { Some(snapshot.0) } else { None };
    let restore = match new.about {
        About::PlanRestore(_, restore) | About::Restore(_, restore) => Some(restore.0),
        _ => None,
    };
    let inserted: Option<Only<uuid::Uuid>> = INSERT
        .first(
            on,
            &[
                &new.id.0,
                &new.about.kind().as_str(),
                &new.project.0,
                &new.about.tenant().map(|id| id.0),
                &build,
                &snapshot,
                &restore,
                &new.payload,
                &new.requester,
                &new.key.map(|(key, _)| key),
                &new.key.map(|(_, hash)| hash),
            ],
        )
        .await?;
    Ok(inserted.is_some())
}

/// Newest first.
pub async fn list(
    on: &impl On,
    tenant: Option<TenantId>,
    state: Option<RunState>,
    at_most: u32,
) -> Result<Vec<Run>> {
    LIST.all(on, &[&tenant.map(|id| id.0), &state.map(RunState::as_str), &i64::from(at_most)]).await
}

pub async fn find(on: &impl On, run: RunId) -> Result<Option<Run>> {
    FIND.first(on, &[&run.0]).await
}

/// What a requester asked for under an idempotency key.
pub async fn by_key(on: &impl On, requester: &str, key: &str) -> Result<Option<Run>> {
    BY_KEY.first(on, &[&requester, &key]).await
}

/// Keeps others from changing it until the transaction ends.
pub async fn lock(on: &impl On, run: RunId) -> Result<Option<RunState>> {
    Ok(LOCK.first::<Locked>(on, &[&run.0]).await?.map(|locked| locked.0))
}

struct Locked(RunState);

impl Read for Locked {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        columns.written("state").map(Self)
    }
}

/// A tenant's queued runs other than those that drop things, locked.
pub async fn queued_of(on: &impl On, tenant: TenantId) -> Result<Vec<RunId>> {
    let runs: Vec<Only<uuid::Uuid>> = QUEUED_OF.all(on, &[&tenant.0]).await?;
    Ok(runs.into_iter().map(|only| RunId(only.0)).collect())
}

/// One of the kinds of which the tenant has a queued or running run.
pub async fn live_of(on: &impl On, tenant: TenantId, kinds: &[RunKind]) -> Result<Option<RunKind>> {
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    Ok(LIVE_OF.first::<Live>(on, &[&tenant.0, &kinds]).await?.map(|live| live.0))
}

struct Live(RunKind);

impl Read for Live {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        columns.written("kind").map(Self)
    }
}

/// What a look into the queue came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    Nothing,
    /// Another worker was quicker with the same tenant; look again.
    Beaten,
    Claimed {
        run: RunId,
        fence: i64,
    },
}

impl Read for Claim {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(if columns.get("claimed")? {
            Self::Claimed { run: columns.id("id")?, fence: columns.get("fence")? }
        } else {
            Self::Beaten
        })
    }
}

/// Takes the oldest queued run of one of the kinds whose tenant nobody works
/// on, under a new lease.
pub async fn claim(on: &impl On, worker: WorkerId, kinds: &[RunKind], lease: Duration) -> Result<Claim> {
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    Ok(CLAIM.first(on, &[&worker.0, &kinds, &lease.as_secs_f64()]).await?.unwrap_or(Claim::Nothing))
}

/// `reason` is given with `failed` and `cancelled`. Queued again from running,
/// the run has lost its worker; from an end, it starts anew.
pub async fn set_state(
    on: &impl On,
    run: RunId,
    from: &[RunState],
    to: RunState,
    reason: Option<&str>,
    hint: Option<&str>,
) -> Result<Guarded<RunState>> {
    let seen: Option<Seen<RunState>> =
        MOVE.first(on, &[&run.0, &guard::written(from), &to.as_str(), &reason, &hint]).await?;
    Ok(seen.into())
}

/// Whether it was running and had not been asked yet.
pub async fn ask_cancel(on: &impl On, run: RunId) -> Result<bool> {
    Ok(ASK_CANCEL.run(on, &[&run.0]).await? > 0)
}

pub async fn set_progress(on: &impl On, run: RunId, progress: f64) -> Result<()> {
    PROGRESS.run(on, &[&run.0, &progress]).await.map(drop)
}

#[derive(Debug, Clone, Copy)]
pub struct Counts {
    pub queued: i64,
    pub running: i64,
}

impl Read for Counts {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self { queued: columns.get("queued")?, running: columns.get("running")? })
    }
}

pub async fn counts(on: &impl On) -> Result<Counts> {
    COUNTS.one(on, &[]).await
}

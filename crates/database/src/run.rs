use std::time::Duration;

use jiff::Timestamp;
use model::run::{Approval, Priority, RunKind, RunState};
use model::{BuildId, EnvironmentId, ProjectId, RestoreId, RunId, SnapshotId, TenantId};
use serde_json::Value;
use uuid::Uuid;

use crate::query::{Columns, Only, Query, Read, query};
use crate::{On, Result};

const QUEUE: Query = query!("run/queue");
const LIST: Query = query!("run/list");
const LIST_FILED: Query = query!("run/list_filed");
const LIST_KIND: Query = query!("run/list_kind");
const LIST_QUEUED: Query = query!("run/list_queued");
const LIST_RUNNING: Query = query!("run/list_running");
const LIST_TENANT: Query = query!("run/list_tenant");
const FIND: Query = query!("run/find");
const AFTER: Query = query!("run/after");
const BY_KEY: Query = query!("run/by_key");
const UNBEGUN_OF: Query = query!("run/unbegun_of");
const LIVE_OF: Query = query!("run/live_of");
const CANCEL: Query = query!("run/cancel");
const RETRY: Query = query!("run/retry");
const READY: Query = query!("run/ready");
const TEND: Query = query!("run/tend");
const COUNTS: Query = query!("run/counts");

#[derive(Debug, Clone)]
pub struct Run {
    pub id: RunId,
    pub kind: RunKind,
    pub state: RunState,
    pub project_id: ProjectId,
    pub project: String,
    pub environment: Option<String>,
    pub tenant_id: Option<TenantId>,
    pub tenant: Option<String>,
    pub build_id: Option<BuildId>,
    pub snapshot_id: Option<SnapshotId>,
    pub restore_id: Option<RestoreId>,
    pub sha: Option<String>,
    pub git_ref: Option<String>,
    pub metadata: Value,
    pub payload: Value,
    pub request_hash: Option<Vec<u8>>,
    pub priority: Priority,
    pub approval: Approval,
    pub labels: Vec<String>,
    pub attempts: i32,
    pub max_attempts: i32,
    pub losses: i32,
    pub fence: Option<i64>,
    pub cancel_requested: bool,
    pub reason: Option<String>,
    pub hint: Option<String>,
    pub progress: Option<f64>,
    pub queued_at: Timestamp,
    /// Not before then, if it is tried again later.
    pub run_at: Option<Timestamp>,
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
            environment: columns.get("environment")?,
            tenant_id: columns.id_if("tenant_id")?,
            tenant: columns.get("tenant")?,
            build_id: columns.id_if("build_id")?,
            snapshot_id: columns.id_if("snapshot_id")?,
            restore_id: columns.id_if("restore_id")?,
            sha: columns.get("sha")?,
            git_ref: columns.get("ref")?,
            metadata: columns.get("metadata")?,
            payload: columns.get("payload")?,
            request_hash: columns.get("request_hash")?,
            priority: columns.written("priority")?,
            approval: columns.written("approval")?,
            labels: columns.get::<Option<Vec<String>>>("labels")?.unwrap_or_default(),
            attempts: columns.get("attempts")?,
            max_attempts: columns.get("max_attempts")?,
            losses: columns.get("losses")?,
            fence: columns.get("fence")?,
            cancel_requested: columns.get("cancel_requested")?,
            reason: columns.get("reason")?,
            hint: columns.get("hint")?,
            progress: columns.get("progress")?,
            queued_at: columns.get("queued_at")?,
            run_at: columns.get("run_at")?,
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
    Peek(TenantId),
    Expire(TenantId),
    Shred(TenantId),
    Probe,
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
            Self::Peek(_) => RunKind::Peek,
            Self::Expire(_) => RunKind::Expire,
            Self::Shred(_) => RunKind::Shred,
            Self::Probe => RunKind::Probe,
        }
    }

    pub fn tenant(self) -> Option<TenantId> {
        match self {
            Self::Build(_) | Self::Probe => None,
            Self::Provision(tenant)
            | Self::Backup(tenant)
            | Self::Snapshot(tenant, _)
            | Self::PlanRestore(tenant, _)
            | Self::Restore(tenant, _)
            | Self::Peek(tenant)
            | Self::Expire(tenant)
            | Self::Shred(tenant) => Some(tenant),
        }
    }

    fn build(self) -> Option<Uuid> {
        if let Self::Build(build) = self { Some(build.0) } else { None }
    }

    fn snapshot(self) -> Option<Uuid> {
        if let Self::Snapshot(_, snapshot) = self { Some(snapshot.0) } else { None }
    }

    fn restore(self) -> Option<Uuid> {
        match self {
            Self::PlanRestore(_, restore) | Self::Restore(_, restore) => Some(restore.0),
            _ => None,
        }
    }
}

#[derive(Debug, Clone)]
pub struct NewRun {
    pub id: RunId,
    pub project: ProjectId,
    pub about: About,
    /// Default: its tenant's.
    pub environment: Option<EnvironmentId>,
    pub sha: Option<String>,
    pub git_ref: Option<String>,
    /// Kept and shown.
    pub metadata: Option<Value>,
    /// Only for the run; emptied when it has succeeded.
    pub payload: Option<Value>,
    /// Default: its kind's.
    pub priority: Option<Priority>,
    /// A worker must have all of them.
    pub labels: Vec<String>,
    pub attempts: Option<i32>,
    /// Seconds that it may take; default: its kind's.
    pub deadline: Option<i32>,
    pub run_at: Option<Timestamp>,
    /// The project has one live run of it at a time.
    pub unique_key: Option<String>,
    /// The idempotency key, and the SHA-256 of what was asked for under it.
    pub key: Option<(String, [u8; 32])>,
    /// Runs of the same project that must have succeeded before.
    pub after: Vec<RunId>,
}

impl NewRun {
    pub fn new(project: ProjectId, about: About) -> Self {
        Self {
            id: RunId::new(),
            project,
            about,
            environment: None,
            sha: None,
            git_ref: None,
            metadata: None,
            payload: None,
            priority: None,
            labels: Vec::new(),
            attempts: None,
            deadline: None,
            run_at: None,
            unique_key: None,
            key: None,
            after: Vec::new(),
        }
    }
}

/// Why a run was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unqueued {
    /// The requester has asked for the same under the key before: that run.
    Before(RunId),
    /// There is a live run of which there is one at a time: that one, if it is
    /// still there.
    Busy(Option<RunId>),
}

struct Answer {
    asked: RunId,
    outcome: Unqueued,
}

impl Read for Answer {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        let run = columns.id_if("run")?;
        let outcome = match (columns.get::<&str>("outcome")?, run) {
            ("before", Some(run)) => Unqueued::Before(run),
            _ => Unqueued::Busy(run),
        };
        Ok(Self { asked: columns.id("asked")?, outcome })
    }
}

/// Queues runs, all or, on an error, none. A user is the requester, whatever
/// is said. Answers with those that were not queued.
pub async fn queue(on: &impl On, requester: &str, new: &[NewRun]) -> Result<Vec<(RunId, Unqueued)>> {
    let ids: Vec<Uuid> = new.iter().map(|run| run.id.0).collect();
    let projects: Vec<Uuid> = new.iter().map(|run| run.project.0).collect();
    let kinds: Vec<&str> = new.iter().map(|run| run.about.kind().as_str()).collect();
    let environments = some(new, |run| run.environment.map(|id| id.0));
    let tenants = some(new, |run| run.about.tenant().map(|id| id.0));
    let builds = some(new, |run| run.about.build());
    let snapshots = some(new, |run| run.about.snapshot());
    let restores = some(new, |run| run.about.restore());
    let shas = some(new, |run| run.sha.as_deref());
    let refs = some(new, |run| run.git_ref.as_deref());
    let metadata = some(new, |run| run.metadata.as_ref());
    let payloads = some(new, |run| run.payload.as_ref());
    let priorities = some(new, |run| run.priority.map(Priority::as_str));
    let labels = some(new, |run| (!run.labels.is_empty()).then(|| run.labels.join(",")));
    let attempts = some(new, |run| run.attempts);
    let deadlines = some(new, |run| run.deadline);
    let times = some(new, |run| run.run_at);
    let unique_keys = some(new, |run| run.unique_key.as_deref());
    let keys = some(new, |run| run.key.as_ref().map(|(key, _)| key.as_str()));
    let hashes = some(new, |run| run.key.as_ref().map(|(_, hash)| &hash[..]));
    let waits = new.iter().flat_map(|run| run.after.iter().map(|after| (run.id.0, after.0)));
    let (dependents, dependencies): (Vec<Uuid>, Vec<Uuid>) = waits.unzip();
    let answers: Vec<Answer> = QUEUE
        .all(
            on,
            &[
                &ids,
                &projects,
                &kinds,
                &requester,
                &environments,
                &tenants,
                &builds,
                &snapshots,
                &restores,
                &shas,
                &refs,
                &metadata,
                &payloads,
                &priorities,
                &labels,
                &attempts,
                &deadlines,
                &times,
                &unique_keys,
                &keys,
                &hashes,
                &dependents,
                &dependencies,
            ],
        )
        .await?;
    Ok(answers.into_iter().map(|answer| (answer.asked, answer.outcome)).collect())
}

/// One element for each run; None where no run has one.
fn some<'a, T>(new: &'a [NewRun], of: impl Fn(&'a NewRun) -> Option<T>) -> Option<Vec<Option<T>>> {
    let all: Vec<Option<T>> = new.iter().map(of).collect();
    all.iter().any(Option::is_some).then_some(all)
}

/// Which runs to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    /// Older than this one.
    pub before: Option<RunId>,
    pub project: Option<ProjectId>,
    pub tenant: Option<TenantId>,
    pub kind: Option<RunKind>,
    pub state: Option<RunState>,
    pub at_most: i64,
}

/// Newest first.
pub async fn list(on: &impl On, filter: &Filter) -> Result<Vec<Run>> {
    let before = filter.before.map_or(Uuid::max(), |id| id.0);
    let project = filter.project.map(|id| id.0);
    let kind = filter.kind.map(RunKind::as_str);
    let state = filter.state.map(RunState::as_str);
    match (filter.tenant, filter.state, filter.kind) {
        (Some(tenant), ..) => {
            LIST_TENANT.all(on, &[&before, &filter.at_most, &project, &kind, &state, &tenant.0]).await
        }
        (None, Some(RunState::Queued), _) => {
            LIST_QUEUED.all(on, &[&before, &filter.at_most, &project, &kind]).await
        }
        (None, Some(RunState::Running), _) => {
            LIST_RUNNING.all(on, &[&before, &filter.at_most, &project, &kind]).await
        }
        (None, Some(filed), _) if filed != RunState::Succeeded => {
            LIST_FILED.all(on, &[&before, &filter.at_most, &project, &kind, &state]).await
        }
        (None, None, Some(rare)) if rare != RunKind::Probe => {
            LIST_KIND.all(on, &[&before, &filter.at_most, &project, &kind]).await
        }
        _ => LIST.all(on, &[&before, &filter.at_most, &project, &kind, &state]).await,
    }
}

pub async fn find(on: &impl On, run: RunId) -> Result<Option<Run>> {
    FIND.first(on, &[&run.0]).await
}

/// The runs that it waits for, or waited for.
pub async fn after(on: &impl On, run: RunId) -> Result<Vec<RunId>> {
    let runs: Vec<Only<Uuid>> = AFTER.all(on, &[&run.0]).await?;
    Ok(runs.into_iter().map(|only| RunId(only.0)).collect())
}

/// What a requester asked for under an idempotency key.
pub async fn by_key(on: &impl On, requester: &str, key: &str) -> Result<Option<Run>> {
    BY_KEY.first(on, &[&requester, &key]).await
}

/// A tenant's runs that have not begun, other than those that drop things.
pub async fn unbegun_of(on: &impl On, tenant: TenantId) -> Result<Vec<RunId>> {
    let runs: Vec<Only<Uuid>> = UNBEGUN_OF.all(on, &[&tenant.0]).await?;
    Ok(runs.into_iter().map(|only| RunId(only.0)).collect())
}

/// One of the kinds of which the tenant has a run that has not ended.
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

struct InState(RunState);

impl Read for InState {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        columns.written("state").map(Self)
    }
}

/// Cancels a run that has not begun, for the reason `why`; a running one is
/// asked to stop. The state it was in.
pub async fn cancel(on: &impl On, run: RunId, why: &str) -> Result<RunState> {
    Ok(CANCEL.one::<InState>(on, &[&run.0, &why]).await?.0)
}

/// Queues a run again that has not ended well. Its state now.
pub async fn retry(on: &impl On, run: RunId) -> Result<RunState> {
    Ok(RETRY.one::<InState>(on, &[&run.0]).await?.0)
}

/// Queues a waiting run if it waits for nothing more. Its state now.
pub async fn ready(on: &impl On, run: RunId) -> Result<RunState> {
    Ok(READY.one::<InState>(on, &[&run.0]).await?.0)
}

/// What was done to keep the queue going.
#[derive(Debug, Clone, Copy)]
pub struct Tended {
    /// Runs whose time has come.
    pub due: i32,
    /// Brought to the front: all turns had passed them.
    pub passed: i32,
    /// Told to stop at their deadline.
    pub overdue: i32,
}

impl Read for Tended {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            due: columns.get("due")?,
            passed: columns.get("passed")?,
            overdue: columns.get("overdue")?,
        })
    }
}

/// `lease` is how long one lives after each heartbeat.
pub async fn tend(on: &impl On, lease: Duration) -> Result<Tended> {
    TEND.one(on, &[&lease.as_secs_f64()]).await
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

//! What worker and router say to control, under `/internal`, with the
//! platform's own key as bearer. Workers never reach SQL: they report facts
//! under the lease of the run that made them, and control commits them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::alert::Place;
use model::archive::{Activation, Backup, Lineage};
use model::lsn::Lsn;
use model::peek::Point;
use model::restore::{Plan, RestoreState, Target};
use model::retention::Retention;
use model::run::{Level, RunKind, Stop, WorkerKind};
use model::tenant::{Serving, TenantState};
use model::{
    BackupId, BuildId, ClusterId, LineageId, PeekId, RestoreId, RunId, SnapshotId, TenantDatabaseId,
    TenantId, WorkerId,
};
use serde::{Deserialize, Serialize};

use crate::api::RestorePlan;

/// `POST /internal/workers`: a worker's process has started. Leases that
/// earlier processes of the same name held are released: the data folder's
/// lock proves that they are gone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Register {
    pub name: String,
    pub version: String,
    /// What it is made for; none: everything.
    #[serde(default)]
    pub kinds: Vec<WorkerKind>,
    /// What it has that a run may need.
    #[serde(default)]
    pub labels: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Registered {
    pub worker: WorkerId,
}

/// `POST /internal/runs/claim`: answers within `wait_ms`, with or without runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claim {
    pub worker: WorkerId,
    pub kinds: Vec<RunKind>,
    /// At most so many, up to 1,000.
    #[serde(default = "one")]
    pub n: u32,
    /// At most so many of them of development environments; default: all. A
    /// worker with several slots keeps one for the others.
    #[serde(default)]
    pub previews: Option<u32>,
    pub wait_ms: u64,
}

fn one() -> u32 {
    1
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claimed {
    pub run: RunId,
    pub tenant: Option<TenantId>,
    pub work: Work,
    /// Stamped on every report; one lower than the run's is refused.
    pub fence: i64,
    pub attempt: i32,
    /// The lease lives this long after each heartbeat.
    pub lease_ms: u64,
}

/// What a run is to do, with everything that control knows about it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Work {
    Build {
        build: BuildWork,
    },
    Provision {
        tenant: TenantWork,
        build: BuildWork,
        admin_password_hash: String,
    },
    Backup {
        tenant: TenantWork,
    },
    Snapshot {
        tenant: TenantWork,
        snapshot: SnapshotId,
        name: String,
        terms: SnapshotTerms,
    },
    PlanRestore {
        tenant: TenantWork,
        restore: RestoreId,
        target: Target,
    },
    Restore {
        tenant: TenantWork,
        restore: RestoreId,
        state: RestoreState,
        target: Target,
        plan: Plan,
        to: Option<Placed>,
    },
    Peek {
        tenant: TenantWork,
        peek: PeekWork,
    },
    Expire {
        tenant: TenantWork,
        clusters: Vec<ClusterId>,
        retention: Retention,
        /// Of its snapshots that are in the repository.
        terms: Vec<SnapshotTerms>,
        /// Look through its history; else the repository only hears the terms.
        sweep: bool,
    },
    Shred {
        tenant: TenantWork,
        clusters: Vec<ClusterId>,
    },
    Probe(Probe),
}

/// What a peek shows, to whom, and for how long.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeekWork {
    pub peek: PeekId,
    pub point: Point,
    /// From when it is open.
    pub seconds: u32,
    /// What PostgreSQL stores of the password, which only who asked was told.
    pub verifier: String,
    /// It was said to be open already, under an earlier lease.
    pub opened: bool,
}

impl std::fmt::Debug for PeekWork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { peek, point, seconds, .. } = self;
        f.debug_struct("PeekWork")
            .field("peek", peek)
            .field("point", point)
            .field("seconds", seconds)
            .finish_non_exhaustive()
    }
}

/// What is to be kept of a snapshot, as it was said last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotTerms {
    pub snapshot: SnapshotId,
    pub pinned: bool,
    pub expires_at: Timestamp,
    pub note: Option<String>,
    /// Grows with each change.
    pub version: i64,
}

/// What a probe does: nothing, for as long as it was asked to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    #[serde(default)]
    pub ms: u64,
    /// It fails in the end.
    #[serde(default)]
    pub fail: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildWork {
    pub build: BuildId,
    pub odoo: String,
    pub python: Option<String>,
    pub addons: Vec<String>,
    pub modules: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantWork {
    pub tenant: TenantId,
    pub name: String,
    /// Small and never used again; the operating system's identities of the
    /// tenant's Odoo and cell derive from it.
    pub ordinal: u32,
    pub database: String,
    pub hostnames: Vec<String>,
    /// Where visitors find it, with the router's port.
    pub url: String,
    pub state: TenantState,
    pub build: BuildWork,
    /// Where the tenant's database is now; None before it is provisioned.
    pub placed: Option<Placed>,
    /// Since when it is served from there; the repository must know before Odoo
    /// writes.
    pub activated_at: Option<Timestamp>,
    /// Days for which every second is kept.
    pub retention_days: u32,
}

/// A tenant's database: which cluster holds it, and on which lineage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    pub tenant_database: TenantDatabaseId,
    pub cluster: ClusterId,
    pub lineage: LineageId,
}

/// `POST /internal/runs/{id}/heartbeat`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Heartbeat {
    pub fence: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HeartbeatAnswer {
    /// Somebody asked for the run to be cancelled.
    pub cancel: bool,
}

/// `POST /internal/runs/heartbeat`: of all the runs that a worker holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Heartbeats {
    pub worker: WorkerId,
    pub runs: Vec<Beat>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Beat {
    pub run: RunId,
    pub fence: i64,
    /// It does not only hold it: it has begun.
    pub begun: bool,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct HeartbeatsAnswer {
    /// Those to be stopped, and why.
    pub stop: Vec<(RunId, Stop)>,
    /// Not held under their fences any more.
    pub stale: Vec<RunId>,
}

/// `POST /internal/runs/{id}/events`: appended in order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Events {
    pub fence: i64,
    /// The number of the first of them, counted along the lease from 1: what is
    /// sent again is not appended again.
    pub first: i64,
    pub events: Vec<Event>,
}

/// `POST /internal/runs/events`: as above, of several runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ManyEvents {
    pub worker: WorkerId,
    pub runs: Vec<RunEvents>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunEvents {
    pub run: RunId,
    pub fence: i64,
    pub first: i64,
    pub events: Vec<Event>,
}

/// What was said of these runs was refused: they are not held so any more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stale {
    pub stale: Vec<RunId>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    pub at: Timestamp,
    pub level: Level,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    /// For programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<serde_json::Value>,
}

/// `POST /internal/runs/{id}/record`: a fact, committed in one guarded update.
/// Recording the same fact twice succeeds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    pub fence: i64,
    pub fact: Fact,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// The build's template can be copied. building -> ready.
    BuildReady {
        build: BuildId,
        odoo_version: String,
    },
    /// A cell exists for the tenant and archives into its own lineage. It is
    /// not served yet; its cluster is `creating`.
    CellCreated {
        tenant: TenantId,
        placed: Placed,
        lineage: Lineage,
    },
    /// Odoo's login form was seen on it; cluster ready; tenant provisioning -> active.
    /// Answered with the activation.
    TenantProvisioned {
        tenant: TenantId,
        placed: Placed,
    },
    BackupCompleted {
        tenant: TenantId,
        backup: Backup,
    },
    /// Its WAL and its files are in the repository. creating -> ready.
    SnapshotReady {
        snapshot: SnapshotId,
        lineage: LineageId,
        lsn: Lsn,
        wal_file: String,
        backup: BackupId,
        size: u64,
        missing_files: u64,
        taken_at: Timestamp,
    },
    /// planning -> planned.
    RestorePlanned {
        restore: RestoreId,
        plan: Plan,
        shown: RestorePlan,
    },
    /// The restore run has started to make its cell. planned -> materialising.
    RestoreStarted {
        restore: RestoreId,
    },
    /// The new cell is checked; the old one is about to be fenced. materialising -> switching.
    RestoreChecked {
        restore: RestoreId,
        to: Placed,
    },
    /// The old cell is fenced: the tenant is pointed at the new one, in one
    /// update guarded by the lineage it pointed at. switching -> switched.
    /// Answered with the activation; answered so again when it had happened.
    RestoreSwitched {
        restore: RestoreId,
        from: Placed,
        to: Placed,
    },
    /// The tenant is served from the new cell. switched -> succeeded.
    RestoreServed {
        restore: RestoreId,
    },
    /// It can be connected to, on its worker's host. opening -> open.
    PeekOpened {
        peek: PeekId,
        port: u16,
    },
    /// The cluster's files are gone. -> dropped.
    ClusterDropped {
        cluster: ClusterId,
    },
    /// The repository has heard what was said of a snapshot.
    SnapshotTermsKept {
        tenant: TenantId,
        snapshot: SnapshotId,
        version: i64,
    },
    /// These are not in the repository any more.
    HistoryDropped {
        tenant: TenantId,
        backups: Vec<BackupId>,
        snapshots: Vec<SnapshotId>,
    },
    /// Its key was destroyed, and its folders are gone.
    TenantShredded {
        tenant: TenantId,
    },
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Recorded {
    pub activation: Option<Activation>,
}

/// `POST /internal/runs/{id}/finish`: once; what the run was about is moved
/// along with it (a failed snapshot run fails its snapshot, and so on).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Finish {
    pub fence: i64,
    pub outcome: Outcome,
}

/// `POST /internal/runs/finish`: several, each with its last words. Answered
/// with those that were not held so any more.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ManyFinishes {
    pub worker: WorkerId,
    pub runs: Vec<RunFinish>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunFinish {
    pub run: RunId,
    pub fence: i64,
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The number of the first of `events`.
    #[serde(default)]
    pub first: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    Succeeded,
    Failed { reason: String, hint: Option<String> },
    Cancelled,
}

/// `GET /internal/workers/{id}/tenants`: what the worker keeps running.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Assignments {
    /// Provisioned tenants on this worker's host, suspended ones included.
    pub tenants: Vec<TenantWork>,
}

/// `GET /internal/workers/{id}/tenants/{tenant}/secrets`: what the tenant's Odoo
/// is given in its environment. Only for a worker that runs the tenant.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct TenantSecrets {
    pub values: BTreeMap<String, String>,
}

impl std::fmt::Debug for TenantSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

/// `POST /internal/workers/{id}/observed`: what the worker sees of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Observed {
    pub tenants: Vec<ObservedTenant>,
    /// Said now and then, like what follows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<ObservedDisk>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wal: Vec<ObservedWal>,
}

/// The disk that one of a worker's folders is on, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedDisk {
    pub place: Place,
    pub total: u64,
    /// What the worker may still fill.
    pub free: u64,
}

/// What a tenant's cell keeps of its WAL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedWal {
    pub tenant: TenantId,
    pub bytes: u64,
    /// None: it is not streamed into the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<ObservedStream>,
}

/// How far the repository is behind a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedStream {
    pub connected: bool,
    /// WAL that is not durable in the repository, as far as was heard of it.
    pub lag_bytes: u64,
    /// For how long there has been such WAL, or nobody could tell.
    pub lag_ms: u64,
    /// How often the cell gave up keeping WAL for the stream, which the archive
    /// closed, since the worker was started.
    pub slots_lost: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedTenant {
    pub tenant: TenantId,
    pub serving: Serving,
    /// `127.0.0.1:8069`
    pub http: Option<String>,
    pub gevent: Option<String>,
    pub router_key: Option<String>,
    pub cell_port: Option<u16>,
}

/// `POST /internal/workers/{id}/peeks`: what became of the host's peeks, and
/// what is to become of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Peeks {
    /// Nothing is left of them. open, ending -> ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<PeekId>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeeksAnswer {
    /// Open on this host. What else is there, and no run makes, is to go.
    pub open: Vec<PeekId>,
    /// Those that it has not said to be gone.
    pub ending: Vec<PeekId>,
}

/// `GET /internal/routes?after=VERSION&wait_ms=N`: answers when the table has
/// left VERSION, or after the wait with the same one. Versions are opaque.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routes {
    pub version: String,
    pub routes: Vec<RouteEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteEntry {
    pub host: String,
    pub tenant: TenantId,
    pub name: String,
    pub state: TenantState,
    pub serving: Serving,
    pub http: Option<String>,
    pub gevent: Option<String>,
    pub router_key: Option<String>,
}

/// `GET /internal/workers/{id}/questions?wait_ms=N` and
/// `POST /internal/workers/{id}/answers`: how control reaches what only the
/// worker's host has (log files), without a port of the worker's own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Questions {
    pub questions: Vec<Question>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Question {
    pub id: uuid::Uuid,
    pub ask: Ask,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// The last lines of a tenant's Odoo log, or of its cell's.
    TenantLog { tenant: TenantId, lineage: LineageId, source: LogSource, lines: u32 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogSource {
    Odoo,
    Cluster,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer {
    pub id: uuid::Uuid,
    pub lines: Vec<String>,
}

//! The public API under `/api/v1`: bearer keys, JSON, problems as
//! `application/problem+json`. Its OpenAPI document is
//! `docs/reference/openapi.json`.

use jiff::Timestamp;
use model::access::Role;
use model::alert::{AlertKind, AlertState, Severity};
use model::cluster::ClusterState;
use model::peek::PeekState;
use model::policy::{Act, ApprovalState, Decision};
use model::project::{BuildState, Stage};
use model::restore::RestoreState;
use model::run::{Level, Priority, RunKind, RunState};
use model::schedule::{Action, CatchUp};
use model::snapshot::{SnapshotKind, SnapshotState};
use model::tenant::{Serving, TenantState, Tier};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::schema::{addons, modules, one_of, one_of_or_none};

/// What every refused or failed request answers with (RFC 9457).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A stable word for the kind of problem, such as `taken` or `not-found`.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    /// One sentence on what is wrong.
    pub detail: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Stands in control's log beside the cause.
    pub request_id: String,
}

/// One piece of a list. There is more while `next` is there.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Ask for the next piece with it as `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// A list that is never cut.
    pub fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProject {
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "demo")]
    pub name: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Project {
    pub id: Uuid,
    pub name: String,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBuild {
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "demo")]
    pub project: String,
    /// An Odoo source tree, or a virtual environment with Odoo in it, on the
    /// worker's host.
    #[schema(pattern = "^/[^\\x00]*$", max_length = 4000, example = "/opt/odoo")]
    pub odoo: String,
    /// The Python that runs it; default: the virtual environment's, or `/usr/bin/python3`.
    #[serde(default)]
    #[schema(pattern = "^/[^\\x00]*$", max_length = 4000)]
    pub python: Option<String>,
    /// Further addons folders.
    #[serde(default)]
    #[schema(schema_with = addons)]
    pub addons: Vec<String>,
    /// Modules that every tenant of this build starts with.
    #[schema(schema_with = modules)]
    pub modules: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Build {
    pub id: Uuid,
    pub project: String,
    #[schema(schema_with = one_of::<BuildState>)]
    pub state: BuildState,
    pub odoo: String,
    pub modules: Vec<String>,
    /// Odoo's series, such as `18.0`; known once the build is ready.
    pub odoo_version: Option<String>,
    pub run: Uuid,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEnvironment {
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "demo")]
    pub project: String,
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "staging")]
    pub name: String,
    #[schema(schema_with = one_of::<Stage>)]
    pub stage: Stage,
    /// The build its tenants are made from; default: the project's newest ready one.
    #[serde(default)]
    pub build: Option<Uuid>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Environment {
    pub id: Uuid,
    pub project: String,
    pub name: String,
    #[schema(schema_with = one_of::<Stage>)]
    pub stage: Stage,
    pub build: Uuid,
    /// Grows with each change; `If-Match` names it.
    pub version: i64,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Since when it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub archived_at: Option<Timestamp>,
}

/// Changes what an environment's tenants are made from.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeEnvironment {
    /// A ready build of its project.
    pub build: Uuid,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTenant {
    /// `PROJECT/ENVIRONMENT`, or its id.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}(/[a-z0-9][a-z0-9-]{0,62})?$", example = "demo/production")]
    pub environment: String,
    /// Names it in commands; unique on this platform.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "acme")]
    pub name: String,
    /// Its hostname's first label, not one of the platform's own; default: its name.
    #[serde(default)]
    #[schema(pattern = "^[a-z][a-z0-9-]{1,61}[a-z0-9]$")]
    pub subdomain: Option<String>,
    /// Default: its name, with `_` for `-`.
    #[serde(default)]
    #[schema(pattern = "^[a-z][a-z0-9_-]{0,62}$")]
    pub database: Option<String>,
    #[serde(default)]
    #[schema(schema_with = one_of_or_none::<Tier>)]
    pub tier: Option<Tier>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Tenant {
    pub id: Uuid,
    pub name: String,
    /// `PROJECT/ENVIRONMENT`
    pub environment: String,
    pub subdomain: String,
    pub database: String,
    /// Where visitors find it.
    pub url: String,
    #[schema(schema_with = one_of::<TenantState>)]
    pub state: TenantState,
    #[schema(schema_with = one_of::<Serving>)]
    pub serving: Serving,
    #[schema(schema_with = one_of::<Tier>)]
    pub tier: Tier,
    pub max_users: i32,
    pub max_storage_bytes: i64,
    pub max_ai_operations_per_day: i32,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub subscription_ends_at: Option<Timestamp>,
    /// The line of its history that it serves now.
    pub lineage: Option<Uuid>,
    #[schema(schema_with = one_of_or_none::<ClusterState>)]
    pub cluster_state: Option<ClusterState>,
    /// The first second it can be given back as.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub restorable_from: Option<Timestamp>,
    /// When its key was destroyed: nothing of it can be read again.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub shredded_at: Option<Timestamp>,
    /// How far the repository is behind it; none: its WAL is not streamed, or
    /// nothing was heard of it yet.
    #[serde(default)]
    pub wal_lag: Option<WalLag>,
    /// Grows with each change; `If-Match` names it.
    pub version: i64,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// What a tenant wrote and would lose with its host, as its worker said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WalLag {
    /// Of WAL that is not durable in the repository.
    pub bytes: u64,
    /// Milliseconds for which there has been such WAL.
    pub ms: u64,
    /// How often its cell gave up keeping WAL for the stream, so that the
    /// archive had to close the gap.
    pub slots_lost: u64,
}

/// Changes what a tenant may use; what is left out stays as it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeTenant {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = one_of::<Tier>)]
    pub tier: Option<Tier>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i32, required = false, minimum = 1, maximum = 1_000_000)]
    pub max_users: Option<i32>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i64, required = false, minimum = 1, maximum = 1_125_899_906_842_624_i64)]
    pub max_storage_bytes: Option<i64>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i32, required = false, minimum = 1, maximum = 1_000_000_000)]
    pub max_ai_operations_per_day: Option<i32>,
    /// Null: it does not end.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub subscription_ends_at: Option<Option<Timestamp>>,
}

/// A field that is there has a value; null is one only where the type says so.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(field: D) -> Result<Option<T>, D::Error> {
    T::deserialize(field).map(Some)
}

/// Takes a tenant out of service for good.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ArchiveTenant {
    /// Its name once more: archiving cannot be taken back.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    pub confirm: String,
}

/// Destroys an archived tenant's key.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShredTenant {
    /// Its name once more: what is shredded can never be read again.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    pub confirm: String,
}

/// A tenant just asked for, with what is shown only this once.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CreatedTenant {
    pub tenant: Tenant,
    pub run: Run,
    /// The login and password of its Odoo administrator. Heddle keeps a hash.
    pub admin_login: String,
    pub admin_password: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSnapshot {
    /// Default: the time it is taken at, as `20261121-113551`.
    #[serde(default)]
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    pub name: Option<String>,
    #[serde(default)]
    #[schema(schema_with = one_of_or_none::<SnapshotKind>)]
    pub kind: Option<SnapshotKind>,
    /// Default: the end of the retention window; up to ten years.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// Why it is taken, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 500)]
    pub note: Option<String>,
    /// Kept until it is unpinned, whatever its expiry.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Snapshot {
    pub id: Uuid,
    pub tenant: String,
    pub name: String,
    #[schema(schema_with = one_of::<SnapshotState>)]
    pub state: SnapshotState,
    #[schema(schema_with = one_of::<SnapshotKind>)]
    pub kind: SnapshotKind,
    /// Why it was taken, for people.
    #[serde(default)]
    pub note: Option<String>,
    /// Kept until it is unpinned, whatever its expiry.
    #[serde(default)]
    pub pinned: bool,
    /// Known once the point is written: `0/3000148`.
    pub lsn: Option<String>,
    pub wal_file: Option<String>,
    pub backup: Option<Uuid>,
    /// Bytes of the database and the files it names.
    pub size: Option<i64>,
    /// Files that the database names and nobody has: lost before the snapshot.
    pub missing_files: Option<i64>,
    pub run: Uuid,
    /// When the point was written.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub taken_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// What to restore to: exactly one of the two.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRestore {
    /// A snapshot's name or id.
    #[serde(default)]
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    pub snapshot: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Restore {
    pub id: Uuid,
    pub tenant: String,
    #[schema(schema_with = one_of::<RestoreState>)]
    pub state: RestoreState,
    pub snapshot: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
    /// Known from the state `planned` on.
    pub plan: Option<RestorePlan>,
    /// Why it failed.
    pub reason: Option<String>,
    /// The run that plans it or, once confirmed, carries it out.
    pub run: Uuid,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// A restore's plan, for people to read.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RestorePlan {
    /// The lineage whose history is read: what the tenant served then.
    pub source_lineage: Uuid,
    /// The lineage it serves now, which is kept aside.
    pub current_lineage: Uuid,
    pub backup: Uuid,
    #[schema(value_type = String, format = DateTime)]
    pub backup_taken_at: Timestamp,
    pub backup_bytes: u64,
    pub wal_bytes: u64,
    /// Oldest first.
    pub lineages: Vec<PlannedLineage>,
    /// One line each, in the order they are done.
    pub steps: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PlannedLineage {
    pub lineage: Uuid,
    pub timeline: u32,
    pub from: String,
    pub to: String,
}

/// What to look at: at most one of the three; none: the newest state.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPeek {
    /// A snapshot's name or id.
    #[serde(default)]
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    pub snapshot: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
    /// A position in the WAL of the lineage that is served now: `0/3000148`.
    #[serde(default)]
    #[schema(pattern = "^[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}$", example = "0/3000148")]
    pub lsn: Option<String>,
    /// How long it lasts from when it is open; default: an hour.
    #[serde(default)]
    #[schema(minimum = 10, maximum = 86400)]
    pub seconds: Option<u32>,
}

/// A tenant's database as it was, to be read for a while.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Peek {
    pub id: Uuid,
    pub tenant: String,
    #[schema(schema_with = one_of::<PeekState>)]
    pub state: PeekState,
    pub snapshot: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
    pub lsn: Option<String>,
    pub seconds: u32,
    /// On whose host it is, once it is open.
    pub worker: Option<String>,
    /// As seen from that host: its loopback.
    pub host: Option<String>,
    pub port: Option<u16>,
    pub database: String,
    pub user: String,
    /// Why it ends, or has failed.
    pub reason: Option<String>,
    /// The run that makes it.
    pub run: Uuid,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub opened_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
}

#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct CreatedPeek {
    pub peek: Peek,
    /// Shown this once. Empty when the same request was answered before.
    pub password: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Run {
    pub id: Uuid,
    #[schema(schema_with = one_of::<RunKind>)]
    pub kind: RunKind,
    #[schema(schema_with = one_of::<RunState>)]
    pub state: RunState,
    pub tenant: Option<String>,
    pub project: Option<String>,
    /// Its environment's name.
    #[serde(default)]
    pub environment: Option<String>,
    #[serde(default)]
    pub sha: Option<String>,
    #[serde(default, rename = "ref")]
    pub git_ref: Option<String>,
    /// As it was asked with.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub metadata: serde_json::Value,
    #[schema(schema_with = one_of::<Priority>)]
    pub priority: Priority,
    /// `pending`: it waits for one.
    #[schema(schema_with = one_of::<model::run::Approval>)]
    pub approval: model::run::Approval,
    /// The runs that it waits for, or waited for; told of one run, not in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Uuid>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// How often a worker has claimed it.
    pub attempts: i32,
    /// How often it may be tried; 1: a failure is its end.
    pub max_attempts: i32,
    /// Why it failed or was cancelled.
    pub reason: Option<String>,
    pub hint: Option<String>,
    /// What it is doing: a fraction from 0 to 1 and a word.
    pub progress: Option<f64>,
    #[schema(value_type = String, format = DateTime)]
    pub queued_at: Timestamp,
    /// After a failure: when it is tried again.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub run_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
}

/// One or more runs, queued together or not at all.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRuns {
    #[schema(min_items = 1, max_items = 1000)]
    pub runs: Vec<NewRun>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRun {
    /// A project's name or id.
    pub project: String,
    /// The name or id of one of its environments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// `probe`, or `backup` of a tenant. The other kinds follow from what is
    /// asked for: a build, a tenant, a snapshot, a restore.
    #[schema(schema_with = one_of::<RunKind>)]
    pub kind: RunKind,
    /// The name or id of a tenant of the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9a-f]{7,64}$")]
    pub sha: Option<String>,
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255)]
    pub git_ref: Option<String>,
    /// An object of at most 16 KiB, kept and shown. A probe reads `ms`, how long
    /// it takes, and `fail`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<serde_json::Value>,
    /// Asked twice under the same key, it is one run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200)]
    pub idempotency_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = one_of_or_none::<Priority>)]
    pub priority: Option<Priority>,
    /// Runs of the same project that must have succeeded before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub after: Vec<Uuid>,
    /// A worker must have all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 20)]
    pub labels: Vec<String>,
    /// How often it is tried before it is dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub attempts: Option<i32>,
    /// Seconds that it may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 604_800)]
    pub deadline: Option<i32>,
    /// While one run with this key is under way, the project gets no second one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200)]
    pub unique_key: Option<String>,
    /// Not before then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub run_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct QueuedRuns {
    /// In the order they were asked for.
    pub runs: Vec<QueuedRun>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueuedRun {
    pub id: Uuid,
    /// False: it was there already, under the same idempotency or unique key.
    pub new: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RunEvent {
    /// Grows along a run.
    pub id: i64,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    #[schema(schema_with = one_of::<Level>)]
    pub level: Level,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    /// For programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub payload: Option<serde_json::Value>,
}

/// One event of a run's stream, as its lines say it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StreamEvent {
    /// `event`, `run` or `end`.
    #[schema(pattern = "^(event|run|end)$")]
    pub event: String,
    /// JSON: a RunEvent, or the Run.
    pub data: String,
    /// Of an `event`: where `Last-Event-ID` goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LogLines {
    pub lines: Vec<String>,
}

/// What a policy asks for.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyTerms {
    /// How many different people must approve, none of them who asked; 0:
    /// nobody, whatever a wider policy says.
    #[schema(minimum = 0, maximum = 10)]
    pub approvals: i32,
    /// In which roles they are; default: owner and admin.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub roles: Option<Vec<Role>>,
    /// Seconds after which what nobody decided on ends; default: a day.
    #[serde(default)]
    #[schema(minimum = 60, maximum = 2_592_000)]
    pub expires_after: Option<i32>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPolicy {
    pub project: String,
    #[schema(schema_with = one_of::<Act>)]
    pub act: Act,
    /// Only in this environment of the project: its name.
    #[serde(default)]
    pub environment: Option<String>,
    /// Only in environments of this stage.
    #[serde(default)]
    #[schema(schema_with = one_of_or_none::<Stage>)]
    pub stage: Option<Stage>,
    /// As in PolicyTerms, here and below.
    #[schema(minimum = 0, maximum = 10)]
    pub approvals: i32,
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub roles: Option<Vec<Role>>,
    #[serde(default)]
    #[schema(minimum = 60, maximum = 2_592_000)]
    pub expires_after: Option<i32>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Policy {
    pub id: Uuid,
    pub project: String,
    #[schema(schema_with = one_of::<Act>)]
    pub act: Act,
    pub environment: Option<String>,
    #[schema(schema_with = one_of_or_none::<Stage>)]
    pub stage: Option<Stage>,
    pub approvals: i32,
    #[schema(value_type = Vec<String>)]
    pub roles: Vec<Role>,
    /// Seconds.
    pub expires_after: i32,
    pub version: i64,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// Something that waits, or waited, for the approval of others.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Approval {
    pub id: Uuid,
    pub project: String,
    /// `PROJECT/ENVIRONMENT`
    pub environment: Option<String>,
    #[schema(schema_with = one_of::<Act>)]
    pub act: Act,
    /// What it is about: `restore acme`.
    pub summary: String,
    /// The run that waits for it. An act without a run is asked for again once
    /// it is granted.
    pub run: Option<Uuid>,
    #[schema(schema_with = one_of::<ApprovalState>)]
    pub state: ApprovalState,
    /// How many people must approve.
    pub needed: i32,
    /// In which roles of the project.
    #[schema(value_type = Vec<String>)]
    pub roles: Vec<Role>,
    /// A login, or an API key's name.
    pub requested_by: String,
    /// While it is pending: who may still decide. Operators may as well.
    pub waits_for: Vec<String>,
    pub decisions: Vec<ApprovalDecision>,
    #[schema(value_type = String, format = DateTime)]
    pub asked_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub decided_at: Option<Timestamp>,
}

/// What one person has said.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ApprovalDecision {
    pub by: String,
    #[schema(schema_with = one_of::<Decision>)]
    pub decision: Decision,
    pub note: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub decided_at: Timestamp,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Decide {
    /// Why; kept, and shown to who asked.
    #[serde(default)]
    #[schema(max_length = 1000)]
    pub note: Option<String>,
}

/// Ends an environment and archives its tenants.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DestroyEnvironment {
    /// The environment's name once more, if it is production.
    #[serde(default)]
    pub confirm: Option<String>,
}

/// Who asks for a key of their own.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    #[schema(max_length = 100)]
    pub login: String,
    #[schema(format = Password, write_only)]
    pub password: String,
    /// What the key is called: the machine it is for.
    #[schema(max_length = 100)]
    pub name: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("login", &self.login).field("name", &self.name).finish_non_exhaustive()
    }
}

/// A key just made, which is shown only this once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct LoggedIn {
    pub login: String,
    /// `hk_…`
    pub key: String,
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

/// Whose secrets are meant: exactly one of the three.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SecretsOf {
    /// A project's name or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// `PROJECT/ENVIRONMENT`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// A tenant's name or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// A value, on its only way.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSecret {
    /// Text of 1 to 32,768 bytes, without NUL.
    #[schema(format = Password, write_only, max_length = 32768)]
    pub value: String,
}

impl std::fmt::Debug for NewSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NewSecret(…)")
    }
}

/// A secret, without its value.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Secret {
    /// Also the variable that tenants' Odoos find it in.
    pub name: String,
    pub project: String,
    /// `PROJECT/ENVIRONMENT`, if it is of an environment or a tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// If it is a tenant's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    pub version: i64,
    /// Tells values apart, and says nothing else of them.
    pub fingerprint: String,
    #[schema(value_type = String, format = DateTime)]
    pub set_at: Timestamp,
    /// A login, or an API key's name.
    pub set_by: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Status {
    pub version: String,
    pub workers: Vec<WorkerStatus>,
    pub runs_queued: i64,
    pub runs_running: i64,
    /// The first 1,000 by name.
    pub tenants: Vec<Tenant>,
}

/// Whether a worker takes nothing more.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Drain {
    pub drain: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WorkerStatus {
    pub name: String,
    pub version: String,
    pub alive: bool,
    /// What it is made for; none: everything.
    #[serde(default)]
    pub kinds: Vec<String>,
    #[serde(default)]
    pub labels: Vec<String>,
    /// It takes nothing more.
    #[serde(default)]
    pub draining: bool,
    /// How many runs it has.
    #[serde(default)]
    pub runs: i64,
    #[schema(value_type = String, format = DateTime)]
    pub seen_at: Timestamp,
}

/// What queues runs at times.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSchedule {
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "demo")]
    pub project: String,
    /// Names it in the project, and begins the names of its snapshots.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,39}$", example = "nightly")]
    pub name: String,
    /// `snapshot`, `backup`, `expire` or `probe`
    #[schema(value_type = String, pattern = "^(snapshot|backup|expire|probe)$", example = "snapshot")]
    pub action: Action,
    /// Only this environment's tenants; the name without the project's.
    #[serde(default)]
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "production")]
    pub environment: Option<String>,
    /// Only this tenant.
    #[serde(default)]
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    pub tenant: Option<String>,
    /// Minute, hour, day of the month, month and weekday.
    #[schema(max_length = 100, example = "30 2 * * 1-5")]
    pub cron: String,
    /// Whose clocks it goes by; default: `UTC`.
    #[serde(default)]
    #[schema(max_length = 60, example = "Europe/Paris")]
    pub zone: Option<String>,
    /// What becomes of times at which no control was there: `none`, `once`
    /// (the default: the latest is run) or `all`.
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = "^(none|once|all)$")]
    pub catch_up: Option<CatchUp>,
    /// Default: true.
    #[serde(default)]
    pub enabled: Option<bool>,
}

/// What is left out stays as it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeSchedule {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^(snapshot|backup|expire|probe)$")]
    pub action: Option<Action>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 100, example = "30 2 * * 1-5")]
    pub cron: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 60, example = "Europe/Paris")]
    pub zone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, pattern = "^(none|once|all)$")]
    pub catch_up: Option<CatchUp>,
    /// False pauses it. Times that pass while it is paused are not caught up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Schedule {
    pub id: Uuid,
    pub project: String,
    pub name: String,
    #[schema(value_type = String)]
    pub action: Action,
    pub environment: Option<String>,
    pub tenant: Option<String>,
    pub cron: String,
    pub zone: String,
    #[schema(value_type = String)]
    pub catch_up: CatchUp,
    pub enabled: bool,
    /// Grows with each change that somebody makes.
    pub version: i64,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_at: Option<Timestamp>,
    /// The time it was last run for.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_at: Option<Timestamp>,
    /// The last run that it queued.
    pub last_run: Option<Uuid>,
    /// What came of it.
    pub last_note: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// One of the times at which a schedule comes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ScheduledTime {
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What the clocks of its zone show then: `2026-11-22T02:30:00+01:00`.
    pub local: String,
}

/// What a schedule queued when it was asked to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ScheduleRan {
    pub runs: Vec<Uuid>,
    /// In words, with what was left out and why.
    pub note: String,
}

/// When runs that disturb people may be done.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMaintenanceWindow {
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "demo")]
    pub project: String,
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "sunday")]
    pub name: String,
    /// Only this environment's; the name without the project's.
    #[serde(default)]
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "production")]
    pub environment: Option<String>,
    /// When it opens: minute, hour, day of the month, month and weekday.
    #[schema(max_length = 100, example = "0 2 * * SUN")]
    pub cron: String,
    /// Default: `UTC`.
    #[serde(default)]
    #[schema(max_length = 60, example = "Europe/Paris")]
    pub zone: Option<String>,
    /// For how long it is open.
    #[schema(minimum = 1, maximum = 1440)]
    pub minutes: i32,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MaintenanceWindow {
    pub id: Uuid,
    pub project: String,
    pub name: String,
    pub environment: Option<String>,
    pub cron: String,
    pub zone: String,
    pub minutes: i32,
    /// Set while it is open.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub open_until: Option<Timestamp>,
    /// When it opens next; set while it is closed.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub opens_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// Something that somebody should look at.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Alert {
    pub id: Uuid,
    /// Such as `disk_full` or `backup_overdue`.
    #[schema(value_type = String)]
    pub kind: AlertKind,
    /// What it is about: an id or a name, by its kind.
    pub subject: String,
    /// Left out where it is about the whole installation.
    pub project: Option<String>,
    /// `info`, `warning` or `critical`
    #[schema(value_type = String)]
    pub severity: Severity,
    /// `open`, `acknowledged` or `resolved`
    #[schema(value_type = String)]
    pub state: AlertState,
    pub detail: String,
    #[schema(value_type = String, format = DateTime)]
    pub opened_at: Timestamp,
    /// `user:<id>` or `key:<id>`
    pub acknowledged_by: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub acknowledged_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub resolved_at: Option<Timestamp>,
}

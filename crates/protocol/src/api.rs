//! The public API under `/api/v1`: bearer keys, JSON, problems as
//! `application/problem+json`. Its OpenAPI document is
//! `docs/reference/openapi.json`.

use jiff::Timestamp;
use model::cluster::ClusterState;
use model::project::{BuildState, Stage};
use model::restore::RestoreState;
use model::run::{Level, RunKind, RunState};
use model::snapshot::{SnapshotKind, SnapshotState};
use model::tenant::{Serving, TenantState, Tier};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

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

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProject {
    /// `^[a-z0-9][a-z0-9-]{0,62}$`
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
    pub project: String,
    /// An Odoo source tree, or a virtual environment with Odoo in it, on the
    /// worker's host.
    pub odoo: String,
    /// The Python that runs it; default: the virtual environment's, or `/usr/bin/python3`.
    #[serde(default)]
    pub python: Option<String>,
    /// Further addons folders.
    #[serde(default)]
    pub addons: Vec<String>,
    /// Modules that every tenant of this build starts with.
    pub modules: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Build {
    pub id: Uuid,
    pub project: String,
    #[schema(value_type = String)]
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
    pub project: String,
    pub name: String,
    #[schema(value_type = String)]
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
    #[schema(value_type = String)]
    pub stage: Stage,
    pub build: Uuid,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTenant {
    /// `PROJECT/ENVIRONMENT`
    pub environment: String,
    /// Names it in commands; unique on this platform.
    pub name: String,
    /// Its hostname's first label; default: its name.
    #[serde(default)]
    pub subdomain: Option<String>,
    /// Default: its name, with `_` for `-`.
    #[serde(default)]
    pub database: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
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
    #[schema(value_type = String)]
    pub state: TenantState,
    #[schema(value_type = String)]
    pub serving: Serving,
    #[schema(value_type = String)]
    pub tier: Tier,
    pub max_users: i32,
    pub max_storage_bytes: i64,
    pub max_ai_operations_per_day: i32,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub subscription_ends_at: Option<Timestamp>,
    /// The line of its history that it serves now.
    pub lineage: Option<Uuid>,
    #[schema(value_type = Option<String>)]
    pub cluster_state: Option<ClusterState>,
    /// The first second it can be given back as.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub restorable_from: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// Takes a tenant out of service for good.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ArchiveTenant {
    /// Its name once more: archiving cannot be taken back.
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

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSnapshot {
    /// Default: the time it is taken at, as `20261121-113551`.
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub kind: Option<SnapshotKind>,
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Snapshot {
    pub id: Uuid,
    pub tenant: String,
    pub name: String,
    #[schema(value_type = String)]
    pub state: SnapshotState,
    #[schema(value_type = String)]
    pub kind: SnapshotKind,
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
    pub snapshot: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Restore {
    pub id: Uuid,
    pub tenant: String,
    #[schema(value_type = String)]
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

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Run {
    pub id: Uuid,
    #[schema(value_type = String)]
    pub kind: RunKind,
    #[schema(value_type = String)]
    pub state: RunState,
    pub tenant: Option<String>,
    pub project: Option<String>,
    /// How often a worker has claimed it.
    pub attempts: i32,
    /// Why it failed or was cancelled.
    pub reason: Option<String>,
    pub hint: Option<String>,
    /// What it is doing: a fraction from 0 to 1 and a word.
    pub progress: Option<f64>,
    #[schema(value_type = String, format = DateTime)]
    pub queued_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RunEvent {
    /// Grows along a run.
    pub id: i64,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    #[schema(value_type = String)]
    pub level: Level,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LogLines {
    pub lines: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Status {
    pub version: String,
    pub workers: Vec<WorkerStatus>,
    pub runs_queued: i64,
    pub runs_running: i64,
    pub tenants: Vec<Tenant>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WorkerStatus {
    pub name: String,
    pub version: String,
    pub alive: bool,
    #[schema(value_type = String, format = DateTime)]
    pub seen_at: Timestamp,
}

/// What was written down of a change, as it is sealed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditRow {
    pub id: i64,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// None: what was changed belongs to no project.
    pub project: Option<Uuid>,
    /// `user:<id>`, `key:<id>`, `worker:<id>`, `schedule:<id>`, `platform`, or `role:<name>` for whoever reached the
    /// database past Heddle.
    pub actor: String,
    /// Through what: `session`, `api-key`, `worker`, `schedule`, `platform` or `sql`.
    pub via: String,
    /// From where.
    pub address: Option<String>,
    /// The request's id, as control's log has it.
    pub request: Option<String>,
    /// The run that led to it.
    pub run: Option<Uuid>,
    /// `<table>.created`, `.changed` or `.removed`; `refused`.
    pub act: String,
    /// What was changed, first, and what that is about.
    pub subjects: Vec<Uuid>,
    /// A value; or, of a change, the values before and after. Of what may be secret, that it has changed.
    #[schema(value_type = Object)]
    pub detail: serde_json::Value,
    /// For people; not sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_name: Option<String>,
    /// For people; not sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_name: Option<String>,
}

/// The end of a chain, signed: whoever keeps it elsewhere can tell later
/// whether the chain is still the same up to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditHead {
    /// Whose chain; None: of what belongs to no project.
    pub project: Option<Uuid>,
    pub block: i64,
    /// How many rows the chain has.
    pub rows: i64,
    /// All the chain's rows whose id is greater than `after` and at most `through` are in the block.
    pub after: i64,
    pub through: i64,
    /// SHA-256 of the last row and, through the hashes before it, of all.
    pub hash: String,
    #[schema(value_type = String, format = DateTime)]
    pub sealed_at: Timestamp,
    /// The public key (Ed25519), and the signature of all the above by it.
    pub key: String,
    pub signature: String,
}

/// Rows of a chain that were sealed together, without the rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditBlock {
    pub head: AuditHead,
    /// The hash that the block goes on from.
    pub previous: String,
    pub ids: Vec<i64>,
    /// Of each row, with those before it.
    pub hashes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditSealed {
    pub block: AuditBlock,
    /// What the chain has of rows in the block's range now.
    pub rows: Vec<AuditRow>,
}

/// A part of a chain, from one block on.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditBlocks {
    pub items: Vec<AuditSealed>,
    /// Whether there are further blocks.
    pub more: bool,
    /// At the chain's end: rows that the sealing has passed by. It passes none; somebody has put them there.
    pub strays: Vec<AuditRow>,
    /// At the chain's end: how many rows wait to be sealed.
    pub unsealed: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditChains {
    /// The public key that control signs with now.
    pub key: Option<String>,
    pub items: Vec<AuditChain>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditChain {
    /// The project's name; None: of what belongs to no project.
    pub name: Option<String>,
    pub head: AuditHead,
}

/// A line of an exported chain: its blocks, each before its rows, and its head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditLine {
    Block(AuditBlock),
    Row(AuditRow),
    Head(AuditHead),
}

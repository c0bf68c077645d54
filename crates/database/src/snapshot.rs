use jiff::Timestamp;
use model::lsn::Lsn;
use model::snapshot::{SnapshotKind, SnapshotState};
use model::{BackupId, LineageId, RunId, Slug, SnapshotId, TenantId};
use tokio_postgres::types::PgLsn;
use uuid::Uuid;

use crate::guard::{self, Guarded, Seen, sources};
use crate::query::{Columns, Query, Read, query, stored};
use crate::{On, Result};

const INSERT: Query = query!("snapshot/insert");
const LIST: Query = query!("snapshot/list");
const FIND: Query = query!("snapshot/find");
const GET: Query = query!("snapshot/get");
const MOVE: Query = query!("snapshot/move");
const READY: Query = query!("snapshot/ready");
const EXPIRE: Query = query!("snapshot/expire");
const PIN: Query = query!("snapshot/pin");
const TERMS: Query = query!("snapshot/terms");
const KEPT: Query = query!("snapshot/kept");
const DROPPED: Query = query!("snapshot/dropped");

#[derive(Debug, Clone)]
pub struct Snapshot {
    pub id: SnapshotId,
    pub tenant_id: TenantId,
    pub tenant: String,
    pub name: String,
    pub state: SnapshotState,
    pub kind: SnapshotKind,
    pub lineage_id: Option<LineageId>,
    pub lsn: Option<Lsn>,
    pub wal_file: Option<String>,
    pub backup_id: Option<BackupId>,
    pub size: Option<i64>,
    pub missing_files: Option<i64>,
    pub taken_at: Option<Timestamp>,
    pub expires_at: Timestamp,
    pub created_at: Timestamp,
    /// The run that takes it; None only within the transaction that queues it.
    pub run_id: Option<RunId>,
    pub note: Option<String>,
    pub pinned: bool,
    /// Grows with each change of note, pin and expiry.
    pub terms: i64,
}

impl Read for Snapshot {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            id: columns.id("id")?,
            tenant_id: columns.id("tenant_id")?,
            tenant: columns.get("tenant")?,
            name: columns.get("name")?,
            state: columns.written("state")?,
            kind: columns.written("kind")?,
            lineage_id: columns.id_if("lineage_id")?,
            lsn: columns.get::<Option<PgLsn>>("lsn")?.map(|lsn| Lsn(lsn.into())),
            wal_file: columns.get("wal_file")?,
            backup_id: columns.id_if("backup_id")?,
            size: columns.get("size")?,
            missing_files: columns.get("missing_files")?,
            taken_at: columns.get("taken_at")?,
            expires_at: columns.get("expires_at")?,
            created_at: columns.get("created_at")?,
            run_id: columns.id_if("run_id")?,
            note: columns.get("note")?,
            pinned: columns.get("pinned")?,
            terms: columns.get("terms")?,
        })
    }
}

/// What makes a snapshot ready.
#[derive(Debug, Clone)]
pub struct Proof<'a> {
    pub lineage: LineageId,
    pub lsn: Lsn,
    pub wal_file: &'a str,
    pub backup: BackupId,
    pub size: u64,
    pub missing_files: u64,
    pub taken_at: Timestamp,
}

/// One that is to be taken.
#[derive(Debug, Clone)]
pub struct New<'a> {
    pub id: SnapshotId,
    pub tenant: TenantId,
    pub name: &'a Slug,
    pub kind: SnapshotKind,
    pub expires_at: Timestamp,
    pub note: Option<&'a str>,
    pub pinned: bool,
}

pub async fn insert(on: &impl On, new: &New<'_>) -> Result<()> {
    let New { id, tenant, name, kind, expires_at, note, pinned } = new;
    INSERT
        .run(on, &[&id.0, &tenant.0, &name.as_str(), &kind.as_str(), expires_at, note, pinned])
        .await
        .map(drop)
}

/// Pins it, or takes that back. False: it is so already, or cannot be restored to.
pub async fn pin(on: &impl On, snapshot: SnapshotId, pinned: bool) -> Result<bool> {
    Ok(PIN.run(on, &[&snapshot.0, &pinned]).await? > 0)
}

/// What is said of a snapshot that is in the repository.
#[derive(Debug, Clone)]
pub struct Terms {
    pub snapshot: SnapshotId,
    pub expires_at: Timestamp,
    pub note: Option<String>,
    /// By somebody, or because a restore to it is under way.
    pub pinned: bool,
    pub terms: i64,
}

impl Read for Terms {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            snapshot: columns.id("id")?,
            expires_at: columns.get("expires_at")?,
            note: columns.get("note")?,
            pinned: columns.get("pinned")?,
            terms: columns.get("terms")?,
        })
    }
}

pub async fn terms(on: &impl On, tenant: TenantId) -> Result<Vec<Terms>> {
    TERMS.all(on, &[&tenant.0]).await
}

/// The repository has heard of its terms.
pub async fn set_kept(on: &impl On, tenant: TenantId, snapshot: SnapshotId, terms: i64) -> Result<()> {
    KEPT.run(on, &[&snapshot.0, &tenant.0, &terms]).await.map(drop)
}

/// These, or all of the tenant's, are not in the repository any more.
pub async fn set_dropped(on: &impl On, tenant: TenantId, which: Option<&[SnapshotId]>) -> Result<()> {
    let which: Option<Vec<Uuid>> = which.map(|ids| ids.iter().map(|id| id.0).collect());
    DROPPED.run(on, &[&tenant.0, &which]).await.map(drop)
}

/// A tenant's, newest first, those before `after`, at most `most`.
pub async fn list(
    on: &impl On,
    tenant: TenantId,
    after: Option<SnapshotId>,
    most: i64,
) -> Result<Vec<Snapshot>> {
    LIST.all(on, &[&tenant.0, &after.map(|id| id.0), &most]).await
}

/// A tenant's by name or id. Of several of a name (the others have failed or
/// expired) the one that can be restored to, else the newest.
pub async fn find(on: &impl On, tenant: TenantId, snapshot: &str) -> Result<Option<Snapshot>> {
    FIND.first(on, &[&tenant.0, &snapshot, &snapshot.parse::<Uuid>().ok()]).await
}

pub async fn get(on: &impl On, snapshot: SnapshotId) -> Result<Option<Snapshot>> {
    GET.first(on, &[&snapshot.0]).await
}

pub async fn set_state(
    on: &impl On,
    snapshot: SnapshotId,
    from: &[SnapshotState],
    to: SnapshotState,
) -> Result<Guarded<SnapshotState>> {
    let seen: Option<Seen<SnapshotState>> =
        MOVE.first(on, &[&snapshot.0, &guard::written(from), &to.as_str()]).await?;
    Ok(seen.into())
}

/// creating -> ready, with the proof.
pub async fn set_ready(
    on: &impl On,
    snapshot: SnapshotId,
    proof: &Proof<'_>,
) -> Result<Guarded<SnapshotState>> {
    let from: Vec<SnapshotState> =
        sources(SnapshotState::Ready).into_iter().filter(|state| *state == SnapshotState::Creating).collect();
    let seen: Option<Seen<SnapshotState>> = READY
        .first(
            on,
            &[
                &snapshot.0,
                &guard::written(&from),
                &SnapshotState::Ready.as_str(),
                &proof.lineage.0,
                &PgLsn::from(proof.lsn.0),
                &proof.wal_file,
                &proof.backup.0,
                &stored(proof.size),
                &stored(proof.missing_files),
                &proof.taken_at,
            ],
        )
        .await?;
    Ok(seen.into())
}

/// Expires those past their expiry; how many.
pub async fn expire(on: &impl On) -> Result<u64> {
    EXPIRE.run(on, &[]).await
}

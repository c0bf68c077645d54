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

pub async fn insert(
    on: &impl On,
    id: SnapshotId,
    tenant: TenantId,
    name: &Slug,
    kind: SnapshotKind,
    expires_at: Timestamp,
) -> Result<()> {
    INSERT.run(on, &[&id.0, &tenant.0, &name.as_str(), &kind.as_str(), &expires_at]).await.map(drop)
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

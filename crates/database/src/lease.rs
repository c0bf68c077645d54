use std::time::Duration;

use jiff::Timestamp;
use model::run::RunKind;
use model::{BuildId, ProjectId, RestoreId, RunId, SnapshotId, TenantId, WorkerId};

use crate::query::{Columns, Query, Read, query};
use crate::{On, Result};

const HOLD: Query = query!("lease/hold");
const EXTEND: Query = query!("lease/extend");
const RELEASE: Query = query!("lease/release");
const EXPIRED: Query = query!("lease/expired");
const OF_WORKER: Query = query!("lease/of_worker");

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
        })
    }
}

/// Locks the lease and its run until the transaction ends. None: the run is
/// not held under this fence any more.
pub async fn hold(on: &impl On, run: RunId, fence: i64) -> Result<Option<Held>> {
    HOLD.first(on, &[&run.0, &fence]).await
}

#[derive(Debug, Clone, Copy)]
pub struct Extended {
    pub cancel_requested: bool,
    pub worker: WorkerId,
}

impl Read for Extended {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self { cancel_requested: columns.get("cancel_requested")?, worker: columns.id("worker_id")? })
    }
}

/// None: the run is not held under this fence any more.
pub async fn extend(on: &impl On, run: RunId, fence: i64, lease: Duration) -> Result<Option<Extended>> {
    EXTEND.first(on, &[&run.0, &fence, &lease.as_secs_f64()]).await
}

pub async fn release(on: &impl On, run: RunId) -> Result<()> {
    RELEASE.run(on, &[&run.0]).await.map(drop)
}

/// A lease whose worker is lost.
#[derive(Debug, Clone)]
pub struct Lost {
    pub run: RunId,
    pub worker: String,
    /// How often the run had lost its worker before.
    pub losses: i32,
}

impl Read for Lost {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            run: columns.id("run_id")?,
            worker: columns.get("worker")?,
            losses: columns.get("losses")?,
        })
    }
}

/// One that has expired, locked; another's locked one is skipped.
pub async fn expired(on: &impl On) -> Result<Option<Lost>> {
    EXPIRED.first(on, &[]).await
}

/// All that a worker holds, locked.
pub async fn of_worker(on: &impl On, worker: WorkerId) -> Result<Vec<Lost>> {
    OF_WORKER.all(on, &[&worker.0]).await
}

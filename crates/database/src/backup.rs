use std::time::Duration;

use jiff::Timestamp;
use model::archive::Backup;
use model::lsn::Lsn;
use model::{BackupId, ProjectId, TenantId};
use tokio_postgres::types::PgLsn;
use uuid::Uuid;

use crate::query::{Columns, Only, Query, Read, query, stored};
use crate::{On, Result};

const INSERT: Query = query!("backup/insert");
const FIND: Query = query!("backup/find");
const SINCE: Query = query!("backup/since");
const DUE: Query = query!("backup/due");
const DROPPED: Query = query!("backup/dropped");

/// A base backup as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub tenant: TenantId,
    pub backup: Backup,
}

impl Read for Known {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        let lsn = |column| columns.get::<PgLsn>(column).map(|lsn| Lsn(lsn.into()));
        let backup = Backup {
            id: columns.id("id")?,
            lineage: columns.id("lineage_id")?,
            start: lsn("start_lsn")?,
            stop: lsn("stop_lsn")?,
            stopped_at: columns.get("stopped_at")?,
            size: columns.size("size")?,
            stored: columns.size("stored")?,
        };
        Ok(Self { tenant: columns.id("tenant_id")?, backup })
    }
}

/// Does nothing if it is there already.
pub async fn insert(on: &impl On, tenant: TenantId, backup: &Backup) -> Result<()> {
    INSERT
        .run(
            on,
            &[
                &backup.id.0,
                &tenant.0,
                &backup.lineage.0,
                &PgLsn::from(backup.start.0),
                &PgLsn::from(backup.stop.0),
                &backup.stopped_at,
                &stored(backup.size),
                &stored(backup.stored),
            ],
        )
        .await
        .map(drop)
}

pub async fn find(on: &impl On, backup: BackupId) -> Result<Option<Known>> {
    FIND.first(on, &[&backup.0]).await
}

/// These, or all of the tenant's, are not in the repository any more.
pub async fn set_dropped(on: &impl On, tenant: TenantId, which: Option<&[BackupId]>) -> Result<()> {
    let which: Option<Vec<Uuid>> = which.map(|ids| ids.iter().map(|id| id.0).collect());
    DROPPED.run(on, &[&tenant.0, &which]).await.map(drop)
}

/// Whether one of the tenant's was recorded since then.
pub async fn recorded_since(on: &impl On, tenant: TenantId, since: Timestamp) -> Result<bool> {
    Ok(SINCE.one::<Only<bool>>(on, &[&tenant.0, &since]).await?.0)
}

/// Active tenants whose lineage has none younger than `every`; after a failed
/// attempt, `pause` passes.
pub async fn due(on: &impl On, every: Duration, pause: Duration) -> Result<Vec<Due>> {
    DUE.all(on, &[&every.as_secs_f64(), &pause.as_secs_f64()]).await
}

#[derive(Debug, Clone, Copy)]
pub struct Due {
    pub tenant: TenantId,
    pub project: ProjectId,
}

impl Read for Due {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self { tenant: columns.id("tenant_id")?, project: columns.id("project_id")? })
    }
}

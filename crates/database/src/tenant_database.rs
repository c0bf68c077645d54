use model::cluster::ClusterState;
use model::{ClusterId, LineageId, TenantDatabaseId, TenantId, WorkerId};

use crate::query::{Columns, Query, Read, query};
use crate::{On, Result};

const INSERT: Query = query!("tenant_database/insert");
const FIND: Query = query!("tenant_database/find");
const NEWEST: Query = query!("tenant_database/newest");

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantDatabase {
    pub id: TenantDatabaseId,
    pub tenant: TenantId,
    pub cluster: ClusterId,
    pub lineage: LineageId,
    /// On whose host its cluster is.
    pub worker: WorkerId,
    pub cluster_state: ClusterState,
}

impl Read for TenantDatabase {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            id: columns.id("id")?,
            tenant: columns.id("tenant_id")?,
            cluster: columns.id("cluster_id")?,
            lineage: columns.id("lineage_id")?,
            worker: columns.id("worker_id")?,
            cluster_state: columns.written("state")?,
        })
    }
}

/// Does nothing if it is there already.
pub async fn insert(
    on: &impl On,
    id: TenantDatabaseId,
    tenant: TenantId,
    cluster: ClusterId,
    lineage: LineageId,
    database: &str,
) -> Result<()> {
    INSERT.run(on, &[&id.0, &tenant.0, &cluster.0, &lineage.0, &database]).await.map(drop)
}

pub async fn find(on: &impl On, id: TenantDatabaseId) -> Result<Option<TenantDatabase>> {
    FIND.first(on, &[&id.0]).await
}

/// A tenant's latest whose cluster was not dropped.
pub async fn newest(on: &impl On, tenant: TenantId) -> Result<Option<TenantDatabase>> {
    NEWEST.first(on, &[&tenant.0]).await
}

use std::time::Duration;

use model::cluster::{ClusterKind, ClusterState};
use model::tenant::TenantState;
use model::{ClusterId, TenantId, WorkerId};
use uuid::Uuid;

use crate::guard::{self, Guarded, Seen};
use crate::query::{Columns, Only, Query, Read, query};
use crate::{On, Result};

const INSERT: Query = query!("cluster/insert");
const MOVE: Query = query!("cluster/move");
const CURRENT_OF: Query = query!("cluster/current_of");
const OWNED: Query = query!("cluster/owned");
const RETIRED: Query = query!("cluster/retired");

/// Does nothing if it is there already.
pub async fn insert(on: &impl On, id: ClusterId, kind: ClusterKind, worker: WorkerId) -> Result<()> {
    INSERT.run(on, &[&id.0, &kind.as_str(), &worker.0]).await.map(drop)
}

pub async fn set_state(
    on: &impl On,
    cluster: ClusterId,
    from: &[ClusterState],
    to: ClusterState,
) -> Result<Guarded<ClusterState>> {
    let seen: Option<Seen<ClusterState>> =
        MOVE.first(on, &[&cluster.0, &guard::written(from), &to.as_str()]).await?;
    Ok(seen.into())
}

/// The tenants that a cluster serves.
pub async fn current_of(on: &impl On, cluster: ClusterId) -> Result<Vec<(TenantId, TenantState)>> {
    let served: Vec<Served> = CURRENT_OF.all(on, &[&cluster.0]).await?;
    Ok(served.into_iter().map(|served| (served.tenant, served.state)).collect())
}

struct Served {
    tenant: TenantId,
    state: TenantState,
}

impl Read for Served {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self { tenant: columns.id("id")?, state: columns.written("state")? })
    }
}

/// Whether it holds a database of the tenant.
pub async fn is_of(on: &impl On, cluster: ClusterId, tenant: TenantId) -> Result<bool> {
    Ok(OWNED.one::<Only<bool>>(on, &[&cluster.0, &tenant.0]).await?.0)
}

/// Clusters that nothing needs any more, of all tenants or of one; none of a
/// tenant whose last expire run ended less than `pause` ago.
pub async fn retired(
    on: &impl On,
    retention: Duration,
    tenant: Option<TenantId>,
    pause: Duration,
) -> Result<Vec<(TenantId, Vec<ClusterId>)>> {
    let (retention, pause) = (retention.as_secs_f64(), pause.as_secs_f64());
    let retired: Vec<Retired> = RETIRED.all(on, &[&retention, &tenant.map(|id| id.0), &pause]).await?;
    Ok(retired.into_iter().map(|retired| (retired.tenant, retired.clusters)).collect())
}

struct Retired {
    tenant: TenantId,
    clusters: Vec<ClusterId>,
}

impl Read for Retired {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        let clusters: Vec<Uuid> = columns.get("clusters")?;
        Ok(Self { tenant: columns.id("tenant_id")?, clusters: clusters.into_iter().map(ClusterId).collect() })
    }
}

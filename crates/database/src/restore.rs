use jiff::Timestamp;
use model::restore::{RestoreState, Target};
use model::{ClusterId, LineageId, RestoreId, RunId, SnapshotId, TenantDatabaseId, TenantId};
use serde_json::Value;

use crate::guard::{self, Guarded, Seen, sources};
use crate::query::{Columns, Query, Read, query};
use crate::{On, Result};

const INSERT: Query = query!("restore/insert");
const LIST: Query = query!("restore/list");
const GET: Query = query!("restore/get");
const MOVE: Query = query!("restore/move");
const PLANNED: Query = query!("restore/planned");
const PLACE: Query = query!("restore/place");

#[derive(Debug, Clone)]
pub struct Restore {
    pub id: RestoreId,
    pub tenant_id: TenantId,
    pub tenant: String,
    pub state: RestoreState,
    pub target: Target,
    /// The snapshot's name, where one is the target.
    pub snapshot: Option<String>,
    /// What is executed, and the same for people to read.
    pub plan: Option<Value>,
    pub shown: Option<Value>,
    /// The database it makes, once there is one.
    pub to: Option<(TenantDatabaseId, ClusterId, LineageId)>,
    pub reason: Option<String>,
    pub created_at: Timestamp,
    /// The latest run; None only within the transaction that queues the first.
    pub run_id: Option<RunId>,
}

impl Read for Restore {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        let target = match columns.id_if::<SnapshotId>("snapshot_id")? {
            Some(snapshot) => Target::Snapshot(snapshot),
            None => Target::Time(columns.get("at")?),
        };
        let to = match columns.id_if("to_database_id")? {
            None => None,
            Some(database) => Some((database, columns.id("to_cluster_id")?, columns.id("to_lineage_id")?)),
        };
        Ok(Self {
            id: columns.id("id")?,
            tenant_id: columns.id("tenant_id")?,
            tenant: columns.get("tenant")?,
            state: columns.written("state")?,
            target,
            snapshot: columns.get("snapshot")?,
            plan: columns.get("plan")?,
            shown: columns.get("shown")?,
            to,
            reason: columns.get("reason")?,
            created_at: columns.get("created_at")?,
            run_id: columns.id_if("run_id")?,
        })
    }
}

pub async fn insert(on: &impl On, id: RestoreId, tenant: TenantId, target: Target) -> Result<()> {
    let (snapshot, at) = match target {
        Target::Snapshot(snapshot) => (Some(snapshot.0), None),
        Target::Time(at) => (None, Some(at)),
    };
    INSERT.run(on, &[&id.0, &tenant.0, &snapshot, &at]).await.map(drop)
}

/// A tenant's, newest first, those before `after`, at most `most`.
pub async fn list(
    on: &impl On,
    tenant: TenantId,
    after: Option<RestoreId>,
    most: i64,
) -> Result<Vec<Restore>> {
    LIST.all(on, &[&tenant.0, &after.map(|id| id.0), &most]).await
}

pub async fn get(on: &impl On, restore: RestoreId) -> Result<Option<Restore>> {
    GET.first(on, &[&restore.0]).await
}

/// `reason` is given with `failed` and with nothing else; `to` leaves the
/// database it makes as it is when None, and is forgotten by a failed one.
pub async fn set_state(
    on: &impl On,
    restore: RestoreId,
    from: &[RestoreState],
    to: RestoreState,
    reason: Option<&str>,
    database: Option<TenantDatabaseId>,
) -> Result<Guarded<RestoreState>> {
    let seen: Option<Seen<RestoreState>> = MOVE
        .first(on, &[&restore.0, &guard::written(from), &to.as_str(), &reason, &database.map(|id| id.0)])
        .await?;
    Ok(seen.into())
}

/// planning -> planned.
pub async fn set_planned(
    on: &impl On,
    restore: RestoreId,
    plan: &Value,
    shown: &Value,
) -> Result<Guarded<RestoreState>> {
    let from = guard::written(&sources(RestoreState::Planned));
    let seen: Option<Seen<RestoreState>> =
        PLANNED.first(on, &[&restore.0, &from, &RestoreState::Planned.as_str(), plan, shown]).await?;
    Ok(seen.into())
}

/// Notes the database that a restore under way makes.
pub async fn place(on: &impl On, restore: RestoreId, database: TenantDatabaseId) -> Result<()> {
    PLACE.run(on, &[&restore.0, &database.0]).await.map(drop)
}

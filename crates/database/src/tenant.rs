use std::time::Duration;

use jiff::Timestamp;
use model::cluster::ClusterState;
use model::tenant::{Limits, Serving, TenantState, Tier};
use model::{
    BuildId, ClusterId, DatabaseName, EnvironmentId, LineageId, ProjectId, Slug, Subdomain, TenantDatabaseId,
    TenantId, WorkerId,
};
use uuid::Uuid;

use crate::guard::{self, Guarded, Seen};
use crate::query::{Columns, Query, Read, query};
use crate::{On, Result};

const INSERT: Query = query!("tenant/insert");
const LIST: Query = query!("tenant/list");
const FIND: Query = query!("tenant/find");
const LOCK: Query = query!("tenant/lock");
const MOVE: Query = query!("tenant/move");
const CHANGE: Query = query!("tenant/change");
const POINT: Query = query!("tenant/point");
const ASSIGNED: Query = query!("tenant/assigned");
const SHREDDED: Query = query!("tenant/shredded");
const EXPIRE_DUE: Query = query!("tenant/expire_due");

#[derive(Debug, Clone)]
pub struct Tenant {
    pub id: TenantId,
    pub name: String,
    pub ordinal: u32,
    pub subdomain: String,
    pub database: String,
    pub state: TenantState,
    pub tier: Tier,
    pub limits: Limits,
    pub subscription_ends_at: Option<Timestamp>,
    pub version: i64,
    pub created_at: Timestamp,
    pub environment_id: EnvironmentId,
    /// `PROJECT/ENVIRONMENT`
    pub environment: String,
    pub project_id: ProjectId,
    pub build_id: BuildId,
    /// None before it is provisioned.
    pub placed: Option<Placed>,
    /// What its worker last saw, or what is to be expected.
    pub serving: Serving,
    pub first_backup_at: Option<Timestamp>,
    /// When its key was destroyed.
    pub shredded_at: Option<Timestamp>,
}

/// The database that a tenant serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    pub tenant_database: TenantDatabaseId,
    pub cluster: ClusterId,
    pub cluster_state: ClusterState,
    pub lineage: LineageId,
    pub worker: WorkerId,
    /// Since when the tenant is served from there.
    pub activated_at: Option<Timestamp>,
}

impl Read for Tenant {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        let placed = match columns.id_if("tenant_database_id")? {
            None => None,
            Some(tenant_database) => Some(Placed {
                tenant_database,
                cluster: columns.id("cluster_id")?,
                cluster_state: columns.written("cluster_state")?,
                lineage: columns.id("lineage_id")?,
                worker: columns.id("worker_id")?,
                activated_at: columns.get("activated_at")?,
            }),
        };
        let ordinal: i32 = columns.get("ordinal")?;
        Ok(Self {
            id: columns.id("id")?,
            name: columns.get("name")?,
            ordinal: ordinal.try_into().map_err(|source| columns.fault("ordinal", source))?,
            subdomain: columns.get("subdomain")?,
            database: columns.get("database")?,
            state: columns.written("state")?,
            tier: columns.written("tier")?,
            limits: Limits {
                users: columns.get("max_users")?,
                storage_bytes: columns.get("max_storage_bytes")?,
                ai_operations_per_day: columns.get("max_ai_operations_per_day")?,
            },
            subscription_ends_at: columns.get("subscription_ends_at")?,
            version: columns.get("version")?,
            created_at: columns.get("created_at")?,
            environment_id: columns.id("environment_id")?,
            environment: columns.get("environment")?,
            project_id: columns.id("project_id")?,
            build_id: columns.id("build_id")?,
            placed,
            serving: columns.written("serving")?,
            first_backup_at: columns.get("first_backup_at")?,
            shredded_at: columns.get("shredded_at")?,
        })
    }
}

#[derive(Debug, Clone)]
pub struct NewTenant<'a> {
    pub id: TenantId,
    pub environment: EnvironmentId,
    pub name: &'a Slug,
    pub subdomain: &'a Subdomain,
    pub database: &'a DatabaseName,
    pub state: TenantState,
    pub tier: Tier,
    pub limits: Limits,
}

pub async fn insert(on: &impl On, new: &NewTenant<'_>) -> Result<()> {
    let (name, subdomain, database) = (new.name.as_str(), new.subdomain.as_str(), new.database.as_str());
    let limits = &new.limits;
    INSERT
        .run(
            on,
            &[
                &new.id.0,
                &new.environment.0,
                &name,
                &subdomain,
                &database,
                &new.state.as_str(),
                &new.tier.as_str(),
                &limits.users,
                &limits.storage_bytes,
                &limits.ai_operations_per_day,
            ],
        )
        .await
        .map(drop)
}

/// All, or one environment's; by name, those after `after`, at most `most`.
pub async fn list(
    on: &impl On,
    environment: Option<EnvironmentId>,
    after: Option<&str>,
    most: i64,
) -> Result<Vec<Tenant>> {
    LIST.all(on, &[&environment.map(|id| id.0), &after, &most]).await
}

/// By name or id.
pub async fn find(on: &impl On, tenant: &str) -> Result<Option<Tenant>> {
    FIND.first(on, &[&tenant, &tenant.parse::<Uuid>().ok()]).await
}

pub async fn get(on: &impl On, tenant: TenantId) -> Result<Option<Tenant>> {
    FIND.first(on, &[&"", &Some(tenant.0)]).await
}

/// Keeps others from changing it until the transaction ends.
pub async fn lock(on: &impl On, tenant: TenantId) -> Result<Option<TenantState>> {
    Ok(LOCK.first::<Locked>(on, &[&tenant.0]).await?.map(|locked| locked.0))
}

struct Locked(TenantState);

impl Read for Locked {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        columns.written("state").map(Self)
    }
}

/// What it may use, and until when. False: the caller may not change it.
pub async fn change(
    on: &impl On,
    tenant: TenantId,
    tier: Tier,
    limits: &Limits,
    subscription_ends_at: Option<Timestamp>,
) -> Result<bool> {
    let tier = tier.as_str();
    let Limits { users, storage_bytes, ai_operations_per_day } = *limits;
    let changed = CHANGE
        .run(on, &[&tenant.0, &tier, &users, &storage_bytes, &ai_operations_per_day, &subscription_ends_at])
        .await?;
    Ok(changed == 1)
}

/// `serves` is the database it serves from now on; None leaves it as it is.
pub async fn set_state(
    on: &impl On,
    tenant: TenantId,
    from: &[TenantState],
    to: TenantState,
    serves: Option<TenantDatabaseId>,
) -> Result<Guarded<TenantState>> {
    let seen: Option<Seen<TenantState>> =
        MOVE.first(on, &[&tenant.0, &guard::written(from), &to.as_str(), &serves.map(|id| id.0)]).await?;
    Ok(seen.into())
}

/// The switch of a restore: the tenant serves `to` if it serves `from` now;
/// `Found` tells what it serves instead.
pub async fn point(
    on: &impl On,
    tenant: TenantId,
    from: TenantDatabaseId,
    to: TenantDatabaseId,
) -> Result<Guarded<Option<TenantDatabaseId>>> {
    let seen: Option<Pointed> = POINT.first(on, &[&tenant.0, &from.0, &to.0]).await?;
    Ok(match seen {
        None => Guarded::Missing,
        Some(Pointed { moved: true, .. }) => Guarded::Moved,
        Some(Pointed { serves, .. }) => Guarded::Found(serves),
    })
}

struct Pointed {
    serves: Option<TenantDatabaseId>,
    moved: bool,
}

impl Read for Pointed {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self { serves: columns.id_if("tenant_database_id")?, moved: columns.get("moved")? })
    }
}

/// Its key was destroyed, and all that there was of it removed. False: it is
/// not archived.
pub async fn set_shredded(on: &impl On, tenant: TenantId) -> Result<bool> {
    Ok(SHREDDED.run(on, &[&tenant.0]).await? > 0)
}

/// A tenant whose history is to be looked through.
#[derive(Debug, Clone, Copy)]
pub struct ExpireDue {
    pub tenant: TenantId,
    /// Not only to tell the repository what was said of snapshots.
    pub sweep: bool,
}

impl Read for ExpireDue {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self { tenant: columns.id("tenant_id")?, sweep: columns.get("sweep")? })
    }
}

/// Tenants that were last looked through `every` ago; and `pause` ago, where
/// the repository has not heard what was said of a snapshot.
pub async fn expire_due(on: &impl On, every: Duration, pause: Duration) -> Result<Vec<ExpireDue>> {
    EXPIRE_DUE.all(on, &[&every.as_secs_f64(), &pause.as_secs_f64()]).await
}

/// Tenants whose clusters are on the worker's host, whatever their state.
pub async fn assigned(on: &impl On, worker: WorkerId) -> Result<Vec<Tenant>> {
    ASSIGNED.all(on, &[&worker.0]).await
}

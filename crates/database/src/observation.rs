use model::alert::Place;
use model::tenant::Serving;
use model::{TenantId, WorkerId};
use uuid::Uuid;

use crate::query::{Query, query, stored};
use crate::{On, Result};

const RECORD: Query = query!("observation/record");
const RESET: Query = query!("observation/reset");
const DISKS: Query = query!("observation/disks");
const WAL: Query = query!("observation/wal");

/// What a worker sees of a tenant.
#[derive(Debug, Clone)]
pub struct Observation<'a> {
    pub tenant: TenantId,
    pub serving: Serving,
    pub http: Option<&'a str>,
    pub gevent: Option<&'a str>,
    pub router_key: Option<&'a str>,
    pub cell_port: Option<u16>,
}

/// How many of them said something new. At most one a tenant.
pub async fn record(on: &impl On, worker: WorkerId, seen: &[Observation<'_>]) -> Result<u64> {
    let tenants: Vec<Uuid> = seen.iter().map(|one| one.tenant.0).collect();
    let serving: Vec<&str> = seen.iter().map(|one| one.serving.as_str()).collect();
    let http: Vec<Option<&str>> = seen.iter().map(|one| one.http).collect();
    let gevent: Vec<Option<&str>> = seen.iter().map(|one| one.gevent).collect();
    let keys: Vec<Option<&str>> = seen.iter().map(|one| one.router_key).collect();
    let ports: Vec<Option<i32>> = seen.iter().map(|one| one.cell_port.map(i32::from)).collect();
    RECORD.run(on, &[&worker.0, &tenants, &serving, &http, &gevent, &keys, &ports]).await
}

/// Forgets the addresses of what a tenant served before a switch.
pub async fn reset(on: &impl On, tenant: TenantId) -> Result<()> {
    RESET.run(on, &[&tenant.0]).await.map(drop)
}

/// Bytes in total and free of the disks that a worker's folders are on. At
/// most one for each place.
pub async fn disks(on: &impl On, worker: WorkerId, seen: &[(Place, u64, u64)]) -> Result<()> {
    let places: Vec<&str> = seen.iter().map(|(place, ..)| place.as_str()).collect();
    let total: Vec<i64> = seen.iter().map(|(_, total, _)| stored(*total)).collect();
    let free: Vec<i64> = seen.iter().map(|(.., free)| stored(*free)).collect();
    DISKS.run(on, &[&worker.0, &places, &total, &free]).await.map(drop)
}

/// Bytes of WAL in the cells on a worker's host. At most one a tenant.
pub async fn wal(on: &impl On, worker: WorkerId, seen: &[(TenantId, u64)]) -> Result<()> {
    let tenants: Vec<Uuid> = seen.iter().map(|(tenant, _)| tenant.0).collect();
    let bytes: Vec<i64> = seen.iter().map(|(_, bytes)| stored(*bytes)).collect();
    WAL.run(on, &[&worker.0, &tenants, &bytes]).await.map(drop)
}

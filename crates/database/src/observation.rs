use model::tenant::Serving;
use model::{TenantId, WorkerId};
use uuid::Uuid;

use crate::query::{Query, query};
use crate::{On, Result};

const RECORD: Query = query!("observation/record");
const RESET: Query = query!("observation/reset");

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

use model::alert::Place;
use model::tenant::Serving;
use model::{TenantId, WorkerId};
use uuid::Uuid;

use crate::query::{Columns, Query, Read, query, stored};
use crate::{On, Result};

const RECORD: Query = query!("observation/record");
const RESET: Query = query!("observation/reset");
const DISKS: Query = query!("observation/disks");
const SEEN_WAL: Query = query!("observation/seen_wal");
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

/// What a worker sees of a cell's WAL.
#[derive(Debug, Clone, Copy)]
pub struct SeenWal {
    pub tenant: TenantId,
    /// Kept in the cell.
    pub bytes: u64,
    /// None: it is not streamed.
    pub lag: Option<WalLag>,
}

/// What of it is not durable in the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalLag {
    pub bytes: u64,
    /// For how long there has been something.
    pub ms: u64,
    /// How often the cell gave up keeping it.
    pub slots_lost: u64,
}

/// Of the cells on a worker's host. At most one a tenant.
pub async fn wal(on: &impl On, worker: WorkerId, seen: &[SeenWal]) -> Result<()> {
    let lags = |of: fn(&WalLag) -> u64| -> Vec<Option<i64>> {
        seen.iter().map(|seen| seen.lag.as_ref().map(|lag| stored(of(lag)))).collect()
    };
    let tenants: Vec<Uuid> = seen.iter().map(|seen| seen.tenant.0).collect();
    let bytes: Vec<i64> = seen.iter().map(|seen| stored(seen.bytes)).collect();
    let (lag, ms, lost) = (lags(|lag| lag.bytes), lags(|lag| lag.ms), lags(|lag| lag.slots_lost));
    WAL.run(on, &[&worker.0, &tenants, &bytes, &lag, &ms, &lost]).await.map(drop)
}

impl Read for SeenWal {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        let lag = match columns.get::<Option<i64>>("lag_ms")? {
            None => None,
            Some(_) => Some(WalLag {
                bytes: columns.size("lag_bytes")?,
                ms: columns.size("lag_ms")?,
                slots_lost: columns.size("slots_lost")?,
            }),
        };
        Ok(Self { tenant: columns.id("tenant_id")?, bytes: columns.size("bytes")?, lag })
    }
}

/// What was seen last of these tenants' WAL.
pub async fn seen_wal(on: &impl On, tenants: &[TenantId]) -> Result<Vec<SeenWal>> {
    let tenants: Vec<Uuid> = tenants.iter().map(|tenant| tenant.0).collect();
    SEEN_WAL.all(on, &[&tenants]).await
}

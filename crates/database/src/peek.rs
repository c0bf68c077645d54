use jiff::Timestamp;
use model::lsn::Lsn;
use model::peek::{PeekState, Point};
use model::{PeekId, RunId, SnapshotId, TenantId, WorkerId};
use tokio_postgres::types::PgLsn;
use uuid::Uuid;

use crate::guard::{self, Guarded, Seen, sources};
use crate::query::{Columns, Only, Query, Read, query};
use crate::{On, Result};

const INSERT: Query = query!("peek/insert");
const GET: Query = query!("peek/get");
const OF_RUN: Query = query!("peek/of_run");
const LIST: Query = query!("peek/list");
const LIVE: Query = query!("peek/live");
const OPEN: Query = query!("peek/open");
const MOVE: Query = query!("peek/move");
const END_OF: Query = query!("peek/end_of");
const EXPIRE: Query = query!("peek/expire");
const OF_WORKER: Query = query!("peek/of_worker");
const GONE: Query = query!("peek/gone");

#[derive(Debug, Clone)]
pub struct Peek {
    pub id: PeekId,
    pub tenant_id: TenantId,
    pub tenant: String,
    pub database: String,
    pub state: PeekState,
    pub run_id: RunId,
    pub point: Point,
    /// The snapshot's name, where one is shown.
    pub snapshot: Option<String>,
    pub seconds: i32,
    /// Where it is, once it is open: on this worker's host.
    pub worker: Option<String>,
    pub port: Option<i32>,
    pub reason: Option<String>,
    pub created_at: Timestamp,
    pub opened_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
}

impl Read for Peek {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        let (at, lsn) = (columns.get("at")?, columns.get::<Option<PgLsn>>("lsn")?);
        let point = match (columns.id_if::<SnapshotId>("snapshot_id")?, at, lsn) {
            (Some(snapshot), ..) => Point::Snapshot(snapshot),
            (None, Some(at), _) => Point::Time(at),
            (None, None, Some(lsn)) => Point::Lsn(Lsn(lsn.into())),
            (None, None, None) => Point::Latest,
        };
        Ok(Self {
            id: columns.id("id")?,
            tenant_id: columns.id("tenant_id")?,
            tenant: columns.get("tenant")?,
            database: columns.get("database")?,
            state: columns.written("state")?,
            run_id: columns.id("run_id")?,
            point,
            snapshot: columns.get("snapshot")?,
            seconds: columns.get("seconds")?,
            worker: columns.get("worker")?,
            port: columns.get("port")?,
            reason: columns.get("reason")?,
            created_at: columns.get("created_at")?,
            opened_at: columns.get("opened_at")?,
            expires_at: columns.get("expires_at")?,
            ended_at: columns.get("ended_at")?,
        })
    }
}

/// One that is to be made by `run`, which the same transaction queues.
#[derive(Debug, Clone, Copy)]
pub struct New {
    pub id: PeekId,
    pub tenant: TenantId,
    pub run: RunId,
    pub point: Point,
    pub seconds: i32,
}

pub async fn insert(on: &impl On, new: New) -> Result<()> {
    let New { id, tenant, run, point, seconds } = new;
    let (mut snapshot, mut at, mut lsn) = (None, None, None);
    match point {
        Point::Snapshot(id) => snapshot = Some(id.0),
        Point::Time(time) => at = Some(time),
        Point::Lsn(position) => lsn = Some(PgLsn::from(position.0)),
        Point::Latest => {}
    }
    INSERT.run(on, &[&id.0, &tenant.0, &run.0, &snapshot, &at, &lsn, &seconds]).await.map(drop)
}

pub async fn get(on: &impl On, peek: PeekId) -> Result<Option<Peek>> {
    GET.first(on, &[&peek.0]).await
}

/// The one that a run makes.
pub async fn of_run(on: &impl On, run: RunId) -> Result<Option<Peek>> {
    OF_RUN.first(on, &[&run.0]).await
}

/// A tenant's, newest first, those before `after`, at most `most`.
pub async fn list(on: &impl On, tenant: TenantId, after: Option<PeekId>, most: i64) -> Result<Vec<Peek>> {
    LIST.all(on, &[&tenant.0, &after.map(|id| id.0), &most]).await
}

/// How many of a tenant's are live.
pub async fn live(on: &impl On, tenant: TenantId) -> Result<i64> {
    LIVE.one(on, &[&tenant.0]).await.map(|Only(count)| count)
}

/// opening -> open, on this worker's host.
pub async fn set_open(on: &impl On, peek: PeekId, worker: WorkerId, port: u16) -> Result<Guarded<PeekState>> {
    let (from, to) = (guard::written(&sources(PeekState::Open)), PeekState::Open.as_str());
    let seen: Option<Seen<PeekState>> =
        OPEN.first(on, &[&peek.0, &from, &to, &worker.0, &i32::from(port)]).await?;
    Ok(seen.into())
}

/// To an end, or towards one, for `reason`.
pub async fn set_state(
    on: &impl On,
    peek: PeekId,
    from: &[PeekState],
    to: PeekState,
    reason: &str,
) -> Result<Guarded<PeekState>> {
    let seen: Option<Seen<PeekState>> =
        MOVE.first(on, &[&peek.0, &guard::written(from), &to.as_str(), &reason]).await?;
    Ok(seen.into())
}

/// Ends a tenant's open ones; how many.
pub async fn end_of(on: &impl On, tenant: TenantId, reason: &str) -> Result<u64> {
    END_OF.run(on, &[&tenant.0, &reason]).await
}

/// Ends those whose time is over; how many.
pub async fn expire(on: &impl On) -> Result<u64> {
    EXPIRE.run(on, &[]).await
}

struct OfWorker(PeekId, PeekState);

impl Read for OfWorker {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self(columns.id("id")?, columns.written("state")?))
    }
}

/// Those of a worker's host that are not said to be gone.
pub async fn of_worker(on: &impl On, worker: WorkerId) -> Result<Vec<(PeekId, PeekState)>> {
    let found: Vec<OfWorker> = OF_WORKER.all(on, &[&worker.0]).await?;
    Ok(found.into_iter().map(|OfWorker(id, state)| (id, state)).collect())
}

/// Nothing is left of them on a worker's host; how many had not ended before.
pub async fn set_gone(on: &impl On, worker: WorkerId, gone: &[PeekId]) -> Result<u64> {
    let gone: Vec<Uuid> = gone.iter().map(|id| id.0).collect();
    GONE.run(on, &[&worker.0, &gone]).await
}

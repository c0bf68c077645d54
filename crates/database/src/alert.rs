use jiff::{SignedDuration, Timestamp};
use model::alert::{
    self, AlertKind, AlertState, Backups, DeadRun, Disk, Finding, Key, Lag, LostWorker, ProductionRestore,
    Server, Severity, StaleRun, Wal,
};
use model::{AlertId, ProjectId};
use uuid::Uuid;

use crate::query::{Columns, Only, Parameters, Query, Read, query, stored};
use crate::{On, Result};

const LIST: Query = query!("alert/list");
const FIND: Query = query!("alert/find");
const OPEN: Query = query!("alert/open");
const WORSEN: Query = query!("alert/worsen");
const QUIET: Query = query!("alert/quiet");
const RESOLVE: Query = query!("alert/resolve");
const ACKNOWLEDGE: Query = query!("alert/acknowledge");
const QUEUED: Query = query!("alert/queued");
const STALE_RUNS: Query = query!("alert/stale_runs");
const DEAD_RUNS: Query = query!("alert/dead_runs");
const LOST_WORKERS: Query = query!("alert/lost_workers");
const BACKUPS: Query = query!("alert/backups");
const RESTORES: Query = query!("alert/restores");
const DISKS: Query = query!("alert/disks");
const WAL: Query = query!("alert/wal");
const SERVER: Query = query!("alert/server");

#[derive(Debug, Clone)]
pub struct Alert {
    pub id: AlertId,
    pub kind: AlertKind,
    pub subject: String,
    pub project_id: Option<ProjectId>,
    /// None: the whole installation's.
    pub project: Option<String>,
    pub severity: Severity,
    pub state: AlertState,
    pub detail: String,
    pub opened_at: Timestamp,
    /// Since when its condition has not held.
    pub quiet_since: Option<Timestamp>,
    pub acknowledged_by: Option<String>,
    pub acknowledged_at: Option<Timestamp>,
    pub resolved_at: Option<Timestamp>,
}

impl Read for Alert {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            id: columns.id("id")?,
            kind: columns.written("kind")?,
            subject: columns.get("subject")?,
            project_id: columns.id_if("project_id")?,
            project: columns.get("project")?,
            severity: columns.written("severity")?,
            state: columns.written("state")?,
            detail: columns.get("detail")?,
            opened_at: columns.get("opened_at")?,
            quiet_since: columns.get("quiet_since")?,
            acknowledged_by: columns.get("acknowledged_by")?,
            acknowledged_at: columns.get("acknowledged_at")?,
            resolved_at: columns.get("resolved_at")?,
        })
    }
}

/// In one state or, when none is said, not resolved; newest first.
pub async fn list(
    on: &impl On,
    state: Option<AlertState>,
    after: Option<AlertId>,
    most: i64,
) -> Result<Vec<Alert>> {
    LIST.all(on, &[&state.map(AlertState::as_str), &after.map(|id| id.0), &most]).await
}

pub async fn find(on: &impl On, alert: AlertId) -> Result<Option<Alert>> {
    FIND.first(on, &[&alert.0]).await
}

/// Opens what is not open yet; how many were.
pub async fn open(on: &impl On, found: &[(&Key, &Finding)], now: Timestamp) -> Result<usize> {
    let ids: Vec<Uuid> = found.iter().map(|_| AlertId::new().0).collect();
    let kinds: Vec<&str> = found.iter().map(|((kind, _), _)| kind.as_str()).collect();
    let subjects: Vec<&str> = found.iter().map(|((_, subject), _)| subject.as_str()).collect();
    let projects: Vec<Option<Uuid>> =
        found.iter().map(|(_, finding)| finding.project.map(|project| project.0)).collect();
    let severities: Vec<&str> = found.iter().map(|(_, finding)| finding.severity.as_str()).collect();
    let details: Vec<String> = found.iter().map(|(_, finding)| short(&finding.detail)).collect();
    let opened: Vec<Only<Uuid>> =
        OPEN.all(on, &[&ids, &kinds, &subjects, &projects, &severities, &details, &now]).await?;
    Ok(opened.len())
}

/// A reason that a worker gave may be long.
fn short(detail: &str) -> String {
    detail.chars().filter(|c| *c != '\0').take(1000).collect()
}

/// Gives it another severity, and says why.
pub async fn worsen(on: &impl On, alert: AlertId, finding: &Finding) -> Result<()> {
    WORSEN.run(on, &[&alert.0, &finding.severity.as_str(), &short(&finding.detail)]).await.map(drop)
}

pub async fn set_quiet(on: &impl On, alert: AlertId, since: Option<Timestamp>) -> Result<()> {
    QUIET.run(on, &[&alert.0, &since]).await.map(drop)
}

/// False: it was not quiet, or is resolved already.
pub async fn resolve(on: &impl On, alert: AlertId, now: Timestamp) -> Result<bool> {
    Ok(RESOLVE.run(on, &[&alert.0, &now]).await? > 0)
}

/// False: somebody has before, or it is resolved.
pub async fn acknowledge(on: &impl On, alert: AlertId, requester: &str) -> Result<bool> {
    Ok(ACKNOWLEDGE.run(on, &[&alert.0, &requester]).await? > 0)
}

fn seconds(columns: &Columns<'_>, column: &'static str) -> Result<SignedDuration> {
    SignedDuration::try_from_secs_f64(columns.get(column)?).map_err(|source| columns.fault(column, source))
}

/// A fact as `model` has it.
struct Fact<T>(T);

async fn facts<T>(query: &Query, on: &impl On, parameters: Parameters<'_>) -> Result<Vec<T>>
where
    Fact<T>: Read,
{
    Ok(query.all::<Fact<T>>(on, parameters).await?.into_iter().map(|fact| fact.0).collect())
}

fn project(columns: &Columns<'_>) -> Result<ProjectId> {
    columns.id("project_id")
}

impl Read for Fact<StaleRun> {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self(StaleRun {
            run: columns.id("id")?,
            kind: columns.written("kind")?,
            project: project(columns)?,
            worker: columns.get("worker")?,
            losses: columns.get("losses")?,
            silent: seconds(columns, "silent")?,
        }))
    }
}

/// Runs that a worker could take.
pub async fn queued(on: &impl On) -> Result<i64> {
    Ok(QUEUED.one::<Only<i64>>(on, &[]).await?.0)
}

pub async fn stale_runs(on: &impl On, now: Timestamp) -> Result<Vec<StaleRun>> {
    let (silent, overdue) = (alert::SILENT_RUN.as_secs_f64(), alert::OVERDUE_LEASE.as_secs_f64());
    facts(&STALE_RUNS, on, &[&now, &silent, &overdue]).await
}

impl Read for Fact<DeadRun> {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self(DeadRun {
            run: columns.id("id")?,
            kind: columns.written("kind")?,
            project: project(columns)?,
            tenant: columns.get("tenant")?,
            reason: columns.get("reason")?,
        }))
    }
}

pub async fn dead_runs(on: &impl On, now: Timestamp) -> Result<Vec<DeadRun>> {
    facts(&DEAD_RUNS, on, &[&now, &alert::RECENT.as_secs_f64()]).await
}

impl Read for Fact<LostWorker> {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        let (name, since) = (columns.get("name")?, columns.get("gone_at")?);
        Ok(Self(LostWorker { name, since, clusters: columns.size("clusters")? }))
    }
}

pub async fn lost_workers(on: &impl On, now: Timestamp) -> Result<Vec<LostWorker>> {
    facts(&LOST_WORKERS, on, &[&now, &alert::RECENT.as_secs_f64()]).await
}

impl Read for Fact<Backups> {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self(Backups {
            tenant: columns.id("id")?,
            name: columns.get("name")?,
            project: project(columns)?,
            age: seconds(columns, "age")?,
            failed: columns.get("failed")?,
        }))
    }
}

/// Of tenants whose newest is older than `old`, or whose last try failed.
pub async fn backups(on: &impl On, now: Timestamp, old: SignedDuration) -> Result<Vec<Backups>> {
    facts(&BACKUPS, on, &[&now, &old.as_secs_f64()]).await
}

impl Read for Fact<ProductionRestore> {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self(ProductionRestore {
            id: columns.id("id")?,
            tenant: columns.get("tenant")?,
            project: project(columns)?,
            state: columns.written("state")?,
        }))
    }
}

pub async fn restores(on: &impl On, now: Timestamp) -> Result<Vec<ProductionRestore>> {
    facts(&RESTORES, on, &[&now, &alert::RESTORE_TOLD.as_secs_f64()]).await
}

impl Read for Fact<Disk> {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self(Disk {
            worker: columns.get("worker")?,
            place: columns.written("place")?,
            total: columns.size("total")?,
            free: columns.size("free")?,
        }))
    }
}

/// As their workers reported them no longer than `within` ago.
pub async fn disks(on: &impl On, now: Timestamp, within: SignedDuration) -> Result<Vec<Disk>> {
    facts(&DISKS, on, &[&now, &within.as_secs_f64()]).await
}

impl Read for Fact<Wal> {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        let (tenant, name) = (columns.id("id")?, columns.get("name")?);
        let lag = match columns.get::<Option<i64>>("lag_ms")? {
            None => None,
            Some(ms) => {
                Some(Lag { bytes: columns.size("lag_bytes")?, since: SignedDuration::from_millis(ms) })
            }
        };
        Ok(Self(Wal { tenant, name, project: project(columns)?, bytes: columns.size("bytes")?, lag }))
    }
}

/// Of cells with at least so much, or that the repository is behind so far.
pub async fn wal(on: &impl On, at_least: u64, behind: SignedDuration) -> Result<Vec<Wal>> {
    let behind = i64::try_from(behind.as_millis()).unwrap_or(i64::MAX);
    facts(&WAL, on, &[&stored(at_least), &behind]).await
}

impl Read for Fact<Server> {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self(Server {
            connections: columns.size("connections")?,
            most_connections: columns.size("most_connections")?,
            oldest_transaction: seconds(columns, "oldest_transaction")?,
        }))
    }
}

/// The management database itself.
pub async fn server(on: &impl On) -> Result<Server> {
    Ok(SERVER.one::<Fact<Server>>(on, &[]).await?.0)
}

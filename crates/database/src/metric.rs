//! What is counted for `/metrics`, in queries whose cost does not grow with
//! what has ended.

use model::alert::{AlertKind, Severity};
use model::run::{RunKind, RunState};
use model::tenant::TenantState;

use crate::query::{Columns, Only, Query, Read, query};
use crate::{On, Result};

const RUNS: Query = query!("metric/runs");
const TENANTS: Query = query!("metric/tenants");
const ALERTS: Query = query!("metric/alerts");
const BACKUPS: Query = query!("metric/backups");
const BACKUP_AGES: Query = query!("metric/backup_ages");
const MAY_WATCH: Query = query!("metric/may_watch");
const WAL: Query = query!("metric/wal");
const SCHEDULES: Query = query!("metric/schedules");

/// Whether who acts may see what is counted of the whole installation.
pub async fn may_watch(on: &impl On) -> Result<bool> {
    Ok(MAY_WATCH.one::<Only<bool>>(on, &[]).await?.0)
}

/// Runs of one kind that have not ended, by state.
#[derive(Debug, Clone)]
pub struct Runs {
    pub kind: RunKind,
    pub state: RunState,
    pub count: i64,
    /// Of those, how many are for a later time.
    pub held: i64,
    /// Seconds for which the oldest of the others could have run.
    pub oldest: f64,
}

impl Read for Runs {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            kind: columns.written("kind")?,
            state: columns.written("state")?,
            count: columns.get("runs")?,
            held: columns.get("held")?,
            oldest: columns.get("oldest")?,
        })
    }
}

pub async fn runs(on: &impl On) -> Result<Vec<Runs>> {
    RUNS.all(on, &[]).await
}

struct Counted<A, B>(A, B);

impl Read for Counted<TenantState, i64> {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self(columns.written("state")?, columns.get("tenants")?))
    }
}

pub async fn tenants(on: &impl On) -> Result<Vec<(TenantState, i64)>> {
    let counted: Vec<Counted<TenantState, i64>> = TENANTS.all(on, &[]).await?;
    Ok(counted.into_iter().map(|Counted(state, count)| (state, count)).collect())
}

impl Read for Counted<(AlertKind, Severity), i64> {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self((columns.written("kind")?, columns.written("severity")?), columns.get("alerts")?))
    }
}

/// Those not resolved.
pub async fn alerts(on: &impl On) -> Result<Vec<((AlertKind, Severity), i64)>> {
    let counted: Vec<Counted<(AlertKind, Severity), i64>> = ALERTS.all(on, &[]).await?;
    Ok(counted.into_iter().map(|Counted(of, count)| (of, count)).collect())
}

/// Of active tenants.
#[derive(Debug, Clone, Copy)]
pub struct Backups {
    /// Seconds since the oldest of their newest backups.
    pub oldest: f64,
    pub without: i64,
}

impl Read for Backups {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self { oldest: columns.get("oldest")?, without: columns.get("without")? })
    }
}

pub async fn backups(on: &impl On) -> Result<Backups> {
    BACKUPS.one(on, &[]).await
}

impl Read for Counted<String, f64> {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self(columns.get("name")?, columns.get("age")?))
    }
}

/// Active tenants with the seconds since their newest backup, the oldest first.
pub async fn backup_ages(on: &impl On, at_most: u32) -> Result<Vec<(String, f64)>> {
    let counted: Vec<Counted<String, f64>> = BACKUP_AGES.all(on, &[&i64::from(at_most)]).await?;
    Ok(counted.into_iter().map(|Counted(name, age)| (name, age)).collect())
}

/// Of active tenants whose WAL is streamed.
#[derive(Debug, Clone, Copy)]
pub struct Wal {
    pub streamed: i64,
    /// The most that the repository is behind one of them, in bytes and seconds.
    pub lag_bytes: i64,
    pub lag: f64,
    pub slots_lost: i64,
}

impl Read for Wal {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            streamed: columns.get("streamed")?,
            lag_bytes: columns.get("lag_bytes")?,
            lag: columns.get("lag")?,
            slots_lost: columns.get("slots_lost")?,
        })
    }
}

pub async fn wal(on: &impl On) -> Result<Wal> {
    WAL.one(on, &[]).await
}

#[derive(Debug, Clone, Copy)]
pub struct Schedules {
    pub enabled: i64,
    pub paused: i64,
    /// Seconds by which the latest of them is late.
    pub late: f64,
}

impl Read for Schedules {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            enabled: columns.get("enabled")?,
            paused: columns.get("paused")?,
            late: columns.get("late")?,
        })
    }
}

pub async fn schedules(on: &impl On) -> Result<Schedules> {
    SCHEDULES.one(on, &[]).await
}

//! What is counted for `/metrics`, in queries whose cost does not grow with
//! what has ended.

use model::alert::{AlertKind, Severity};
use model::run::{RunKind, RunState};
use model::tenant::TenantState;

use crate::query::{Columns, Query, Read, query};
use crate::{On, Result};

const RUNS: Query = query!("metric/runs");
const TENANTS: Query = query!("metric/tenants");
const ALERTS: Query = query!("metric/alerts");
const BACKUPS: Query = query!("metric/backups");
const SCHEDULES: Query = query!("metric/schedules");

/// Runs of one kind that have not ended, by state.
#[derive(Debug, Clone)]
pub struct Runs {
    pub kind: RunKind,
    pub state: RunState,
    pub count: i64,
    /// Seconds since the oldest of them was queued.
    pub oldest: f64,
}

impl Read for Runs {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            kind: columns.written("kind")?,
            state: columns.written("state")?,
            count: columns.get("runs")?,
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

impl Read for Counted<String, Option<f64>> {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self(columns.get("name")?, columns.get("age")?))
    }
}

/// Active tenants with the seconds since their newest backup, the oldest first
/// and those without one before them.
pub async fn backups(on: &impl On, at_most: u32) -> Result<Vec<(String, Option<f64>)>> {
    let counted: Vec<Counted<String, Option<f64>>> = BACKUPS.all(on, &[&i64::from(at_most)]).await?;
    Ok(counted.into_iter().map(|Counted(name, age)| (name, age)).collect())
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

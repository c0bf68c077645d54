use jiff::{SignedDuration, Timestamp};
use model::schedule::{Action, CatchUp};
use model::tenant::TenantState;
use model::{EnvironmentId, ProjectId, RunId, ScheduleId, TenantId};
use uuid::Uuid;

use crate::guard;
use crate::query::{Columns, Only, Query, Read, query};
use crate::{On, Result};

const INSERT: Query = query!("schedule/insert");
const LIST: Query = query!("schedule/list");
const FIND: Query = query!("schedule/find");
const DUE: Query = query!("schedule/due");
const LOCK: Query = query!("schedule/lock");
const ADVANCE: Query = query!("schedule/advance");
const CHANGE: Query = query!("schedule/change");
const STOP: Query = query!("schedule/stop");
const REMOVE: Query = query!("schedule/remove");
const TENANTS: Query = query!("schedule/tenants");

#[derive(Debug, Clone)]
pub struct Schedule {
    pub id: ScheduleId,
    pub project_id: ProjectId,
    pub project: String,
    pub environment_id: Option<EnvironmentId>,
    pub environment: Option<String>,
    pub tenant: Option<String>,
    pub name: String,
    pub action: Action,
    pub cron: String,
    pub zone: String,
    pub catch_up: CatchUp,
    pub enabled: bool,
    pub next_at: Option<Timestamp>,
    /// The clock by which that was worked out.
    pub planned_at: Timestamp,
    pub last_at: Option<Timestamp>,
    pub last_run: Option<RunId>,
    pub last_note: Option<String>,
    pub version: i64,
    pub created_at: Timestamp,
}

impl Read for Schedule {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            id: columns.id("id")?,
            project_id: columns.id("project_id")?,
            project: columns.get("project")?,
            environment_id: columns.id_if("environment_id")?,
            environment: columns.get("environment")?,
            tenant: columns.get("tenant")?,
            name: columns.get("name")?,
            action: columns.written("action")?,
            cron: columns.get("cron")?,
            zone: columns.get("zone")?,
            catch_up: columns.written("catch_up")?,
            enabled: columns.get("enabled")?,
            next_at: columns.get("next_at")?,
            planned_at: columns.get("planned_at")?,
            last_at: columns.get("last_at")?,
            last_run: columns.id_if("last_run_id")?,
            last_note: columns.get("last_note")?,
            version: columns.get("version")?,
            created_at: columns.get("created_at")?,
        })
    }
}

#[derive(Debug, Clone)]
pub struct NewSchedule<'a> {
    pub id: ScheduleId,
    pub project: ProjectId,
    pub environment: Option<EnvironmentId>,
    pub tenant: Option<TenantId>,
    pub name: &'a str,
    pub set: Set<'a>,
}

/// What people set of a schedule, and what follows from it.
#[derive(Debug, Clone)]
pub struct Set<'a> {
    pub action: Action,
    pub cron: &'a str,
    pub zone: &'a str,
    pub catch_up: CatchUp,
    pub enabled: bool,
    pub next_at: Option<Timestamp>,
    pub planned_at: Timestamp,
}

pub async fn insert(on: &impl On, new: &NewSchedule<'_>) -> Result<()> {
    let set = &new.set;
    INSERT
        .run(
            on,
            &[
                &new.id.0,
                &new.project.0,
                &new.environment.map(|id| id.0),
                &new.tenant.map(|id| id.0),
                &new.name,
                &set.action.as_str(),
                &set.cron,
                &set.zone,
                &set.catch_up.as_str(),
                &set.enabled,
                &set.next_at,
                &set.planned_at,
            ],
        )
        .await
        .map(drop)
}

/// All, or one project's, by their names; `after` is a project's name and one in it.
pub async fn list(
    on: &impl On,
    project: Option<ProjectId>,
    after: Option<(&str, &str)>,
    most: i64,
) -> Result<Vec<Schedule>> {
    let (after_project, after_name) = after.unzip();
    LIST.all(on, &[&project.map(|id| id.0), &after_project, &after_name, &most]).await
}

/// By `PROJECT/NAME` or id.
pub async fn find(on: &impl On, schedule: &str) -> Result<Option<Schedule>> {
    let (project, name) = schedule.split_once('/').unwrap_or(("", schedule));
    FIND.first(on, &[&project, &name, &schedule.parse::<Uuid>().ok()]).await
}

/// At most 1,000 whose instant has come, or that a clock that went back has
/// left too far ahead.
pub async fn due(on: &impl On, now: Timestamp, tolerance: SignedDuration) -> Result<Vec<ScheduleId>> {
    let ids: Vec<Only<Uuid>> = DUE.all(on, &[&now, &tolerance.as_secs_f64()]).await?;
    Ok(ids.into_iter().map(|only| ScheduleId(only.0)).collect())
}

/// Keeps others from it until the transaction ends. False: it is gone or
/// paused, or somebody else has it now.
pub async fn lock(on: &impl On, schedule: ScheduleId) -> Result<bool> {
    Ok(LOCK.first::<Only<Uuid>>(on, &[&schedule.0]).await?.is_some())
}

/// What came of the instants that a schedule was run for.
#[derive(Debug, Clone, Default)]
pub struct Ran<'a> {
    pub at: Option<Timestamp>,
    pub run: Option<RunId>,
    pub note: Option<&'a str>,
}

/// Moves it on from `found`; false: it was not found there.
pub async fn advance(
    on: &impl On,
    schedule: ScheduleId,
    found: Option<Timestamp>,
    next: Option<Timestamp>,
    now: Timestamp,
    ran: &Ran<'_>,
) -> Result<bool> {
    let changed = ADVANCE
        .run(on, &[&schedule.0, &found, &next, &now, &ran.at, &ran.run.map(|run| run.0), &ran.note])
        .await?;
    Ok(changed > 0)
}

/// False: it has another version now.
pub async fn change(on: &impl On, schedule: ScheduleId, version: i64, set: &Set<'_>) -> Result<bool> {
    let changed = CHANGE
        .run(
            on,
            &[
                &schedule.0,
                &version,
                &set.action.as_str(),
                &set.cron,
                &set.zone,
                &set.catch_up.as_str(),
                &set.enabled,
                &set.next_at,
                &set.planned_at,
            ],
        )
        .await?;
    Ok(changed > 0)
}

pub async fn stop(on: &impl On, schedule: ScheduleId, why: &str) -> Result<()> {
    STOP.run(on, &[&schedule.0, &why]).await.map(drop)
}

/// False: nothing was removed.
pub async fn remove(on: &impl On, schedule: ScheduleId) -> Result<bool> {
    Ok(REMOVE.run(on, &[&schedule.0]).await? > 0)
}

/// Its tenants in one of the states, with their names.
pub async fn tenants(
    on: &impl On,
    schedule: ScheduleId,
    states: &[TenantState],
) -> Result<Vec<(TenantId, String)>> {
    let tenants: Vec<Named> = TENANTS.all(on, &[&schedule.0, &guard::written(states)]).await?;
    Ok(tenants.into_iter().map(|named| (named.0, named.1)).collect())
}

struct Named(TenantId, String);

impl Read for Named {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self(columns.id("id")?, columns.get("name")?))
    }
}

use jiff::Timestamp;
use model::{EnvironmentId, MaintenanceWindowId, ProjectId};
use uuid::Uuid;

use crate::query::{Columns, Query, Read, query};
use crate::{On, Result};

const INSERT: Query = query!("maintenance_window/insert");
const LIST: Query = query!("maintenance_window/list");
const FIND: Query = query!("maintenance_window/find");
const OF_ENVIRONMENT: Query = query!("maintenance_window/of_environment");
const REMOVE: Query = query!("maintenance_window/remove");

#[derive(Debug, Clone)]
pub struct MaintenanceWindow {
    pub id: MaintenanceWindowId,
    pub project_id: ProjectId,
    pub project: String,
    /// None: all of the project's.
    pub environment: Option<String>,
    pub name: String,
    pub cron: String,
    pub zone: String,
    pub minutes: i32,
    pub version: i64,
    pub created_at: Timestamp,
}

impl Read for MaintenanceWindow {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            id: columns.id("id")?,
            project_id: columns.id("project_id")?,
            project: columns.get("project")?,
            environment: columns.get("environment")?,
            name: columns.get("name")?,
            cron: columns.get("cron")?,
            zone: columns.get("zone")?,
            minutes: columns.get("minutes")?,
            version: columns.get("version")?,
            created_at: columns.get("created_at")?,
        })
    }
}

#[derive(Debug, Clone)]
pub struct NewMaintenanceWindow<'a> {
    pub id: MaintenanceWindowId,
    pub project: ProjectId,
    pub environment: Option<EnvironmentId>,
    pub name: &'a str,
    pub cron: &'a str,
    pub zone: &'a str,
    pub minutes: i32,
}

pub async fn insert(on: &impl On, new: &NewMaintenanceWindow<'_>) -> Result<()> {
    let environment = new.environment.map(|id| id.0);
    INSERT
        .run(on, &[&new.id.0, &new.project.0, &environment, &new.name, &new.cron, &new.zone, &new.minutes])
        .await
        .map(drop)
}

/// All, or one project's, by their names; `after` is a project's name and one in it.
pub async fn list(
    on: &impl On,
    project: Option<ProjectId>,
    after: Option<(&str, &str)>,
    most: i64,
) -> Result<Vec<MaintenanceWindow>> {
    let (after_project, after_name) = after.unzip();
    LIST.all(on, &[&project.map(|id| id.0), &after_project, &after_name, &most]).await
}

/// By `PROJECT/NAME` or id.
pub async fn find(on: &impl On, window: &str) -> Result<Option<MaintenanceWindow>> {
    let (project, name) = window.split_once('/').unwrap_or(("", window));
    FIND.first(on, &[&project, &name, &window.parse::<Uuid>().ok()]).await
}

/// Those that hold for an environment: its own, and its whole project's.
pub async fn of_environment(on: &impl On, environment: EnvironmentId) -> Result<Vec<MaintenanceWindow>> {
    OF_ENVIRONMENT.all(on, &[&environment.0]).await
}

/// False: nothing was removed.
pub async fn remove(on: &impl On, window: MaintenanceWindowId) -> Result<bool> {
    Ok(REMOVE.run(on, &[&window.0]).await? > 0)
}

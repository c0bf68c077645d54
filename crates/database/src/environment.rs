use jiff::Timestamp;
use model::project::Stage;
use model::{BuildId, EnvironmentId, ProjectId, Slug};
use uuid::Uuid;

use crate::query::{Columns, Only, Query, Read, query};
use crate::{On, Result};

const INSERT: Query = query!("environment/insert");
const LIST: Query = query!("environment/list");
const FIND: Query = query!("environment/find");
const ARCHIVE: Query = query!("environment/archive");
const LOCK: Query = query!("environment/lock");
const TENANTS: Query = query!("environment/tenants");
const CHANGE: Query = query!("environment/change");

#[derive(Debug, Clone)]
pub struct Environment {
    pub id: EnvironmentId,
    pub project_id: ProjectId,
    pub project: String,
    pub name: String,
    pub stage: Stage,
    pub build_id: BuildId,
    /// Grows with each change, for those who read and write in two steps.
    pub version: i64,
    pub created_at: Timestamp,
    pub archived_at: Option<Timestamp>,
}

impl Read for Environment {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            id: columns.id("id")?,
            project_id: columns.id("project_id")?,
            project: columns.get("project")?,
            name: columns.get("name")?,
            stage: columns.written("stage")?,
            build_id: columns.id("build_id")?,
            version: columns.get("version")?,
            created_at: columns.get("created_at")?,
            archived_at: columns.get("archived_at")?,
        })
    }
}

pub async fn insert(
    on: &impl On,
    id: EnvironmentId,
    project: ProjectId,
    name: &Slug,
    stage: Stage,
    build: BuildId,
) -> Result<()> {
    INSERT.run(on, &[&id.0, &project.0, &name.as_str(), &stage.as_str(), &build.0]).await.map(drop)
}

/// All, or one project's; those after `after` (a project's name and an
/// environment's), at most `most`.
pub async fn list(
    on: &impl On,
    project: Option<ProjectId>,
    after: Option<(&str, &str)>,
    most: i64,
) -> Result<Vec<Environment>> {
    let (after_project, after_name) = after.unzip();
    LIST.all(on, &[&project.map(|id| id.0), &after_project, &after_name, &most]).await
}

/// By `PROJECT/NAME`, each a name or an id, or by id alone.
pub async fn find(on: &impl On, environment: &str) -> Result<Option<Environment>> {
    let (project, name) = match environment.split_once('/') {
        Some((project, name)) => (Some(project), name),
        None => (None, environment),
    };
    let project_id = project.and_then(|project| project.parse::<Uuid>().ok());
    let id = name.parse::<Uuid>().ok();
    FIND.first(on, &[&project, &project_id, &name, &id, &project.is_some()]).await
}

/// Keeps others from changing it, and from putting tenants into it, until the
/// transaction ends; its version.
pub async fn lock(on: &impl On, environment: EnvironmentId) -> Result<Option<i64>> {
    Ok(LOCK.first::<Only<i64>>(on, &[&environment.0]).await?.map(|version| version.0))
}

/// How many tenants are in it that are not archived.
pub async fn tenants(on: &impl On, environment: EnvironmentId) -> Result<i64> {
    Ok(TENANTS.one::<Only<i64>>(on, &[&environment.0]).await?.0)
}

/// What its tenants are made from now on.
pub async fn set_build(on: &impl On, environment: EnvironmentId, build: BuildId) -> Result<bool> {
    Ok(CHANGE.run(on, &[&environment.0, &build.0]).await? == 1)
}

/// Ends it; its tenants are archived after this, in the same transaction. From
/// here on none is made in it. Whether it had not ended before.
pub async fn archive(on: &impl On, environment: EnvironmentId) -> Result<bool> {
    Ok(ARCHIVE.run(on, &[&environment.0]).await? > 0)
}

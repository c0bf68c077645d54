use jiff::Timestamp;
use model::project::Stage;
use model::{BuildId, EnvironmentId, ProjectId, Slug};
use uuid::Uuid;

use crate::query::{Columns, Query, Read, query};
use crate::{On, Result};

const INSERT: Query = query!("environment/insert");
const LIST: Query = query!("environment/list");
const FIND: Query = query!("environment/find");
const ARCHIVE: Query = query!("environment/archive");

#[derive(Debug, Clone)]
pub struct Environment {
    pub id: EnvironmentId,
    pub project_id: ProjectId,
    pub project: String,
    pub name: String,
    pub stage: Stage,
    pub build_id: BuildId,
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

/// All, or one project's.
pub async fn list(on: &impl On, project: Option<ProjectId>) -> Result<Vec<Environment>> {
    LIST.all(on, &[&project.map(|id| id.0)]).await
}

/// By `PROJECT/NAME` or id.
pub async fn find(on: &impl On, environment: &str) -> Result<Option<Environment>> {
    let (project, name) = environment.split_once('/').unwrap_or(("", environment));
    FIND.first(on, &[&project, &name, &environment.parse::<Uuid>().ok()]).await
}

/// Ends it; its tenants are archived after this, in the same transaction. From
/// here on none is made in it. Whether it had not ended before.
pub async fn archive(on: &impl On, environment: EnvironmentId) -> Result<bool> {
    Ok(ARCHIVE.run(on, &[&environment.0]).await? > 0)
}

use jiff::Timestamp;
use model::project::Stage;
use model::{BuildId, EnvironmentId, ProjectId, Slug};
use uuid::Uuid;

use crate::query::{Columns, Query, Read, query};
use crate::{On, Result};

const INSERT: Query = query!("environment/insert");
const LIST: Query = query!("environment/list");
const FIND: Query = query!("environment/find");

#[derive(Debug, Clone)]
pub struct Environment {
    pub id: EnvironmentId,
    pub project_id: ProjectId,
    pub project: String,
    pub name: String,
    pub stage: Stage,
    pub build_id: BuildId,
    pub created_at: Timestamp,
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

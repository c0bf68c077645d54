use jiff::Timestamp;
use model::{ProjectId, Slug};
use uuid::Uuid;

use crate::query::{Columns, Query, Read, query};
use crate::{On, Result};

const INSERT: Query = query!("project/insert");
const LIST: Query = query!("project/list");
const FIND: Query = query!("project/find");

#[derive(Debug, Clone)]
pub struct Project {
    pub id: ProjectId,
    pub name: String,
    pub created_at: Timestamp,
}

impl Read for Project {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self { id: columns.id("id")?, name: columns.get("name")?, created_at: columns.get("created_at")? })
    }
}

pub async fn insert(on: &impl On, id: ProjectId, name: &Slug) -> Result<Project> {
    INSERT.one(on, &[&id.0, &name.as_str()]).await
}

/// By name, those after `after`; at most `most`.
pub async fn list(on: &impl On, after: Option<&str>, most: i64) -> Result<Vec<Project>> {
    LIST.all(on, &[&after, &most]).await
}

/// By name or id.
pub async fn find(on: &impl On, project: &str) -> Result<Option<Project>> {
    FIND.first(on, &[&project, &project.parse::<Uuid>().ok()]).await
}

//! What the caller may do, asked before it is tried: the policies decide
//! either way, this only lets the answer be clear.

use model::access::Permission;
use model::{EnvironmentId, ProjectId};

use crate::query::{Columns, Only, Query, Read, query};
use crate::{On, Result};

const PROJECT: Query = query!("access/project");
const PROJECTS: Query = query!("access/projects");
const ENVIRONMENT: Query = query!("access/environment");
const OPERATOR: Query = query!("access/operator");

pub async fn in_project(on: &impl On, project: ProjectId, permission: Permission) -> Result<bool> {
    Ok(PROJECT.one::<Only<bool>>(on, &[&project.0, &permission.as_str()]).await?.0)
}

/// The names of those in which the caller has a permission; None: of all.
pub async fn projects(on: &impl On, permission: Option<Permission>) -> Result<Vec<String>> {
    let found: Vec<Only<String>> = PROJECTS.all(on, &[&permission.map(Permission::as_str)]).await?;
    Ok(found.into_iter().map(|only| only.0).collect())
}

/// What an environment lets the caller do.
#[derive(Debug, Clone, Copy)]
pub struct Let {
    pub production: bool,
    pub may: bool,
}

impl Read for Let {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self { production: columns.get("production")?, may: columns.get("may")? })
    }
}

/// None: there is no such environment, for the caller.
pub async fn in_environment(
    on: &impl On,
    environment: EnvironmentId,
    permission: Permission,
) -> Result<Option<Let>> {
    ENVIRONMENT.first(on, &[&environment.0, &permission.as_str()]).await
}

pub async fn is_operator(on: &impl On) -> Result<bool> {
    Ok(OPERATOR.one::<Only<bool>>(on, &[]).await?.0)
}

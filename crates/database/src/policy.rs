use jiff::Timestamp;
use model::access::Role;
use model::policy::Act;
use model::project::Stage;
use model::{EnvironmentId, PolicyId, ProjectId};

use crate::query::{Columns, Query, Read, query};
use crate::{On, Result};

const LIST: Query = query!("policy/list");
const GET: Query = query!("policy/get");
const INSERT: Query = query!("policy/insert");
const UPDATE: Query = query!("policy/update");
const REMOVE: Query = query!("policy/remove");

#[derive(Debug, Clone)]
pub struct Policy {
    pub id: PolicyId,
    pub project_id: ProjectId,
    pub project: String,
    pub act: Act,
    pub place: Place,
    pub environment: Option<String>,
    pub terms: Terms,
    pub version: i64,
    pub created_at: Timestamp,
}

/// Where a policy holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Everywhere,
    Stage(Stage),
    Environment(EnvironmentId),
}

/// What a policy asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    pub approvals: i32,
    pub roles: Vec<Role>,
    /// Seconds.
    pub expires_after: i32,
}

impl Read for Policy {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        let stage: Option<&str> = columns.get("stage")?;
        let place = match (columns.id_if("environment_id")?, stage) {
            (Some(environment), _) => Place::Environment(environment),
            (None, Some(_)) => Place::Stage(columns.written("stage")?),
            (None, None) => Place::Everywhere,
        };
        Ok(Self {
            id: columns.id("id")?,
            project_id: columns.id("project_id")?,
            project: columns.get("project")?,
            act: columns.written("act")?,
            place,
            environment: columns.get("environment")?,
            terms: Terms {
                approvals: columns.get("approvals")?,
                roles: roles(columns)?,
                expires_after: columns.get("expires_after")?,
            },
            version: columns.get("version")?,
            created_at: columns.get("created_at")?,
        })
    }
}

pub(crate) fn roles(columns: &Columns<'_>) -> Result<Vec<Role>> {
    let written: Vec<&str> = columns.get("roles")?;
    written.into_iter().map(|role| role.parse().map_err(|source| columns.fault("roles", source))).collect()
}

/// All, or one project's.
pub async fn list(on: &impl On, project: Option<ProjectId>) -> Result<Vec<Policy>> {
    LIST.all(on, &[&project.map(|id| id.0)]).await
}

pub async fn get(on: &impl On, policy: PolicyId) -> Result<Option<Policy>> {
    GET.first(on, &[&policy.0]).await
}

pub async fn insert(
    on: &impl On,
    id: PolicyId,
    project: ProjectId,
    act: Act,
    place: Place,
    terms: &Terms,
) -> Result<()> {
    let environment = if let Place::Environment(id) = place { Some(id.0) } else { None };
    let stage = if let Place::Stage(stage) = place { Some(stage.as_str()) } else { None };
    let roles = terms.roles();
    INSERT
        .run(
            on,
            &[
                &id.0,
                &project.0,
                &act.as_str(),
                &environment,
                &stage,
                &terms.approvals,
                &roles,
                &terms.expires_after,
            ],
        )
        .await
        .map(drop)
}

/// Whether it was there in this version.
pub async fn update(on: &impl On, id: PolicyId, version: Option<i64>, terms: &Terms) -> Result<bool> {
    let roles = terms.roles();
    Ok(UPDATE.run(on, &[&id.0, &version, &terms.approvals, &roles, &terms.expires_after]).await? > 0)
}

/// Whether it was there in this version.
pub async fn remove(on: &impl On, id: PolicyId, version: Option<i64>) -> Result<bool> {
    Ok(REMOVE.run(on, &[&id.0, &version]).await? > 0)
}

impl Terms {
    fn roles(&self) -> Vec<&'static str> {
        self.roles.iter().map(|role| role.as_str()).collect()
    }
}

use jiff::Timestamp;
use model::project::BuildState;
use model::{BuildId, ProjectId, RunId};

use crate::guard::{self, Guarded, Seen};
use crate::query::{Columns, Only, Query, Read, query};
use crate::{On, Result};

const INSERT: Query = query!("build/insert");
const LIST: Query = query!("build/list");
const FIND: Query = query!("build/find");
const NEWEST_READY: Query = query!("build/newest_ready");
const MOVE: Query = query!("build/move");

#[derive(Debug, Clone)]
pub struct Build {
    pub id: BuildId,
    pub project_id: ProjectId,
    pub project: String,
    pub state: BuildState,
    pub odoo: String,
    pub python: Option<String>,
    pub addons: Vec<String>,
    pub modules: Vec<String>,
    pub odoo_version: Option<String>,
    pub created_at: Timestamp,
    /// The run that makes it; None only within the transaction that queues it.
    pub run_id: Option<RunId>,
}

impl Read for Build {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            id: columns.id("id")?,
            project_id: columns.id("project_id")?,
            project: columns.get("project")?,
            state: columns.written("state")?,
            odoo: columns.get("odoo")?,
            python: columns.get("python")?,
            addons: columns.get("addons")?,
            modules: columns.get("modules")?,
            odoo_version: columns.get("odoo_version")?,
            created_at: columns.get("created_at")?,
            run_id: columns.id_if("run_id")?,
        })
    }
}

/// What a build is made from.
#[derive(Debug, Clone)]
pub struct NewBuild<'a> {
    pub id: BuildId,
    pub project: ProjectId,
    pub odoo: &'a str,
    pub python: Option<&'a str>,
    pub addons: &'a [String],
    pub modules: &'a [String],
}

pub async fn insert(on: &impl On, new: &NewBuild<'_>) -> Result<()> {
    INSERT
        .run(on, &[&new.id.0, &new.project.0, &new.odoo, &new.python, &new.addons, &new.modules])
        .await
        .map(drop)
}

/// All, or one project's; newest first, those before `after`, at most `most`.
pub async fn list(
    on: &impl On,
    project: Option<ProjectId>,
    after: Option<BuildId>,
    most: i64,
) -> Result<Vec<Build>> {
    LIST.all(on, &[&project.map(|id| id.0), &after.map(|id| id.0), &most]).await
}

pub async fn find(on: &impl On, build: BuildId) -> Result<Option<Build>> {
    FIND.first(on, &[&build.0]).await
}

pub async fn newest_ready(on: &impl On, project: ProjectId) -> Result<Option<BuildId>> {
    Ok(NEWEST_READY.first::<Only<uuid::Uuid>>(on, &[&project.0]).await?.map(|only| BuildId(only.0)))
}

/// `odoo_version` is given with `ready` and with nothing else.
pub async fn set_state(
    on: &impl On,
    build: BuildId,
    from: &[BuildState],
    to: BuildState,
    odoo_version: Option<&str>,
) -> Result<Guarded<BuildState>> {
    let seen: Option<Seen<BuildState>> =
        MOVE.first(on, &[&build.0, &guard::written(from), &to.as_str(), &odoo_version]).await?;
    Ok(seen.into())
}

use jiff::Timestamp;
use model::access::Role;
use model::policy::{Act, ApprovalState, Decision};
use model::{ApprovalId, EnvironmentId, ProjectId, RunId};
use serde_json::Value;
use uuid::Uuid;

use crate::query::{Columns, Only, Query, Read, query};
use crate::{On, Result};

const LIST: Query = query!("approval/list");
const GET: Query = query!("approval/get");
const OF_RUN: Query = query!("approval/of_run");
const ASK: Query = query!("approval/ask");
const USE: Query = query!("approval/use");
const DECIDE: Query = query!("approval/decide");
const EXPIRE: Query = query!("approval/expire");
const UNSETTLED: Query = query!("approval/unsettled");
const SETTLE: Query = query!("approval/settle");

#[derive(Debug, Clone)]
pub struct Approval {
    pub id: ApprovalId,
    pub project: String,
    pub environment: Option<String>,
    pub act: Act,
    pub run_id: Option<RunId>,
    pub summary: String,
    pub state: ApprovalState,
    pub needed: i32,
    pub roles: Vec<Role>,
    /// A login or a key's name.
    pub requester: String,
    pub asked_at: Timestamp,
    pub expires_at: Timestamp,
    pub decided_at: Option<Timestamp>,
    /// Logins of those who may still decide.
    pub deciders: Vec<String>,
    /// `[{by, decision, note, decided_at}]`
    pub decisions: Option<Value>,
}

impl Read for Approval {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            id: columns.id("id")?,
            project: columns.get("project")?,
            environment: columns.get("environment")?,
            act: columns.written("act")?,
            run_id: columns.id_if("run_id")?,
            summary: columns.get("summary")?,
            state: columns.written("state")?,
            needed: columns.get("needed")?,
            roles: crate::policy::roles(columns)?,
            requester: columns.get("requester")?,
            asked_at: columns.get("asked_at")?,
            expires_at: columns.get("expires_at")?,
            decided_at: columns.get("decided_at")?,
            deciders: columns.get::<Option<Vec<String>>>("deciders")?.unwrap_or_default(),
            decisions: columns.get("decisions")?,
        })
    }
}

/// Newest first.
pub async fn list(
    on: &impl On,
    project: Option<ProjectId>,
    state: Option<ApprovalState>,
    before: Option<ApprovalId>,
    at_most: i64,
) -> Result<Vec<Approval>> {
    let (project, before) = (project.map(|id| id.0), before.map(|id| id.0));
    LIST.all(on, &[&project, &state.map(ApprovalState::as_str), &before, &at_most]).await
}

pub async fn get(on: &impl On, approval: ApprovalId) -> Result<Option<Approval>> {
    GET.first(on, &[&approval.0]).await
}

/// The last one that a run has asked for.
pub async fn of_run(on: &impl On, run: RunId) -> Result<Option<ApprovalId>> {
    Ok(OF_RUN.first::<Only<Uuid>>(on, &[&run.0]).await?.map(|only| ApprovalId(only.0)))
}

/// Whether an act without a run may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// No policy asks for anybody.
    Free,
    /// `use_up`, and do it.
    Granted(ApprovalId),
    /// It was asked for, now or before.
    Pending(ApprovalId),
}

impl Read for Asked {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        let approval = columns.id_if("approval")?;
        Ok(match (approval, columns.get::<&str>("state")?) {
            (Some(id), "granted") => Self::Granted(id),
            (Some(id), _) => Self::Pending(id),
            (None, _) => Self::Free,
        })
    }
}

/// `subject` is what exactly: granted for one thing, it is not for another.
pub async fn ask(
    on: &impl On,
    act: Act,
    project: ProjectId,
    environment: Option<EnvironmentId>,
    subject: &str,
    summary: &str,
) -> Result<Asked> {
    ASK.one(on, &[&act.as_str(), &project.0, &environment.map(|id| id.0), &subject, &summary]).await
}

/// In the transaction that does what it allows.
pub async fn use_up(on: &impl On, approval: ApprovalId) -> Result<()> {
    USE.run(on, &[&approval.0]).await.map(drop)
}

/// In the name of whoever acts. The state afterwards.
pub async fn decide(
    on: &impl On,
    approval: ApprovalId,
    decision: Decision,
    note: Option<&str>,
) -> Result<ApprovalState> {
    Ok(DECIDE.one::<State>(on, &[&approval.0, &decision.as_str(), &note]).await?.0)
}

struct State(ApprovalState);

impl Read for State {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        columns.written("decide_approval").map(Self)
    }
}

/// Ends those that were not decided in time; how many.
pub async fn expire(on: &impl On) -> Result<i64> {
    Ok(EXPIRE.one::<Only<i64>>(on, &[]).await?.0)
}

/// Decided ones whose run was not told yet.
pub async fn unsettled(on: &impl On) -> Result<Vec<ApprovalId>> {
    let found: Vec<Only<Uuid>> = UNSETTLED.all(on, &[]).await?;
    Ok(found.into_iter().map(|only| ApprovalId(only.0)).collect())
}

/// What became of a run that waited for an approval.
#[derive(Debug, Clone)]
pub struct Settled {
    pub run: RunId,
    pub state: ApprovalState,
    /// By whom, or why not.
    pub reason: String,
}

impl Read for Settled {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self { run: columns.id("run")?, state: columns.written("state")?, reason: columns.get("reason")? })
    }
}

/// Tells the run. None: it was told before, or did not wait any more.
pub async fn settle(on: &impl On, approval: ApprovalId) -> Result<Option<Settled>> {
    SETTLE.first(on, &[&approval.0]).await
}

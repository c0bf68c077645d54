//! What waits for the approval of others. Who may decide is decided in the
//! database; what follows from it is done here, once.

use database::Connection;
use database::approval::Asked as Answer;
use model::policy::{Act, ApprovalState, Decision};
use model::{ApprovalId, EnvironmentId, ProjectId, RunId};
use protocol::api::{Approval, ApprovalDecision, Page};

use crate::matter::Matter;
use crate::{Control, Error, Kind, Refusal, Result, Slice};

/// Which approvals to list.
#[derive(Debug, Clone, Default)]
pub struct ApprovalFilter {
    /// A project's name or id.
    pub project: Option<String>,
    pub state: Option<ApprovalState>,
}

/// An act that has no run to wait.
pub(crate) struct Doing<'a> {
    pub act: Act,
    pub project: ProjectId,
    pub environment: Option<EnvironmentId>,
    /// What exactly: granted for one thing, it is not for another.
    pub subject: String,
    /// After "to": `archive the tenant acme`.
    pub summary: &'a str,
}

impl Control {
    /// Newest first.
    pub async fn approvals(
        &self,
        filter: &ApprovalFilter,
        slice: &Slice<ApprovalId>,
    ) -> Result<Page<Approval>> {
        let database = self.database().await?;
        let project = match &filter.project {
            Some(project) => Some(crate::project::find(&database, project).await?.id),
            None => None,
        };
        let found =
            database::approval::list(&database, project, filter.state, slice.after, slice.rows()).await?;
        let approvals = found.into_iter().map(shown).collect::<Result<_>>()?;
        Ok(slice.page(approvals, |approval: &Approval| approval.id.to_string()))
    }

    pub async fn approval(&self, approval: ApprovalId) -> Result<Approval> {
        get(&self.database().await?, approval).await
    }

    /// The last approval that a run has asked for.
    pub async fn approval_of_run(&self, run: RunId) -> Result<Approval> {
        let database = self.database().await?;
        crate::run::find(&database, run).await?;
        match database::approval::of_run(&database, run).await? {
            Some(approval) => get(&database, approval).await,
            None => {
                let detail = format!("the run {run} has asked for no approval");
                Err(Refusal::new(Kind::NotFound, detail).hint("no policy asked for one").into())
            }
        }
    }

    /// Approves or refuses in the name of whoever acts. The last approval that
    /// was needed lets the run go on; a refusal ends it, with the note.
    pub async fn decide_approval(
        &self,
        approval: ApprovalId,
        decision: Decision,
        note: Option<&str>,
    ) -> Result<Approval> {
        let note = note.map(str::trim).filter(|note| !note.is_empty());
        if note.is_some_and(|note| note.chars().count() > 1000 || note.contains('\0')) {
            return Err(Refusal::invalid("the note must have at most 1000 characters").into());
        }
        let database = self.database().await?;
        database::approval::decide(&database, approval, decision, note).await?;
        drop(database);
        // Decided is decided; if telling the run fails, the reconciler does it.
        if let Err(error) = self.settle_approval(approval).await {
            let error = daemon::telemetry::causes(&error);
            tracing::warn!(%approval, error, "the run was not told of its approval yet");
        }
        self.approval(approval).await
    }

    /// Tells the run of a decided approval, and ends what it was about if it
    /// may not go on. Done again, it does nothing.
    pub(crate) async fn settle_approval(&self, approval: ApprovalId) -> Result<bool> {
        let own = self.platform();
        let mut connection = own.database().await?;
        let transaction = database::begin(&mut connection).await?;
        let Some(settled) = database::approval::settle(&transaction, approval).await? else {
            database::commit(transaction).await?;
            return Ok(false);
        };
        if settled.state != ApprovalState::Granted {
            let run = crate::run::find(&transaction, settled.run).await?;
            Matter::from(&run).fail(&transaction, &settled.reason).await?;
        }
        database::commit(transaction).await?;
        self.queued();
        self.told();
        self.routed();
        Ok(true)
    }

    /// Refuses an act that a policy asks an approval for, and asks for it. Once
    /// it is granted, the same act asked for again gets it, to be used up in the
    /// transaction that does it.
    /// Not to be called within one: what was asked stays asked.
    pub(crate) async fn granted(&self, on: &Connection, doing: &Doing<'_>) -> Result<Option<ApprovalId>> {
        let Doing { act, project, environment, subject, summary } = doing;
        let asked = database::approval::ask(on, *act, *project, *environment, subject, summary).await?;
        let approval = match asked {
            Answer::Free => return Ok(None),
            Answer::Granted(approval) => return Ok(Some(approval)),
            Answer::Pending(approval) => get(on, approval).await?,
        };
        self.told();
        let whom = waits_for(&approval);
        let detail = format!("to {summary} takes an approval, which was asked for: {}", approval.id);
        let hint = format!("{whom} may approve it until {}; then ask for this again", approval.expires_at);
        Err(Refusal::new(Kind::NeedsApproval, detail).hint(hint).into())
    }
}

/// Uses up what `granted` has given.
pub(crate) async fn use_up(on: &impl database::On, approval: Option<ApprovalId>) -> Result<()> {
    match approval {
        Some(approval) => Ok(database::approval::use_up(on, approval).await?),
        None => Ok(()),
    }
}

fn waits_for(approval: &Approval) -> String {
    if !approval.waits_for.is_empty() {
        return approval.waits_for.join(" or ");
    }
    let roles: Vec<&str> = approval.roles.iter().map(|role| role.as_str()).collect();
    format!("an operator, or whoever is made {} of {},", roles.join(" or "), approval.project)
}

async fn get(on: &impl database::On, id: ApprovalId) -> Result<Approval> {
    let found = database::approval::get(on, id).await?;
    let missing = || Refusal::not_found("approval", id).hint("`heddle approval list` shows them");
    shown(found.ok_or_else(missing)?)
}

fn shown(approval: database::approval::Approval) -> Result<Approval> {
    let decisions: Option<Vec<ApprovalDecision>> = approval
        .decisions
        .map(serde_json::from_value)
        .transpose()
        .map_err(|source| Error::Stored { what: "an approval's decisions", source })?;
    Ok(Approval {
        id: approval.id.0,
        environment: approval.environment.map(|name| format!("{}/{name}", approval.project)),
        project: approval.project,
        act: approval.act,
        summary: approval.summary,
        run: approval.run_id.map(|run| run.0),
        state: approval.state,
        needed: approval.needed,
        roles: approval.roles,
        requested_by: approval.requester,
        waits_for: approval.deciders,
        decisions: decisions.unwrap_or_default(),
        asked_at: approval.asked_at,
        expires_at: approval.expires_at,
        decided_at: approval.decided_at,
    })
}

use std::pin::pin;
use std::time::Duration;

use model::RunId;
use model::run::{RunKind, RunState};
use protocol::api::{Page, Run, RunEvent};
use tokio::time::{Instant, timeout_at};

use crate::matter::Matter;
use crate::{Control, Error, LOOK_AGAIN, Refusal, Result, Slice};

/// Which runs to list; newest first.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// A project's name or id.
    pub project: Option<String>,
    /// A tenant's name or id.
    pub tenant: Option<String>,
    pub kind: Option<RunKind>,
    pub state: Option<RunState>,
    /// Which piece of them.
    pub slice: Slice<RunId>,
}

impl Control {
    pub async fn runs(&self, filter: &RunFilter) -> Result<Page<Run>> {
        let database = self.database().await?;
        let project = match &filter.project {
            Some(project) => Some(crate::project::find(&database, project).await?.id),
            None => None,
        };
        let tenant = match &filter.tenant {
            Some(tenant) => Some(crate::tenant::find(&database, tenant).await?.id),
            None => None,
        };
        let wanted = database::run::Filter {
            before: filter.slice.after,
            project,
            tenant,
            kind: filter.kind,
            state: filter.state,
            at_most: filter.slice.rows(),
        };
        let runs = database::run::list(&database, &wanted).await?.into_iter().map(shown).collect();
        Ok(filter.slice.page(runs, |run: &Run| run.id.to_string()))
    }

    pub async fn run(&self, run: RunId) -> Result<Run> {
        let database = self.database().await?;
        let found = find(&database, run).await?;
        let after = database::run::after(&database, run).await?;
        Ok(Run { after: after.into_iter().map(|id| id.0).collect(), ..shown(found) })
    }

    /// At most 1,000 of its events whose id is greater than `after`, in order.
    pub async fn run_events(&self, run: RunId, after: i64) -> Result<Vec<RunEvent>> {
        let database = self.database().await?;
        let events = database::event::list(&database, run, after).await?;
        if events.is_empty() {
            find(&database, run).await?;
        }
        Ok(events.into_iter().map(told).collect())
    }

    /// Waits until there are events after `after` or the run has changed its
    /// state from `seen`, at most `wait`. For live streams: empty and ended
    /// means that nothing will follow.
    pub async fn follow_run(
        &self,
        run: RunId,
        after: i64,
        seen: Option<RunState>,
        wait: Duration,
    ) -> Result<(Run, Vec<RunEvent>)> {
        let deadline = Instant::now() + wait.min(Duration::from_secs(60));
        loop {
            // Subscribed before looking, so that nothing falls in between.
            let mut told_again = pin!(self.inner.told.notified());
            told_again.as_mut().enable();
            let (found, events) = {
                let database = self.database().await?;
                // The run first: what it said before it ended is in the events then.
                let found = find(&database, run).await?;
                (found, database::event::list(&database, run, after).await?)
            };
            let news = !events.is_empty() || Some(found.state) != seen || found.state.ended();
            if news || Instant::now() >= deadline {
                return Ok((shown(found), events.into_iter().map(told).collect()));
            }
            // Over early or late, it looks again.
            let _ = timeout_at(deadline.min(Instant::now() + LOOK_AGAIN), told_again).await;
        }
    }

    /// One that has not begun ends at once, a running one when its worker has
    /// stopped.
    pub async fn cancel_run(&self, run: RunId) -> Result<Run> {
        let mut connection = self.database().await?;
        let transaction = database::begin(&mut connection).await?;
        cancel(&transaction, run, "it was cancelled before it had started").await?;
        database::commit(transaction).await?;
        self.told();
        find(&connection, run).await.map(shown)
    }

    /// Queues a run again that has not ended well.
    pub async fn retry_run(&self, run: RunId) -> Result<Run> {
        let mut connection = self.database().await?;
        let transaction = database::begin(&mut connection).await?;
        let found = find(&transaction, run).await?;
        if found.state.may_be_retried() {
            Matter::from(&found).revive(&transaction).await?;
        }
        database::run::retry(&transaction, run).await?;
        database::commit(transaction).await?;
        self.queued();
        self.told();
        find(&connection, run).await.map(shown)
    }
}

/// Ends a run that has not begun, and what it is about with it; one that is
/// running is asked to stop.
pub(crate) async fn cancel(on: &impl database::On, run: RunId, reason: &str) -> Result<()> {
    let was = database::run::cancel(on, run, reason).await?;
    if matches!(was, RunState::Waiting | RunState::Queued) {
        Matter::from(&find(on, run).await?).fail(on, reason).await?;
    }
    Ok(())
}

pub(crate) async fn find(on: &impl database::On, run: RunId) -> Result<database::run::Run> {
    database::run::find(on, run).await?.ok_or_else(|| missing(run))
}

fn missing(run: RunId) -> Error {
    Refusal::not_found("run", run).hint("`heddle run list` shows them").into()
}

pub(crate) fn busy(tenant: &str, kind: RunKind) -> Error {
    Refusal::wrong_state(format!("{tenant} has a {kind} under way already"))
        .hint("wait for it, or cancel its run first")
        .into()
}

/// The run of something that always has one.
pub(crate) fn of(run: Option<RunId>, what: &str, id: impl std::fmt::Display) -> Result<RunId> {
    run.ok_or_else(|| Refusal::not_found("run of the", format!("{what} {id}")).into())
}

pub(crate) fn shown(run: database::run::Run) -> Run {
    Run {
        id: run.id.0,
        kind: run.kind,
        state: run.state,
        tenant: run.tenant,
        project: Some(run.project),
        environment: run.environment,
        sha: run.sha,
        git_ref: run.git_ref,
        metadata: run.metadata,
        priority: run.priority,
        approval: run.approval,
        after: Vec::new(),
        labels: run.labels,
        attempts: run.attempts,
        max_attempts: run.max_attempts,
        reason: run.reason,
        hint: run.hint,
        progress: run.progress,
        queued_at: run.queued_at,
        run_at: run.run_at.filter(|_| run.state == RunState::Queued),
        started_at: run.started_at,
        ended_at: run.ended_at,
    }
}

fn told(event: database::event::Event) -> RunEvent {
    RunEvent {
        id: event.id,
        at: event.at,
        level: event.level,
        message: event.message,
        progress: event.progress,
        payload: event.payload,
    }
}

use std::pin::pin;
use std::time::Duration;

use model::RunId;
use model::run::{Level, RunState};
use protocol::api::{Run, RunEvent};
use tokio::time::{Instant, timeout_at};

use crate::matter::{Matter, expect, note};
use crate::{Control, Error, LOOK_AGAIN, Refusal, Result};

/// Which runs to list; newest first.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// A tenant's name or id.
    pub tenant: Option<String>,
    pub state: Option<RunState>,
    /// At most this many; 0: 100.
    pub limit: u32,
}

impl Control {
    pub async fn runs(&self, filter: &RunFilter) -> Result<Vec<Run>> {
        let database = self.database().await?;
        let tenant = match &filter.tenant {
            Some(tenant) => Some(crate::tenant::find(&database, tenant).await?.id),
            None => None,
        };
        let limit = if filter.limit == 0 { 100 } else { filter.limit.min(1000) };
        let runs = database::run::list(&database, tenant, filter.state, limit).await?;
        Ok(runs.into_iter().map(shown).collect())
    }

    pub async fn run(&self, run: RunId) -> Result<Run> {
        find(&self.database().await?, run).await.map(shown)
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

    /// A queued run ends at once, a running one when its worker has stopped.
    pub async fn cancel_run(&self, run: RunId) -> Result<Run> {
        let mut connection = self.database().await?;
        let transaction = database::begin(&mut connection).await?;
        match database::run::lock(&transaction, run).await? {
            None => return Err(missing(run)),
            Some(RunState::Queued) => {
                cancel_queued(&transaction, run, "it was cancelled before it had started").await?;
            }
            Some(RunState::Running) => {
                if database::run::ask_cancel(&transaction, run).await? {
                    note(&transaction, run, Level::Warning, "asked to stop").await?;
                }
            }
            Some(RunState::Cancelled) => {}
            Some(state @ (RunState::Succeeded | RunState::Failed)) => {
                return Err(Refusal::wrong_state(format!("the run {run} has {state} already")).into());
            }
        }
        database::commit(transaction).await?;
        self.told();
        find(&connection, run).await.map(shown)
    }

    /// Queues a failed or cancelled run again.
    pub async fn retry_run(&self, run: RunId) -> Result<Run> {
        let mut connection = self.database().await?;
        let transaction = database::begin(&mut connection).await?;
        let state = database::run::lock(&transaction, run).await?.ok_or_else(|| missing(run))?;
        if !matches!(state, RunState::Failed | RunState::Cancelled) {
            let detail = format!("the run {run} is {state}: only a failed or cancelled one is tried again");
            return Err(Refusal::wrong_state(detail).into());
        }
        let found = find(&transaction, run).await?;
        Matter::from(&found).revive(&transaction).await?;
        let from = [RunState::Failed, RunState::Cancelled];
        match database::run::set_state(&transaction, run, &from, RunState::Queued, None, None).await {
            Err(error) if error.taken().is_some() => {
                let tenant = found.tenant.as_deref().unwrap_or("its tenant");
                return Err(busy(tenant, found.kind));
            }
            moved => expect(moved?, "run")?,
        }
        note(&transaction, run, Level::Info, "queued again").await?;
        database::commit(transaction).await?;
        self.queued();
        self.told();
        find(&connection, run).await.map(shown)
    }
}

/// Ends a queued run, and what it is about with it. The caller holds the run.
pub(crate) async fn cancel_queued(on: &impl database::On, run: RunId, reason: &str) -> Result<()> {
    let found = find(on, run).await?;
    let (from, to) = ([RunState::Queued], RunState::Cancelled);
    expect(database::run::set_state(on, run, &from, to, Some(reason), None).await?, "run")?;
    Matter::from(&found).fail(on, reason).await
}

pub(crate) async fn find(on: &impl database::On, run: RunId) -> Result<database::run::Run> {
    database::run::find(on, run).await?.ok_or_else(|| missing(run))
}

fn missing(run: RunId) -> Error {
    Refusal::not_found("run", run).hint("`heddle run list` shows them").into()
}

pub(crate) fn busy(tenant: &str, kind: model::run::RunKind) -> Error {
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
        attempts: run.attempts,
        reason: run.reason,
        hint: run.hint,
        progress: run.progress,
        queued_at: run.queued_at,
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
    }
}

//! What a worker says of a run while it holds its lease, and what becomes of
//! the run when the worker is lost.

use database::lease::Lost;
use database::run::About;
use model::RunId;
use model::restore::RestoreState;
use model::run::{Level, MAX_ATTEMPTS, RunKind, RunState};
use protocol::internal::{Events, Heartbeat, HeartbeatAnswer};
use serde_json::json;

use crate::matter::{Matter, expect, note};
use crate::once::Once;
use crate::{Control, Error, Kind, Refusal, Result};

impl Control {
    pub async fn heartbeat(&self, run: RunId, heartbeat: Heartbeat) -> Result<HeartbeatAnswer> {
        let lease = self.settings().lease;
        let extended = {
            let database = self.database().await?;
            database::lease::extend(&database, run, heartbeat.fence, lease).await?
        };
        let extended = extended.ok_or_else(|| stale(run))?;
        self.worker_seen(extended.worker).await?;
        Ok(HeartbeatAnswer { cancel: extended.cancel_requested })
    }

    /// Appended in order, once however often they are sent; a message that is too long loses its end.
    pub async fn append_events(&self, run: RunId, events: Events) -> Result<()> {
        if events.events.is_empty() {
            return Ok(());
        }
        // Before anything is cut off: the rest of a secret would no longer be known for one.
        let redactor = self.redactor_of_run(run).await?;
        let progress = events.events.iter().rev().find_map(|event| fraction(event.progress));
        let rows: Vec<_> = events
            .events
            .into_iter()
            .map(|event| database::event::NewEvent {
                at: event.at,
                level: event.level,
                // PostgreSQL's text has no NUL.
                message: redactor
                    .clean(event.message)
                    .chars()
                    .filter(|c| *c != '\0')
                    .take(database::event::LONGEST)
                    .collect(),
                progress: fraction(event.progress),
            })
            .collect();
        let mut connection = self.database().await?;
        let transaction = database::begin(&mut connection).await?;
        hold(&transaction, run, events.fence).await?;
        database::event::append(&transaction, run, &rows).await?;
        if let Some(progress) = progress {
            database::run::set_progress(&transaction, run, progress).await?;
        }
        database::commit(transaction).await?;
        self.told();
        Ok(())
    }
}

fn fraction(progress: Option<f64>) -> Option<f64> {
    progress.filter(|progress| progress.is_finite()).map(|progress| progress.clamp(0.0, 1.0))
}

/// The run, locked, if it is still held under this fence.
pub(crate) async fn hold(on: &impl database::On, run: RunId, fence: i64) -> Result<database::lease::Held> {
    database::lease::hold(on, run, fence).await?.ok_or_else(|| stale(run))
}

pub(crate) fn stale(run: RunId) -> Error {
    Refusal::new(Kind::Stale, format!("the run {run} is not held under this lease any more"))
        .hint("stop working on it: it was given to another worker, or has ended")
        .into()
}

/// Takes a run from a worker that is lost: it is queued again, or, when that
/// has happened too often, fails. The caller holds the lease.
pub(crate) async fn lose(on: &impl database::On, lost: &Lost) -> Result<RunState> {
    let from = [RunState::Running];
    let worker = &lost.worker;
    let run = crate::run::find(on, lost.run).await?;
    let often = lost.losses + 1 >= MAX_ATTEMPTS;
    // There is no way back from a switch: what is left of it is done, however often it takes.
    let next = if often && !switched(on, &run).await? { RunState::Failed } else { RunState::Queued };
    if next == RunState::Failed {
        let reason = format!("its worker was lost {MAX_ATTEMPTS} times");
        let hint = "it may be what ends the worker: look at the worker's log before you retry it";
        expect(database::run::set_state(on, lost.run, &from, next, Some(&reason), Some(hint)).await?, "run")?;
        Matter::from(&run).fail(on, &reason).await?;
        note(on, lost.run, Level::Error, format!("the worker {worker} was lost; not tried again")).await?;
        // Nobody was left to take away what it had begun.
        if let (RunKind::Provision | RunKind::Restore, Some(tenant)) = (run.kind, run.tenant_id) {
            Once::platform(None).queue(on, run.project_id, About::Expire(tenant), json!({})).await?;
        }
    } else {
        expect(database::run::set_state(on, lost.run, &from, next, None, None).await?, "run")?;
        note(on, lost.run, Level::Warning, format!("the worker {worker} was lost; queued again")).await?;
    }
    database::lease::release(on, lost.run).await?;
    Ok(next)
}

/// Whether the run is of a restore that has switched its tenant already.
async fn switched(on: &impl database::On, run: &database::run::Run) -> Result<bool> {
    let Some(restore) = run.restore_id.filter(|_| run.kind == RunKind::Restore) else { return Ok(false) };
    let state = crate::restore::get(on, restore).await?.state;
    Ok(matches!(state, RestoreState::Switched | RestoreState::Succeeded))
}

//! What a worker says of a run while it holds its lease, and what becomes of
//! the run when the worker is lost.

use std::collections::HashSet;

use database::event::{NewEvent, Said};
use database::lease::{Beat, Lost, Patience, Taken};
use database::run::About;
use model::RunId;
use model::restore::RestoreState;
use model::run::{Loss, MAX_LOSSES, RunKind, RunState};
use protocol::internal::{
    Event, Events, Heartbeat, HeartbeatAnswer, Heartbeats, HeartbeatsAnswer, ManyEvents, RunEvents, Stale,
};
use serde_json::json;

use crate::matter::Matter;
use crate::once::Once;
use crate::redact::Redactor;
use crate::{Control, Error, Kind, Refusal, Result};

impl Control {
    pub async fn heartbeat(&self, run: RunId, heartbeat: Heartbeat) -> Result<HeartbeatAnswer> {
        let beat = Beat { run, fence: heartbeat.fence, begun: true };
        let extended = {
            let database = self.database().await?;
            database::lease::extend(&database, &[beat], self.settings().lease).await?
        };
        let extended = extended.first().ok_or_else(|| stale(run))?;
        self.worker_seen(extended.worker).await?;
        Ok(HeartbeatAnswer { cancel: extended.stop.is_some() })
    }

    /// Of all the runs that a worker holds.
    pub async fn heartbeats(&self, beats: Heartbeats) -> Result<HeartbeatsAnswer> {
        self.worker_seen(beats.worker).await?;
        let rows: Vec<Beat> = beats
            .runs
            .iter()
            .map(|beat| Beat { run: beat.run, fence: beat.fence, begun: beat.begun })
            .collect();
        let extended = {
            let database = self.database().await?;
            database::lease::extend(&database, &rows, self.settings().lease).await?
        };
        let held: HashSet<RunId> = extended.iter().map(|extended| extended.run).collect();
        Ok(HeartbeatsAnswer {
            stop: extended.iter().filter_map(|one| Some((one.run, one.stop?))).collect(),
            stale: rows.iter().map(|beat| beat.run).filter(|run| !held.contains(run)).collect(),
        })
    }

    /// Appended in order, once however often they are sent; a message that is too long loses its end.
    pub async fn append_events(&self, run: RunId, events: Events) -> Result<()> {
        let Events { fence, first, events } = events;
        let said = self.append(vec![RunEvents { run, fence, first, events }]).await?;
        if said.is_empty() { Ok(()) } else { Err(stale(run)) }
    }

    /// The same of several runs. Answers with those that are not held so any more.
    pub async fn append_many_events(&self, events: ManyEvents) -> Result<Stale> {
        Ok(Stale { stale: self.append(events.runs).await? })
    }

    pub(crate) fn patience(&self) -> Patience {
        let settings = self.settings();
        Patience { to_begin: settings.to_begin, silence: settings.silence, to_stop: settings.to_stop }
    }

    async fn append(&self, runs: Vec<RunEvents>) -> Result<Vec<RunId>> {
        let runs: Vec<RunEvents> = runs.into_iter().filter(|said| !said.events.is_empty()).collect();
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<RunId> = runs.iter().map(|said| said.run).collect();
        // Before anything is cut off: the rest of a secret would no longer be known for one.
        let redactors = self.redactors_of_runs(&ids).await?;
        let said: Vec<Said> = runs
            .into_iter()
            .zip(&redactors)
            .map(|(RunEvents { run, fence, first, events }, redactor)| Said {
                run,
                fence,
                first,
                events: events.into_iter().map(|event| row(event, redactor)).collect(),
            })
            .collect();
        let stale = {
            let database = self.database().await?;
            database::event::append(&database, &said).await?
        };
        self.told();
        Ok(stale)
    }
}

/// An event as it is kept.
pub(crate) fn row(event: Event, redactor: &Redactor) -> NewEvent {
    let mut message = redactor.clean(event.message);
    // PostgreSQL's text has no NUL.
    message.retain(|c| c != '\0');
    if let Some((end, _)) = message.char_indices().nth(database::event::LONGEST) {
        message.truncate(end);
    }
    let payload = event.payload.map(|payload| redactor.clean(payload.to_string()));
    NewEvent {
        at: event.at,
        level: event.level,
        message,
        progress: event.progress.filter(|part| part.is_finite()).map(|part| part.clamp(0.0, 1.0)),
        payload: payload.and_then(|text| serde_json::from_str(&text).ok()),
    }
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

/// Takes runs from a worker that is lost: each is queued again, or, when that
/// has happened too often, dead. The caller holds the leases.
pub(crate) async fn lose(on: &impl database::On, lost: &[Lost]) -> Result<Vec<Taken>> {
    let mut taken = Vec::with_capacity(lost.len());
    for lost in lost {
        let mut next = verdict(lost);
        if !lost.kind.stands_alone() && next.state != RunState::Queued {
            let run = crate::run::find(on, lost.run).await?;
            // There is no way back from a switch: what is left of it is done, however often it takes.
            if switched(on, &run).await? {
                next = again(lost);
            } else {
                let reason = next.reason.as_deref().unwrap_or_default();
                Matter::from(&run).fail(on, reason).await?;
                // Nobody was left to take away what it had begun.
                if let (RunKind::Provision | RunKind::Restore, Some(tenant)) = (run.kind, run.tenant_id) {
                    Once::platform(None).queue(on, run.project_id, About::Expire(tenant), json!({})).await?;
                }
            }
        }
        taken.push(next);
    }
    database::lease::take(on, &taken).await?;
    Ok(taken)
}

fn verdict(lost: &Lost) -> Taken {
    if lost.why == Loss::Overdue {
        let took = lost.deadline.map_or_else(String::new, |deadline| format!(" {} s", deadline.as_secs()));
        return Taken {
            state: if lost.max_attempts > 1 { RunState::Dead } else { RunState::Failed },
            reason: Some(format!("it took longer than{took}, and did not stop when it was told to")),
            hint: Some("look at the worker's log before you retry it".into()),
            note: format!("past its deadline; taken from the worker {}", lost.worker),
            ..again(lost)
        };
    }
    if lost.losses + 1 >= MAX_LOSSES {
        return Taken {
            state: RunState::Dead,
            reason: Some(format!("its worker was lost {MAX_LOSSES} times")),
            hint: Some("it may be what ends the worker: look at the worker's log before you retry it".into()),
            note: format!("the worker {} {}; not tried again", lost.worker, happened(lost.why)),
            ..again(lost)
        };
    }
    again(lost)
}

fn again(lost: &Lost) -> Taken {
    Taken {
        run: lost.run,
        fence: lost.fence,
        state: RunState::Queued,
        reason: None,
        hint: None,
        note: format!("the worker {} {}; queued again", lost.worker, happened(lost.why)),
    }
}

fn happened(why: Loss) -> &'static str {
    match why {
        Loss::Expired => "was lost",
        Loss::Unbegun => "did not begin",
        Loss::Silent => "said nothing more",
        Loss::Overdue => "did not stop",
    }
}

/// Whether the run is of a restore that has switched its tenant already.
async fn switched(on: &impl database::On, run: &database::run::Run) -> Result<bool> {
    let Some(restore) = run.restore_id.filter(|_| run.kind == RunKind::Restore) else { return Ok(false) };
    let state = crate::restore::get(on, restore).await?.state;
    Ok(matches!(state, RestoreState::Switched | RestoreState::Succeeded))
}

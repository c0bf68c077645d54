use database::event::Said;
use database::lease::{End, Ended};
use model::RunId;
use model::run::{RunKind, RunState};
use protocol::internal::{Finish, ManyFinishes, Outcome, RunFinish, Stale};

use crate::matter::Matter;
use crate::{Control, Result};

const CANCELLED: &str = "it was cancelled";

impl Control {
    /// Ends a run, and moves what it is about along. Said again under the same
    /// lease, it succeeds. A success whose post-condition does not hold is a
    /// failure.
    pub async fn finish(&self, run: RunId, finish: Finish) -> Result<()> {
        let redactor = self.redactor_of_run(run).await?;
        let mut connection = self.database().await?;
        let transaction = database::begin(&mut connection).await?;
        let fence = finish.fence;
        let held = database::lease::hold(&transaction, run, fence).await?;
        let (state, reason, hint) = match finish.outcome {
            Outcome::Succeeded => (RunState::Succeeded, None, None),
            Outcome::Failed { reason, hint } => {
                (RunState::Failed, Some(redactor.clean(reason)), hint.map(|hint| redactor.clean(hint)))
            }
            Outcome::Cancelled => (RunState::Cancelled, Some(CANCELLED.to_owned()), None),
        };
        let (mut state, mut reason) = (state, reason);
        if let Some(held) = &held {
            let matter = Matter::from(held);
            if state == RunState::Succeeded {
                reason = matter.unmet(&transaction, held.started_at).await?;
                if reason.is_some() {
                    state = RunState::Failed;
                }
            }
            // While it is still held: a worker moves only what its runs are about.
            if let Some(reason) = &reason
                && !(state == RunState::Failed && held.has_another_attempt())
            {
                matter.fail(&transaction, reason).await?;
            }
        }
        let end = End { run, fence, state, reason: reason.as_deref(), hint: hint.as_deref() };
        let ended = database::lease::finish(&transaction, &[end]).await?;
        if ended.iter().any(|(_, ended)| *ended == Ended::Stale) {
            return Err(crate::lease::stale(run));
        }
        database::commit(transaction).await?;
        drop(connection);
        daemon::fault::reach("control.finish").await;
        if let Some(held) = held {
            self.metrics().finished(held.kind, state, held.started_at);
        }
        self.told();
        self.routed();
        // Its tenant is free for the next run.
        self.queued();
        Ok(())
    }

    /// Ends several runs that stand alone, with their last words, in one go.
    /// Answers with those that were not held so any more.
    pub async fn finish_many(&self, finishes: ManyFinishes) -> Result<Stale> {
        let finishes = finishes.runs;
        if finishes.is_empty() {
            return Ok(Stale::default());
        }
        let mut said = Vec::new();
        let mut ends = Vec::with_capacity(finishes.len());
        let ids: Vec<RunId> = finishes.iter().map(|finish| finish.run).collect();
        let redactors = self.redactors_of_runs(&ids).await?;
        for (finish, redactor) in finishes.into_iter().zip(&redactors) {
            let RunFinish { run, fence, outcome, first, events } = finish;
            if !events.is_empty() {
                let events = events.into_iter().map(|event| crate::lease::row(event, redactor)).collect();
                said.push(Said { run, fence, first, events });
            }
            let (state, reason, hint) = match outcome {
                Outcome::Succeeded => (RunState::Succeeded, None, None),
                Outcome::Failed { reason, hint } => {
                    (RunState::Failed, Some(redactor.clean(reason)), hint.map(|hint| redactor.clean(hint)))
                }
                Outcome::Cancelled => (RunState::Cancelled, Some(CANCELLED.to_owned()), None),
            };
            ends.push((run, fence, state, reason, hint));
        }
        let ends: Vec<End<'_>> = ends
            .iter()
            .map(|(run, fence, state, reason, hint)| End {
                run: *run,
                fence: *fence,
                state: *state,
                reason: reason.as_deref(),
                hint: hint.as_deref(),
            })
            .collect();
        let mut connection = self.database().await?;
        let transaction = database::begin(&mut connection).await?;
        if !said.is_empty() {
            // Those that are not held are told of by their end.
            database::event::append_last(&transaction, &said).await?;
        }
        let ended = database::lease::finish_alone(&transaction, &ends).await?;
        database::commit(transaction).await?;
        drop(connection);
        daemon::fault::reach("control.finish").await;
        self.told();
        for state in RunState::ALL {
            let count = ends.iter().filter(|end| end.state == *state).count();
            if count > 0 {
                self.metrics().finished_alone(RunKind::Probe, *state, count as u64);
            }
        }
        // What waited for them may be claimed.
        self.queued();
        let stale = ended.into_iter().filter(|(_, ended)| *ended == Ended::Stale).map(|(run, _)| run);
        Ok(Stale { stale: stale.collect() })
    }
}

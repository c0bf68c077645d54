//! Schedules whose time has come.

use database::schedule::Ran;
use jiff::Timestamp;
use model::ScheduleId;
use model::schedule::{CLOCK_TOLERANCE, clock_went_back};

use crate::schedule::timetable;
use crate::{Control, Requester, Result};

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Runs.
    pub queued: u32,
    /// Schedules whose next time was worked out again after the clock had gone back.
    pub turned_back: u32,
    /// Schedules that cannot be worked out any more, and were paused.
    pub paused: u32,
}

/// By the database's clock, which is the same for every control.
pub async fn tick(control: &Control) -> Result<Outcome> {
    let now = database::clock::now(&control.database().await?).await?;
    tick_at(control, now).await
}

/// Any number of controls may do this at once, and be killed at any point of
/// it: a schedule moves on in the transaction that queues its runs.
pub async fn tick_at(control: &Control, now: Timestamp) -> Result<Outcome> {
    let due = database::schedule::due(&control.database().await?, now, CLOCK_TOLERANCE).await?;
    let mut outcome = Outcome::default();
    let mut failed = None;
    for schedule in due {
        // One that fails keeps none of the others from their time.
        while let Some(step) = step(control, schedule, now).await.unwrap_or_else(|error| {
            failed.get_or_insert(error);
            None
        }) {
            match step {
                Step::Ran(queued) => outcome.queued += queued,
                Step::TurnedBack => outcome.turned_back += 1,
                Step::Paused => outcome.paused += 1,
            }
        }
    }
    if outcome.queued > 0 {
        control.queued();
    }
    failed.map_or(Ok(outcome), Err)
}

enum Step {
    Ran(u32),
    TurnedBack,
    Paused,
}

/// One time of one schedule. None: it is not due, or another control has it.
async fn step(control: &Control, id: ScheduleId, now: Timestamp) -> Result<Option<Step>> {
    let control = control.as_schedule();
    let mut connection = control.database().await?;
    let transaction = database::begin(&mut connection).await?;
    if !database::schedule::lock(&transaction, id).await? {
        return Ok(None);
    }
    let Some(schedule) = database::schedule::find(&transaction, &id.to_string()).await? else {
        return Ok(None);
    };
    let timetable = match timetable(&schedule.cron, &schedule.zone) {
        Ok(timetable) => timetable,
        // Made on a host that knew more time zones.
        Err(refusal) => {
            tracing::warn!(schedule = schedule.name, project = schedule.project, "paused: {refusal}");
            database::schedule::stop(&transaction, id, &format!("paused: {refusal}")).await?;
            database::commit(transaction).await?;
            return Ok(Some(Step::Paused));
        }
    };
    let found = schedule.next_at;
    if clock_went_back(schedule.planned_at, now) {
        // What has been run for stays so: its runs have their keys.
        let next = timetable.next(now);
        if database::schedule::advance(&transaction, id, found, next, now, &Ran::default()).await? {
            database::commit(transaction).await?;
            return Ok(Some(Step::TurnedBack));
        }
        return Ok(None);
    }
    let Some(next) = found.filter(|next| *next <= now) else { return Ok(None) };
    let due = timetable.due(next, now, schedule.catch_up);
    let mut note = String::new();
    let mut ran = Ran::default();
    let mut queued = 0;
    if let Some(at) = due.run.first() {
        let key = format!("schedule:{id}:{at}");
        let fired = control.fire(&transaction, &schedule, Requester::Schedule(id), &key, *at).await?;
        queued = fired.new;
        ran = Ran { at: Some(*at), run: fired.runs.last().copied(), note: None };
        note = fired.note();
    }
    if due.missed {
        let missed = format!("no control was there at {next}, which was left out");
        note = if note.is_empty() { missed } else { format!("{note}; {missed}") };
    }
    ran.note = Some(&note);
    // Each time in a transaction of its own.
    let then = due.run.get(1).copied().or(due.next);
    if !database::schedule::advance(&transaction, id, found, then, now, &ran).await? {
        return Ok(None);
    }
    database::commit(transaction).await?;
    daemon::fault::reach("control.schedule").await;
    tracing::info!(schedule = schedule.name, project = schedule.project, "{note}");
    Ok(Some(Step::Ran(queued)))
}

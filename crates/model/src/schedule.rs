//! Schedules: at which instants they come, and which of those that were
//! missed are caught up.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

crate::written_enum! {
    /// What a schedule queues.
    pub enum Action {
        /// A snapshot of each of its tenants.
        Snapshot = "snapshot",
        /// A base backup of each of its tenants, besides those that retention needs.
        Backup = "backup",
        /// Dropping what is not kept of each of its tenants, besides once a day.
        Expire = "expire",
        /// A proof that the queue and a worker work.
        Probe = "probe",
    }
}

crate::written_enum! {
    /// What becomes of instants that passed while no control was there.
    pub enum CatchUp {
        /// They are left out.
        None = "none",
        /// The latest of them is run, once.
        Once = "once",
        /// Each is run, oldest first; the latest [`MOST_CAUGHT_UP`] where there are more.
        All = "all",
    }
}

/// So many missed instants are caught up at most.
pub const MOST_CAUGHT_UP: usize = 100;

/// An instant that is late by no more than this was not missed.
pub const PUNCTUAL: SignedDuration = SignedDuration::from_secs(60);

/// A clock that went back by more than this is noticed.
pub const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(60);

const LONGEST_CRON: usize = 100;

/// Why a cron expression was refused; the text says what a good one looks like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the cron expression {cron:?} {why}")]
pub struct InvalidCron {
    pub cron: String,
    pub why: String,
}

/// A cron expression, and the time zone whose clocks it goes by.
#[derive(Debug, Clone)]
pub struct Timetable {
    cron: Cron,
    zone: TimeZone,
}

impl Timetable {
    /// `cron` has five fields (minute, hour, day of the month, month, day of
    /// the week) or is one of `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
    pub fn new(cron: &str, zone: TimeZone) -> Result<Self, InvalidCron> {
        let refused = |why: String| InvalidCron { cron: cron.chars().take(LONGEST_CRON).collect(), why };
        if cron.len() > LONGEST_CRON || !cron.is_ascii() {
            return Err(refused(format!("must have at most {LONGEST_CRON} plain characters")));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let parsed = parser.parse(cron).map_err(|error| {
            refused(format!(
                "is not understood ({error}); write minute, hour, day, month and weekday, such as \"30 2 * * 1-5\""
            ))
        })?;
        let timetable = Self { cron: parsed, zone };
        // From any time on: what comes once in a leap year is found within eight.
        match timetable.next(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(timetable),
            None => Err(refused("names a day that never comes; choose another".into())),
        }
    }

    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The first instant after `after`.
    ///
    /// A time of day that clocks skip comes once, when they have skipped it;
    /// one that they show twice comes the first time only.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        // Local times map to instants in order, so whatever comes after
        // `after` is later than what clocks show at `after`.
        let mut local = self.zone.to_datetime(after);
        loop {
            // As if in UTC, where each local time comes once.
            let next = self.cron.find_next_occurrence(&TimeZone::UTC.to_zoned(local).ok()?, false).ok()?;
            let at = self.instant(next.datetime())?;
            if at > after {
                return Some(at);
            }
            local = next.datetime();
        }
    }

    /// When clocks first show `local`, or have first gone past it.
    fn instant(&self, local: DateTime) -> Option<Timestamp> {
        match self.zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(local).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(local).ok(),
            AmbiguousOffset::Gap { after, .. } => {
                // Read with the later offset, it lies just before the gap.
                let earlier = after.to_timestamp(local).ok()?;
                self.zone.following(earlier).next().map(|transition| transition.timestamp())
            }
        }
    }

    /// The latest `at_most` instants from `from` to `until`, both included.
    fn latest(&self, from: Timestamp, until: Timestamp, at_most: usize) -> Vec<Timestamp> {
        let first = from.saturating_sub(SignedDuration::from_nanos(1)).unwrap_or(from);
        let mut back = SignedDuration::from_mins(1);
        loop {
            let start = until.saturating_sub(back).unwrap_or(Timestamp::MIN).max(first);
            let mut found: Vec<Timestamp> = std::iter::successors(self.next(start), |at| self.next(*at))
                .take_while(|at| *at <= until)
                .collect();
            if found.len() >= at_most || start == first {
                found.drain(..found.len().saturating_sub(at_most));
                return found;
            }
            back = back.saturating_mul(2);
        }
    }

    /// What is to be done at `now` about a schedule whose next instant is `next`.
    pub fn due(&self, next: Timestamp, now: Timestamp, catch_up: CatchUp) -> Due {
        if next > now {
            return Due { run: Vec::new(), missed: false, next: Some(next) };
        }
        let at_most = if catch_up == CatchUp::All { MOST_CAUGHT_UP } else { 1 };
        let mut run = self.latest(next, now, at_most);
        if run.is_empty() {
            // The zone's rules have changed since it was worked out.
            run.push(next);
        }
        if catch_up == CatchUp::None {
            run.retain(|at| now.duration_since(*at) <= PUNCTUAL);
        }
        Due { missed: run.first() != Some(&next), run, next: self.next(now) }
    }
}

/// What is due of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The instants to run for, in order.
    pub run: Vec<Timestamp>,
    /// Instants before those are left out.
    pub missed: bool,
    /// When it comes next; None: never again.
    pub next: Option<Timestamp>,
}

/// Whether what was worked out at `planned` has to be worked out again,
/// because the clock has gone back since.
pub fn clock_went_back(planned: Timestamp, now: Timestamp) -> bool {
    planned.duration_since(now) > CLOCK_TOLERANCE
}

#[cfg(test)]
mod tests;

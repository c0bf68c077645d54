//! Maintenance windows: when what disturbs people may be done.

use jiff::{SignedDuration, Timestamp};

use crate::run::RunKind;
use crate::schedule::Timetable;

/// A window is open for at most a day.
pub const LONGEST: SignedDuration = SignedDuration::from_hours(24);

/// Whether a run of the kind takes a tenant out of service while it works, so
/// that it waits for a window where there is one. A provision serves nobody
/// before it has ended; the other kinds work beside the tenant.
pub fn disruptive(kind: RunKind) -> bool {
    matches!(kind, RunKind::Restore)
}

/// Opens at each of a timetable's instants, for so long.
#[derive(Debug, Clone)]
pub struct Window {
    pub opens: Timetable,
    pub length: SignedDuration,
}

/// How a window is at some instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    Open { until: Timestamp },
    Closed { opens: Timestamp },
}

impl Window {
    pub fn at(&self, now: Timestamp) -> Opening {
        let before = now.saturating_sub(self.length).unwrap_or(Timestamp::MIN);
        match self.opens.next(before) {
            // It opened no longer ago than it is long; the last of those counts.
            Some(opened) if opened <= now => {
                let last =
                    std::iter::successors(Some(opened), |at| self.opens.next(*at).filter(|at| *at <= now));
                let until =
                    last.last().unwrap_or(opened).saturating_add(self.length).unwrap_or(Timestamp::MAX);
                Opening::Open { until }
            }
            opens => Opening::Closed { opens: opens.unwrap_or(Timestamp::MAX) },
        }
    }
}

/// Until when a disruptive run waits; None: it goes ahead, since no window is
/// defined or one is open.
pub fn held_until(windows: &[Window], now: Timestamp) -> Option<Timestamp> {
    let mut first = None;
    for window in windows {
        match window.at(now) {
            Opening::Open { .. } => return None,
            Opening::Closed { opens } => {
                first = Some(first.map_or(opens, |first: Timestamp| first.min(opens)))
            }
        }
    }
    first
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    fn window(cron: &str, zone: &str, minutes: i64) -> Window {
        let opens = Timetable::new(cron, TimeZone::get(zone).unwrap()).unwrap();
        Window { opens, length: SignedDuration::from_mins(minutes) }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_window_opens_and_closes() {
        // Sundays at two in Paris, for two hours.
        let sunday = window("0 2 * * SUN", "Europe/Paris", 120);
        let opens = at("2026-11-22T01:00:00Z");
        assert_eq!(sunday.at(at("2026-11-21T12:00:00Z")), Opening::Closed { opens });
        assert_eq!(sunday.at(opens), Opening::Open { until: at("2026-11-22T03:00:00Z") });
        assert_eq!(
            sunday.at(at("2026-11-22T02:59:59Z")),
            Opening::Open { until: at("2026-11-22T03:00:00Z") }
        );
        assert_eq!(
            sunday.at(at("2026-11-22T03:00:00Z")),
            Opening::Closed { opens: at("2026-11-29T01:00:00Z") }
        );
    }

    #[test]
    fn windows_that_overlap_are_one() {
        let hourly = window("0 * * * *", "UTC", 90);
        assert_eq!(
            hourly.at(at("2026-11-21T12:10:00Z")),
            Opening::Open { until: at("2026-11-21T13:30:00Z") }
        );
    }

    #[test]
    fn the_first_window_to_open_counts() {
        let now = at("2026-11-21T12:00:00Z");
        assert_eq!(held_until(&[], now), None);
        let (night, sunday) = (window("0 3 * * *", "UTC", 60), window("0 2 * * SUN", "UTC", 60));
        assert_eq!(held_until(&[night.clone(), sunday], now), Some(at("2026-11-22T02:00:00Z")));
        let noon = window("30 11 * * *", "UTC", 60);
        assert_eq!(held_until(&[night, noon], now), None);
    }

    #[test]
    fn only_what_disturbs_is_held() {
        let held: Vec<_> = RunKind::ALL.iter().filter(|kind| disruptive(**kind)).collect();
        assert_eq!(held, [&RunKind::Restore]);
    }
}

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::*;

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn coming(cron: &str, zone_name: &str, after: &str, count: usize) -> Vec<String> {
    let table = Timetable::new(cron, zone(zone_name)).unwrap();
    std::iter::successors(table.next(at(after)), |at| table.next(*at))
        .take(count)
        .map(|at| at.to_string())
        .collect()
}

#[test]
fn a_time_that_clocks_skip_comes_when_they_have_skipped_it() {
    // On 2026-03-29 clocks in Paris go from 02:00 to 03:00, which is 01:00 UTC.
    assert_eq!(
        coming("30 2 * * *", "Europe/Paris", "2026-03-28T00:00:00Z", 3),
        ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
    );
    // Of several in the gap, one is left.
    assert_eq!(
        coming("*/20 2,3 * * *", "Europe/Paris", "2026-03-29T00:59:00Z", 3),
        ["2026-03-29T01:00:00Z", "2026-03-29T01:20:00Z", "2026-03-29T01:40:00Z"]
    );
    // Samoa skipped the whole of 2011-12-30.
    assert_eq!(
        coming("0 12 30 12 *", "Pacific/Apia", "2011-06-01T00:00:00Z", 2),
        ["2011-12-30T10:00:00Z", "2012-12-29T22:00:00Z"]
    );
    // Lord Howe Island moves its clocks by half an hour.
    assert_eq!(
        coming("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T10:00:00Z", 1),
        ["2026-10-03T15:30:00Z"]
    );
}

#[test]
fn a_time_that_clocks_show_twice_comes_once() {
    // On 2026-10-25 clocks in Paris show 02:00 to 03:00 twice.
    assert_eq!(
        coming("30 2 * * *", "Europe/Paris", "2026-10-24T12:00:00Z", 2),
        ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
    );
    assert_eq!(
        coming("0 * * * *", "Europe/Paris", "2026-10-24T23:30:00Z", 3),
        ["2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z", "2026-10-25T03:00:00Z"]
    );
    // Asked in the second of the two hours, nothing of it comes again.
    assert_eq!(coming("30 2 * * *", "Europe/Paris", "2026-10-25T01:10:00Z", 1), ["2026-10-26T01:30:00Z"]);
}

#[test]
fn expressions_mean_what_cron_means() {
    for (cron, expected) in [
        ("@daily", "2026-11-22T00:00:00Z"),
        ("0 9 * * MON-FRI", "2026-11-23T09:00:00Z"),
        ("0 9 13 * FRI", "2026-11-27T09:00:00Z"),
        ("0 0 29 2 *", "2028-02-29T00:00:00Z"),
        ("0 0 L * *", "2026-11-30T00:00:00Z"),
        ("59 23 31 12 *", "2026-12-31T23:59:00Z"),
    ] {
        assert_eq!(coming(cron, "UTC", "2026-11-21T14:45:00.5Z", 1), [expected], "{cron}");
    }
    assert_eq!(coming("* * * * *", "UTC", "2026-11-21T14:44:59.999Z", 1), ["2026-11-21T14:45:00Z"]);
}

#[test]
fn what_is_no_timetable_is_explained() {
    for (cron, why) in [
        ("", "is not understood"),
        ("* * * *", "is not understood"),
        ("0 * * * * *", "is not understood"),
        ("60 * * * *", "is not understood"),
        ("often", "is not understood"),
        ("0 0 31 2 *", "names a day that never comes"),
        ("0 0 30 FEB *", "names a day that never comes"),
        (&"1,".repeat(60), "at most 100"),
        ("0 0 * * *\u{e9}", "at most 100"),
    ] {
        let refused = Timetable::new(cron, TimeZone::UTC).unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
}

#[test]
fn what_was_missed_is_caught_up_as_said() {
    let hourly = Timetable::new("0 * * * *", TimeZone::UTC).unwrap();
    let next = at("2026-11-21T10:00:00Z");
    let due = |now: &str, catch_up| {
        let due = hourly.due(next, at(now), catch_up);
        let run: Vec<String> = due.run.iter().map(ToString::to_string).collect();
        (run, due.missed, due.next.unwrap().to_string())
    };
    let one = |text: &str| vec![text.to_owned()];
    for policy in [CatchUp::None, CatchUp::Once, CatchUp::All] {
        assert_eq!(due("2026-11-21T09:59:59Z", policy), (vec![], false, next.to_string()));
        let punctual = (one("2026-11-21T10:00:00Z"), false, "2026-11-21T11:00:00Z".to_owned());
        assert_eq!(due("2026-11-21T10:00:00Z", policy), punctual);
        assert_eq!(due("2026-11-21T10:01:00Z", policy), punctual);
    }
    let then = "2026-11-21T13:00:00Z".to_owned();
    assert_eq!(due("2026-11-21T12:30:00Z", CatchUp::None), (vec![], true, then.clone()));
    assert_eq!(due("2026-11-21T12:30:00Z", CatchUp::Once), (one("2026-11-21T12:00:00Z"), true, then.clone()));
    let all = ["2026-11-21T10:00:00Z", "2026-11-21T11:00:00Z", "2026-11-21T12:00:00Z"].map(str::to_owned);
    assert_eq!(due("2026-11-21T12:30:00Z", CatchUp::All), (all.to_vec(), false, then));
    // Punctual for the last one, though others were missed.
    let (run, missed, _) = due("2026-11-21T12:00:30Z", CatchUp::None);
    assert_eq!((run, missed), (one("2026-11-21T12:00:00Z"), true));
    // A year of downtime is bounded.
    let (run, missed, _) = due("2027-11-21T12:30:00Z", CatchUp::All);
    assert_eq!((run.len(), missed), (MOST_CAUGHT_UP, true));
    assert_eq!(run.last().unwrap(), "2027-11-21T12:00:00Z");
}

#[test]
fn an_instant_of_older_rules_is_run_all_the_same() {
    let daily = Timetable::new("0 2 * * *", TimeZone::UTC).unwrap();
    let due = daily.due(at("2026-11-21T03:00:00Z"), at("2026-11-21T03:00:10Z"), CatchUp::Once);
    assert_eq!(due.run, [at("2026-11-21T03:00:00Z")]);
    assert_eq!(due.next, Some(at("2026-11-22T02:00:00Z")));
}

/// Minutes and hours by which the expression below matches.
#[derive(Debug, Clone)]
struct Pattern {
    minutes: BTreeSet<i8>,
    hours: BTreeSet<i8>,
}

impl Pattern {
    fn cron(&self) -> String {
        let list = |of: &BTreeSet<i8>| of.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        format!("{} {} * * *", list(&self.minutes), list(&self.hours))
    }

    /// What a clock on the wall would make of it, minute by minute: whatever
    /// it shows for the first time comes, and so does, once, what it skips.
    fn by_hand(&self, zone: &TimeZone, from: Timestamp, until: Timestamp) -> Vec<Timestamp> {
        let matches =
            |local: DateTime| self.minutes.contains(&local.minute()) && self.hours.contains(&local.hour());
        let mut shown = zone.to_datetime(from);
        let mut now = from;
        let mut found = Vec::new();
        while now < until {
            now += 1.minute();
            let local = zone.to_datetime(now);
            let mut comes = false;
            while shown < local {
                shown = shown.checked_add(1.minute()).unwrap();
                comes |= matches(shown);
            }
            if comes {
                found.push(now);
            }
        }
        found
    }
}

fn pattern() -> impl Strategy<Value = Pattern> {
    let minutes = prop::collection::btree_set(0..60i8, 1..6);
    let hours = prop_oneof![prop::collection::btree_set(0..24i8, 1..4), Just((0..24).collect())];
    (minutes, hours).prop_map(|(minutes, hours)| Pattern { minutes, hours })
}

/// Every zone there is, by name.
fn zones() -> Vec<TimeZone> {
    let names: Vec<_> = jiff::tz::db().available().collect();
    assert!(names.len() > 400, "{} time zones", names.len());
    names.iter().map(|name| zone(name.as_str())).collect()
}

/// A day before each of a zone's changes from 1973 to 2037; offsets are whole
/// minutes since.
fn changes(zone: &TimeZone) -> Vec<Timestamp> {
    zone.following(at("1973-01-01T00:00:00Z"))
        .map(|change| change.timestamp())
        .take_while(|change| *change < at("2037-12-30T00:00:00Z"))
        .collect()
}

#[test]
fn around_every_change_of_every_zone_it_is_as_by_hand() {
    let zones = zones();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut windows, mut instants) = (0, 0);
    for (nth, zone) in zones.iter().enumerate() {
        // Rules repeat: one in eight of a zone's changes, each with another pattern.
        for change in changes(zone).into_iter().skip(nth % 8).step_by(8) {
            let pattern = pattern().new_tree(&mut runner).unwrap().current();
            let (from, until) = (change - 5.hours(), change + 5.hours());
            let table = Timetable::new(&pattern.cron(), zone.clone()).unwrap();
            let found: Vec<_> = std::iter::successors(table.next(from), |at| table.next(*at))
                .take_while(|at| *at <= until)
                .collect();
            let expected = pattern.by_hand(zone, from, until);
            assert_eq!(found, expected, "{} in {:?} around {change}", pattern.cron(), zone.iana_name());
            windows += 1;
            instants += found.len();
        }
    }
    println!("{} zones, {windows} changes, {instants} instants", zones.len());
    assert!(windows > 3_000, "{windows} changes");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever is asked from, the next instant is the same: none is missed, none comes twice.
    #[test]
    fn next_depends_on_nothing_in_between(
        pattern in pattern(),
        place in 0..400usize,
        start in 946_684_800..2_145_916_800i64,
        steps in prop::collection::vec(1..100_000i64, 1..20),
    ) {
        let names: Vec<_> = jiff::tz::db().available().collect();
        let table = Timetable::new(&pattern.cron(), zone(names[place % names.len()].as_str())).unwrap();
        let mut now = Timestamp::from_second(start).unwrap();
        for step in steps {
            let next = table.next(now).unwrap();
            prop_assert!(next > now);
            let between = now + SignedDuration::from_secs(step);
            if between < next {
                prop_assert_eq!(table.next(between), Some(next));
            }
            prop_assert_eq!(table.next(next - SignedDuration::from_nanos(1)), Some(next));
            now = between;
        }
    }

    /// However often and whenever it is looked at, each instant is run once:
    /// by `all` every one of them, by `once` and `none` no more than one a look.
    #[test]
    fn each_instant_is_due_once(
        pattern in pattern(),
        place in 0..400usize,
        start in 946_684_800..2_145_916_800i64,
        looks in prop::collection::vec(1..40_000i64, 1..12),
        catch_up in prop::sample::select(CatchUp::ALL),
    ) {
        let names: Vec<_> = jiff::tz::db().available().collect();
        let table = Timetable::new(&pattern.cron(), zone(names[place % names.len()].as_str())).unwrap();
        let first = Timestamp::from_second(start).unwrap();
        let (mut now, mut next) = (first, table.next(first).unwrap());
        let mut ran = Vec::new();
        for look in looks {
            now += SignedDuration::from_secs(look);
            let due = table.due(next, now, catch_up);
            prop_assert!(due.run.iter().all(|at| *at >= next && *at <= now));
            prop_assert!(catch_up == CatchUp::All || due.run.len() <= 1);
            ran.extend(due.run);
            next = due.next.unwrap();
            prop_assert!(next > now);
        }
        prop_assert!(ran.is_sorted_by(|a, b| a < b), "one came twice: {ran:?}");
        if catch_up == CatchUp::All {
            let every: Vec<_> =
                std::iter::successors(table.next(first), |at| table.next(*at)).take_while(|at| *at <= now).collect();
            prop_assert_eq!(ran, every);
        }
    }

    /// Whatever people write is understood or refused, and soon.
    #[test]
    fn no_text_is_too_much(text in "[-0-9*/,#LW?@+ a-zA-Z]{0,40}") {
        let _ = Timetable::new(&text, TimeZone::UTC);
    }

    #[test]
    fn no_five_fields_are_too_much(fields in prop::collection::vec("(\\*|\\*/[0-9]{1,3}|[0-9]{1,2}(-[0-9]{1,2})?(/[0-9]{1,2})?(,[0-9]{1,2})?)", 5)) {
        let _ = Timetable::new(&fields.join(" "), TimeZone::UTC);
    }
}

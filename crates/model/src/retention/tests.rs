//! Retention against the simulated tenant of restore planning: whatever the
//! inputs, what is to be kept stays restorable to what was served.

use jiff::SignedDuration;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::TenantId;
use crate::archive::{Activation, Lineage, SnapshotPoint};
use crate::lsn::{Lsn, SegmentSize, Timeline};
use crate::restore::simulation::{World, step};

const DAY: i64 = 24 * 60 * 60;
const MIB: u64 = 1 << 20;

#[derive(Debug, Clone)]
struct Asked {
    retention: Retention,
    /// How much later retention looks, in seconds.
    later: i64,
    pins: Vec<Index>,
    expiries: Vec<(Index, i64)>,
    /// Which backups hold the changes since the one before.
    chained: Vec<bool>,
}

fn asked() -> impl Strategy<Value = Asked> {
    let retention = (0..3u32, 0..4u32, 0..3u32, 0..3u32)
        .prop_map(|(days, daily, weekly, monthly)| Retention { days, daily, weekly, monthly });
    (
        retention,
        prop_oneof![Just(0), 0..3 * DAY, 0..200 * DAY],
        prop::collection::vec(any::<Index>(), 0..3),
        prop::collection::vec((any::<Index>(), -DAY..10 * DAY), 0..4),
        prop::collection::vec(any::<bool>(), 12),
    )
        .prop_map(|(retention, later, pins, expiries, chained)| Asked {
            retention,
            later,
            pins,
            expiries,
            chained,
        })
}

/// The world's holdings, with marks and rows of backups.
fn holdings(world: &World, asked: &Asked, now: Timestamp) -> Holdings {
    let history = world.history();
    let mut marks: BTreeMap<SnapshotId, Mark> = BTreeMap::new();
    if !history.snapshots.is_empty() {
        for (which, seconds) in &asked.expiries {
            let expires_at = Some(now + SignedDuration::from_secs(*seconds));
            marks.insert(which.get(&history.snapshots).id, Mark { pinned: false, expires_at });
        }
        for which in &asked.pins {
            marks.entry(which.get(&history.snapshots).id).or_default().pinned = true;
        }
    }
    let mut bases = BTreeMap::new();
    for (place, backup) in history.backups.iter().enumerate() {
        let before = history.backups[..place].iter().rfind(|held| held.lineage == backup.lineage);
        if let Some(before) = before.filter(|_| asked.chained[place % asked.chained.len()]) {
            bases.insert(backup.id, before.id);
        }
    }
    Holdings { history, bases, marks }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_kept_stays_restorable(
        backup_first: bool,
        steps in prop::collection::vec(step(), 1..60),
        asked in asked(),
        times in prop::collection::vec(any::<Index>(), 16),
    ) {
        let mut world = World::new(backup_first);
        world.run(&steps);
        let served_until = world.now();
        world.now += asked.later * 1_000_000;
        let now = world.now();
        let retention = asked.retention;
        let before = holdings(&world, &asked, now);
        let kept = keep(&before, &retention, now).unwrap();
        kept.prove(&before.history, &retention, now).unwrap();
        let left = kept.prune(&before.history);

        // Every second of the window that could be restored.
        let window = retention.window();
        let start = retention.start(now);
        let mut moments: Vec<_> = times.iter().map(|pick| world.some_time(pick)).collect();
        moments.extend([start, now, served_until]);
        for at in moments.into_iter().filter(|at| (start..=now).contains(at)) {
            let target = Target::Time(at);
            if let Ok(planned) = plan(&before.history, target, now, window) {
                prop_assert_eq!(plan(&left, target, now, window), Ok(planned.clone()));
                prop_assert_eq!(world.replay_from(&left, &planned).0, world.expected(target));
            }
        }
        // Every snapshot that was pinned or has not expired, and no other.
        for snapshot in &before.history.snapshots {
            let mark = before.marks.get(&snapshot.id).copied().unwrap_or_default();
            let due = match mark.expires_at { Some(at) => at <= now, None => snapshot.at < start };
            prop_assert_eq!(kept.snapshots.contains_key(&snapshot.id), mark.pinned || !due);
            let target = Target::Snapshot(snapshot.id);
            if kept.snapshots.contains_key(&snapshot.id)
                && plan(&before.history, target, now, window).is_ok()
            {
                let planned = plan(&left, target, now, window).unwrap();
                prop_assert_eq!(world.replay_from(&left, &planned).0, world.expected(target));
            }
        }
        // Every backup, with all that it goes on from.
        for backup in kept.backups.keys() {
            if plan_backup(&before.history, *backup).is_ok() {
                world.replay_from(&left, &plan_backup(&left, *backup).unwrap());
            }
            if let Some(base) = before.bases.get(backup) {
                prop_assert!(kept.backups.contains_key(base));
            }
        }
        for held in &left.lineages {
            prop_assert!(held.lineage.parent.is_none_or(|fork| left.lineage(fork.lineage).is_some()));
        }

        // Looking again finds nothing more.
        let again = Holdings { history: left.clone(), ..before.clone() };
        prop_assert_eq!(keep(&again, &retention, now).unwrap().prune(&left), left);
    }

    #[test]
    fn nothing_but_pins_and_the_last_state_is_kept_for_ever(
        steps in prop::collection::vec(step(), 1..60),
        asked in asked(),
    ) {
        let mut world = World::new(true);
        world.run(&steps);
        let past = asked.expiries.iter().map(|(which, seconds)| (*which, -seconds.abs())).collect();
        let asked = Asked { later: 3 * 366 * DAY, expiries: past, ..asked };
        world.now += asked.later * 1_000_000;
        let now = world.now();
        let before = holdings(&world, &asked, now);
        let kept = keep(&before, &asked.retention, now).unwrap();
        for (snapshot, why) in &kept.snapshots {
            prop_assert_eq!((*why, before.marks[snapshot].pinned), (Why::Pinned, true));
        }
        for (backup, why) in &kept.backups {
            let fits = match why {
                Why::LeadsToWindow => true,
                Why::LeadsTo { snapshot } => before.marks[snapshot].pinned,
                Why::BaseOf { backup } => kept.backups.contains_key(backup),
                // The simulation's lineages are made now, by their ids.
                Why::Young => true,
                _ => false,
            };
            prop_assert!(fits, "{} {:?}", backup, why);
        }
        let leading = kept.backups.values().filter(|why| **why == Why::LeadsToWindow).count();
        prop_assert_eq!(leading, 1);
    }
}

fn second(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A tenant with one lineage and a backup each day at 02:00, one segment a day.
fn daily(from: &str, days: i64) -> Holdings {
    let lineage = Lineage {
        id: LineageId::new(),
        tenant: TenantId::new(),
        parent: None,
        timeline: Timeline(1),
        system_identifier: 7,
        segment_size: SegmentSize::CELL,
        database: "acme".into(),
    };
    let first = second(from);
    let backups = (0..days).map(|day| {
        let start = Lsn((day as u64 + 3) * MIB + 40);
        Backup {
            id: BackupId::new(),
            lineage: lineage.id,
            start,
            stop: Lsn(start.0 + 100),
            stopped_at: first + SignedDuration::from_hours(24 * day + 2),
            size: 1,
            stored: 1,
        }
    });
    let segments = (3..days as u64 + 4).map(|number| Segment { timeline: Timeline(1), number }).collect();
    let history = History {
        activations: vec![Activation { lineage: lineage.id, at: first }],
        backups: backups.collect(),
        lineages: vec![LineageHistory { lineage, segments, partial: None, reaches: None }],
        snapshots: vec![],
    };
    Holdings { history, ..Holdings::default() }
}

fn days_of(holdings: &Holdings, kept: &Kept) -> Vec<(String, Why)> {
    let backups = holdings.history.backups.iter();
    let told = backups.filter_map(|backup| {
        let why = kept.backups.get(&backup.id)?;
        Some((backup.stopped_at.strftime("%m-%d").to_string(), *why))
    });
    told.collect()
}

#[test]
fn the_default_keeps_days_then_weeks_then_months() {
    // 2026-07-01 is a Wednesday.
    let holdings = daily("2025-05-01T00:00:00Z", 427);
    let now = second("2026-07-01T12:00:00Z");
    let kept = keep(&holdings, &Retention::default(), now).unwrap();
    let days = days_of(&holdings, &kept);
    let of = |wanted: &[Why]| -> Vec<String> {
        days.iter().filter(|(_, why)| wanted.contains(why)).map(|(day, _)| day.clone()).collect()
    };
    // The window starts on the 24th at noon, and that day's backup leads to it.
    assert_eq!(of(&[Why::LeadsToWindow]), ["06-24"]);
    assert_eq!(of(&[Why::Window]), ["06-25", "06-26", "06-27", "06-28", "06-29", "06-30", "07-01"]);
    assert_eq!(of(&[Why::Daily]), ["06-17", "06-18", "06-19", "06-20", "06-21", "06-22", "06-23"]);
    // Sundays of the four weeks before the one that begins on the 15th.
    assert_eq!(of(&[Why::Weekly]), ["05-24", "05-31", "06-07", "06-14"]);
    let months = of(&[Why::Monthly]);
    assert_eq!(months.first().map(String::as_str), Some("05-31"));
    assert_eq!(months.last().map(String::as_str), Some("04-30"));
    assert_eq!(months.len(), 12);
    assert_eq!(kept.wal.len(), 1);

    // Between two that are kept there is no WAL; each has its own.
    let left = kept.prune(&holdings.history);
    assert_eq!(left.lineages[0].segments.len(), 12 + 4 + 7 + 8 + 1);
    kept.prove(&holdings.history, &Retention::default(), now).unwrap();
}

#[test]
fn a_tenant_that_is_not_served_any_more_keeps_its_last_state() {
    let holdings = daily("2025-05-01T00:00:00Z", 30);
    let now = second("2029-01-01T00:00:00Z");
    let kept = keep(&holdings, &Retention::default(), now).unwrap();
    assert_eq!(days_of(&holdings, &kept), [("05-30".to_owned(), Why::LeadsToWindow)]);
    let left = kept.prune(&holdings.history);
    plan(&left, Target::Time(now), now, Retention::default().window()).unwrap();
}

#[test]
fn a_snapshot_keeps_what_leads_to_it_and_no_more() {
    let mut holdings = daily("2026-01-01T00:00:00Z", 100);
    let lineage = holdings.history.lineages[0].lineage.id;
    let id = SnapshotId::new();
    holdings.history.snapshots.push(SnapshotPoint {
        id,
        lineage,
        name: "one".into(),
        restore_point: SnapshotPoint::restore_point(id, 1),
        lsn: Lsn(14 * MIB + 500),
        at: second("2026-01-12T03:00:00Z"),
    });
    let none = Retention { days: 1, daily: 0, weekly: 0, monthly: 0 };
    let now = second("2026-04-10T12:00:00Z");
    let kept = |mark: Option<Mark>| {
        let mut holdings = holdings.clone();
        holdings.marks.extend(mark.map(|mark| (id, mark)));
        let kept = keep(&holdings, &none, now).unwrap();
        let segments = kept.prune(&holdings.history).lineages[0].segments.clone();
        (days_of(&holdings, &kept), segments.first().unwrap().number, segments.len())
    };
    let window = ("04-09".to_owned(), Why::LeadsToWindow);
    let today = ("04-10".to_owned(), Why::Window);
    let without = (vec![window.clone(), today.clone()], 101, 3);
    assert_eq!(kept(None), without);
    assert_eq!(kept(Some(Mark { pinned: false, expires_at: Some(now) })), without);
    let with = (vec![("01-12".to_owned(), Why::LeadsTo { snapshot: id }), window, today], 14, 4);
    assert_eq!(kept(Some(Mark { pinned: true, expires_at: Some(now) })), with);
    let until = Some(now + SignedDuration::from_secs(1));
    assert_eq!(kept(Some(Mark { pinned: false, expires_at: until })), with);
}

#[test]
fn a_history_that_contradicts_itself_is_left_alone() {
    let mut holdings = daily("2026-01-01T00:00:00Z", 3);
    holdings.history.activations[0].lineage = LineageId::new();
    let now = second("2026-01-05T00:00:00Z");
    assert!(matches!(keep(&holdings, &Retention::default(), now), Err(Unsure::Broken(_))));
}

#[test]
fn a_loss_is_seen_before_it_happens() {
    let holdings = daily("2026-01-01T00:00:00Z", 3);
    let now = second("2026-01-03T12:00:00Z");
    let retention = Retention { days: 1, ..Retention::default() };
    let mut kept = keep(&holdings, &retention, now).unwrap();
    kept.prove(&holdings.history, &retention, now).unwrap();
    kept.wal.clear();
    assert!(matches!(kept.prove(&holdings.history, &retention, now), Err(Unsure::WouldLose { .. })));
}

//! The corners of planning, one by one, on a history written by hand.

use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::TenantId;
use crate::archive::{Activation, Backup, Fork, History, Lineage, LineageHistory, SnapshotPoint};
use crate::lsn::Segment;

const SIZE: SegmentSize = SegmentSize::CELL;
const MIB: u64 = 1 << 20;
const YEAR: Duration = Duration::from_secs(365 * 86_400);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

fn now() -> Timestamp {
    at(10_000)
}

fn lsn(tenths: u64) -> Lsn {
    Lsn(tenths * MIB / 10)
}

/// Positions are in tenths of a segment, times in seconds.
#[derive(Default)]
struct Tenant(History);

impl Tenant {
    fn lineage(&mut self, parent: Option<(LineageId, u64)>, segments: std::ops::Range<u64>) -> LineageId {
        let id = LineageId::new();
        let parent = parent.map(|(lineage, tenths)| Fork { lineage, lsn: lsn(tenths) });
        let timeline = match parent {
            Some(fork) => Timeline(self.0.lineage(fork.lineage).unwrap().lineage.timeline.0 + 1),
            None => Timeline(1),
        };
        let lineage = Lineage {
            id,
            tenant: TenantId::new(),
            parent,
            timeline,
            system_identifier: 7,
            segment_size: SIZE,
            database: "acme".into(),
        };
        let segments = segments.map(|number| Segment { timeline, number }).collect();
        self.0.lineages.push(LineageHistory { lineage, segments, partial: None, reaches: None });
        id
    }

    fn activate(&mut self, lineage: LineageId, second: i64) {
        self.0.activations.push(Activation { lineage, at: at(second) });
    }

    fn backup(&mut self, lineage: LineageId, start: u64, stop: u64, second: i64) -> BackupId {
        let id = BackupId::new();
        let (start, stop, stopped_at) = (lsn(start), lsn(stop), at(second));
        self.0.backups.push(Backup { id, lineage, start, stop, stopped_at, size: 1, stored: 1 });
        id
    }

    fn snapshot(&mut self, lineage: LineageId, tenths: u64, second: i64) -> SnapshotId {
        let id = SnapshotId::new();
        let restore_point = SnapshotPoint::restore_point(id, 1);
        let at = at(second);
        let point = SnapshotPoint { id, lineage, name: "one".into(), restore_point, lsn: lsn(tenths), at };
        self.0.snapshots.push(point);
        id
    }

    fn held(&mut self, id: LineageId) -> &mut LineageHistory {
        self.0.lineages.iter_mut().find(|held| held.lineage.id == id).unwrap()
    }

    fn to(&self, time: Timestamp) -> Result<Plan, PlanError> {
        plan(&self.0, Target::Time(time), now(), YEAR)
    }

    fn read(&self, time: Timestamp) -> Vec<(LineageId, Lsn, Lsn)> {
        self.to(time).unwrap().wal.iter().map(|range| (range.lineage, range.from, range.to)).collect()
    }
}

/// A tenant served from `first` since second 100, restored at 200 to an
/// earlier time, and so served from `second`, which has no backup of its own.
fn restored() -> (Tenant, LineageId, LineageId, BackupId) {
    let mut tenant = Tenant::default();
    let first = tenant.lineage(None, 3..9);
    let backup = tenant.backup(first, 31, 35, 90);
    tenant.activate(first, 100);
    let second = tenant.lineage(Some((first, 57)), 5..7);
    tenant.activate(second, 200);
    (tenant, first, second, backup)
}

#[test]
fn at_an_activation_the_new_lineage_is_meant() {
    let (tenant, first, second, backup) = restored();
    let just_before = at(200).checked_sub(Duration::from_micros(1)).unwrap();
    assert_eq!(tenant.to(at(200)).unwrap().source, second);
    assert_eq!(tenant.to(just_before).unwrap().source, first);
    assert_eq!(tenant.to(at(200)).unwrap().backup, backup);
}

#[test]
fn between_fence_and_switch_the_old_lineage_is_meant_to_its_end() {
    let (tenant, first, _, _) = restored();
    let plan = tenant.to(at(199)).unwrap();
    assert_eq!(plan.stop, Stop::Time(at(199)));
    assert_eq!(plan.end, lsn(90));
    assert_eq!(tenant.read(at(199)), [(first, lsn(31), lsn(90))]);
}

#[test]
fn a_child_without_a_backup_is_reached_through_its_parent() {
    let (tenant, first, second, _) = restored();
    assert_eq!(tenant.read(at(300)), [(first, lsn(31), lsn(57)), (second, lsn(57), lsn(70))]);
}

#[test]
fn a_backup_behind_the_fork_leads_nowhere() {
    let (mut tenant, first, _, backup) = restored();
    tenant.backup(first, 56, 58, 150);
    let exact = tenant.backup(first, 50, 57, 140);
    assert_eq!(tenant.to(at(300)).unwrap().backup, exact);
    tenant.0.backups.retain(|held| held.id != exact);
    assert_eq!(tenant.to(at(300)).unwrap().backup, backup);
}

#[test]
fn a_childs_own_backup_is_used_from_its_end_on() {
    let (mut tenant, first, second, backup) = restored();
    let own = tenant.backup(second, 59, 61, 250);
    assert_eq!(tenant.to(at(249)).unwrap().backup, backup);
    assert_eq!(tenant.to(at(250)).unwrap().backup, own);
    assert_eq!(tenant.read(at(250)), [(second, lsn(59), lsn(70))]);
    assert_eq!(tenant.read(at(249))[0].0, first);
}

#[test]
fn a_grandchild_is_reached_through_the_whole_chain() {
    let (mut tenant, first, second, _) = restored();
    let third = tenant.lineage(Some((second, 62)), 6..8);
    tenant.activate(third, 300);
    let expected = [(first, lsn(31), lsn(57)), (second, lsn(57), lsn(62)), (third, lsn(62), lsn(80))];
    assert_eq!(tenant.read(at(301)), expected);
    let timelines: Vec<_> = tenant.to(at(301)).unwrap().wal.iter().map(|range| range.timeline.0).collect();
    assert_eq!(timelines, [1, 2, 3]);
}

#[test]
fn two_forks_in_one_segment_need_only_the_last_ones() {
    let (mut tenant, _, second, _) = restored();
    let third = tenant.lineage(Some((second, 58)), 5..8);
    tenant.activate(third, 300);
    tenant.held(second).segments.clear();
    tenant.to(at(301)).unwrap();
}

#[test]
fn a_restore_of_a_restore_can_mean_the_sibling() {
    let (mut tenant, first, second, _) = restored();
    // Back to what the first lineage served after the second had left it.
    let sibling = tenant.lineage(Some((first, 85)), 8..10);
    tenant.activate(sibling, 300);
    assert_eq!(tenant.read(at(301)), [(first, lsn(31), lsn(85)), (sibling, lsn(85), lsn(100))]);
    assert_eq!(tenant.to(at(250)).unwrap().source, second);
    assert_eq!(tenant.to(at(150)).unwrap().source, first);
    let timeline = |id| tenant.0.lineage(id).unwrap().lineage.timeline;
    assert_eq!(timeline(sibling), timeline(second));
}

#[test]
fn a_child_that_archived_nothing_yet_has_a_gap_at_its_start() {
    let (mut tenant, _, second, _) = restored();
    tenant.held(second).segments.clear();
    let error = tenant.to(at(300)).unwrap_err();
    let segment = "000000020000000000000005".to_owned();
    assert_eq!(error, PlanError::WalGap { lineage: second, segment, latest: None });
}

#[test]
fn an_unfinished_segment_is_read_to_where_it_is_proven() {
    let (mut tenant, first, _, _) = restored();
    let partial = Segment { timeline: Timeline(1), number: 9 };
    tenant.held(first).partial = Some(partial);
    let plan = tenant.to(at(150)).unwrap();
    assert_eq!((plan.end, plan.wal[0].to), (Lsn(lsn(90).0 + 1), lsn(100)));
    tenant.0.note_reached(first, lsn(94));
    assert_eq!(tenant.to(at(150)).unwrap().end, lsn(94));
    tenant.0.note_reached(first, lsn(100));
    let PlanError::WalGap { segment, .. } = tenant.to(at(150)).unwrap_err() else { panic!() };
    assert_eq!(segment, "000000010000000000000009");
}

#[test]
fn a_snapshot_names_its_own_lineage_and_point() {
    let (mut tenant, first, _, backup) = restored();
    let snapshot = tenant.snapshot(first, 72, 150);
    let plan = plan(&tenant.0, Target::Snapshot(snapshot), now(), Duration::from_secs(1)).unwrap();
    assert_eq!((plan.source, plan.backup), (first, backup));
    assert_eq!(plan.stop, Stop::Name { name: format!("heddle-{snapshot}-1"), lsn: lsn(72) });
}

#[test]
fn a_gap_behind_a_later_snapshot_does_not_matter_before_it() {
    let (mut tenant, first, _, _) = restored();
    tenant.snapshot(first, 64, 150);
    tenant.held(first).segments.retain(|segment| segment.number != 7);
    let before = tenant.to(at(149)).unwrap();
    assert_eq!((before.end, before.wal[0].to), (lsn(64), lsn(70)));
    let error = tenant.to(at(150)).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "WAL segment 000000010000000000000007 of lineage {first} is missing from the repository; the \
             latest time before the gap that can be restored is {}",
            at(150).checked_sub(Duration::from_micros(1)).unwrap()
        )
    );
}

#[test]
fn times_are_rounded_down_to_what_commits_are_stamped_with() {
    let (tenant, ..) = restored();
    let fine = at(150).checked_add(Duration::from_nanos(1_999)).unwrap();
    let stop = at(150).checked_add(Duration::from_micros(1)).unwrap();
    assert_eq!(tenant.to(fine).unwrap().stop, Stop::Time(stop));
}

#[test]
fn refusals_say_what_to_do() {
    let (mut tenant, first, ..) = restored();
    let told = |tenant: &Tenant, time| tenant.to(time).unwrap_err().to_string();
    assert_eq!(
        told(&tenant, at(10_001)),
        "1970-01-12T16:33:21Z is in the future; give a time up to now, which is 1970-01-12T16:33:20Z"
    );
    // Before the first activation, although a backup exists.
    assert_eq!(
        told(&tenant, at(95)),
        "1970-01-12T13:48:15Z is before the first backup that leads to it; the earliest time that can be \
         restored is 1970-01-12T13:48:20Z"
    );
    let error = plan(&tenant.0, Target::Time(at(150)), now(), Duration::from_secs(9_000)).unwrap_err();
    assert_eq!(error, PlanError::BeforeWindow { at: at(150), earliest: Some(at(1_000)) });
    assert_eq!(
        error.to_string(),
        "1970-01-12T13:49:10Z is before the retention window; the earliest time that can be restored is \
         1970-01-12T14:03:20Z"
    );
    let unknown = SnapshotId::new();
    let error = plan(&tenant.0, Target::Snapshot(unknown), now(), YEAR).unwrap_err();
    assert_eq!(error, PlanError::UnknownSnapshot(unknown));

    let early = tenant.snapshot(first, 34, 89);
    let error = plan(&tenant.0, Target::Snapshot(early), now(), YEAR).unwrap_err();
    assert_eq!(error, PlanError::SnapshotBeforeBackup { name: "one".into() });

    tenant.0.lineages.retain(|held| held.lineage.id != first);
    assert_eq!(
        tenant.to(at(300)).unwrap_err(),
        PlanError::BrokenChain { lineage: first, why: "is missing or damaged" }
    );
    tenant.0.backups.clear();
    assert_eq!(tenant.to(at(300)).unwrap_err(), PlanError::NoBackup);
}

#[test]
fn a_time_before_the_first_backup_names_the_first_that_can_be_had() {
    let mut tenant = Tenant::default();
    let first = tenant.lineage(None, 3..9);
    tenant.activate(first, 100);
    tenant.backup(first, 31, 35, 130);
    assert_eq!(tenant.to(at(120)).unwrap_err(), PlanError::BeforeBackup { at: at(120), next: Some(at(130)) });
    assert_eq!(earliest(&tenant.0, now(), YEAR), Some(at(130)));
    assert_eq!(earliest(&tenant.0, now(), Duration::from_secs(60)), Some(at(9_940)));
    assert_eq!(earliest(&History::default(), now(), YEAR), None);
}

#[test]
fn a_chain_that_contradicts_itself_is_refused() {
    let (tenant, first, second, _) = restored();
    let broken = |change: fn(&mut Lineage), why| {
        let mut history = tenant.0.clone();
        change(&mut history.lineages.iter_mut().find(|held| held.lineage.id == second).unwrap().lineage);
        let error = plan(&history, Target::Time(at(300)), now(), YEAR).unwrap_err();
        assert_eq!(error, PlanError::BrokenChain { lineage: second, why });
    };
    broken(|child| child.timeline = Timeline(1), "has a timeline that is not above its parent's");
    broken(|child| child.system_identifier = 8, "describes another cluster than its parent's");
    // A lineage that is its own ancestor.
    let mut history = tenant.0.clone();
    let root = history.lineages.iter_mut().find(|held| held.lineage.id == first).unwrap();
    root.lineage.parent = Some(Fork { lineage: second, lsn: lsn(10) });
    let error = plan(&history, Target::Time(at(300)), now(), YEAR).unwrap_err();
    assert!(matches!(error, PlanError::BrokenChain { .. }));
}

//! A simulated tenant: commits, idle stretches, backups, snapshots, deaths and
//! restores on a virtual clock. What a plan leads to, by a small interpreter of
//! recovery, must be what the tenant served.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::TenantId;
use crate::archive::{Activation, Backup, Fork, History, Lineage, LineageHistory, SnapshotPoint};
use crate::lsn::Segment;

mod peeks;

const SIZE: SegmentSize = SegmentSize::CELL;
const FOREVER: Duration = Duration::from_secs(1 << 32);

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Commit {
        micros: i64,
        bytes: u64,
    },
    /// WAL without a commit: a checkpoint, a rolled back transaction.
    Noise {
        bytes: u64,
    },
    Idle {
        micros: i64,
    },
    Backup {
        during: Vec<u64>,
    },
    Snapshot,
    Restore {
        when: Index,
        to_snapshot: bool,
        died: bool,
        told: bool,
        housekeeping: u64,
    },
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let bytes = prop_oneof![4 => 30..2_000u64, 2 => 2_000..400_000u64, 1 => 900_000..2_500_000u64];
    prop_oneof![
        12 => (0..3_000_000i64, bytes.clone()).prop_map(|(micros, bytes)| Step::Commit { micros, bytes }),
        2 => bytes.clone().prop_map(|bytes| Step::Noise { bytes }),
        2 => (1..600_000_000i64).prop_map(|micros| Step::Idle { micros }),
        2 => prop::collection::vec(bytes, 0..4).prop_map(|during| Step::Backup { during }),
        2 => Just(Step::Snapshot),
        3 => (any::<Index>(), any::<bool>(), any::<bool>(), any::<bool>(), 0..3u64).prop_map(
            |(when, to_snapshot, died, told, housekeeping)| Step::Restore {
                when,
                to_snapshot,
                died,
                told,
                housekeeping
            }
        ),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Commit(u32),
    Point(SnapshotId),
    Noise,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    end: Lsn,
    at: i64,
    kind: Kind,
}

#[derive(Debug)]
struct Line {
    lineage: Lineage,
    start: Lsn,
    records: Vec<Record>,
    insert: Lsn,
    /// What the tenant has, as the numbers of its commits.
    state: Vec<u32>,
    partial: Option<Segment>,
    reaches: Option<Lsn>,
}

impl Line {
    fn append(&mut self, at: i64, bytes: u64, kind: Kind) {
        self.insert = Lsn(self.insert.0 + bytes);
        self.records.push(Record { end: self.insert, at, kind });
        if let Kind::Commit(number) = kind {
            self.state.push(number);
        }
    }

    /// Ends the segment, so that all of the WAL is archived.
    fn switch(&mut self, at: i64) {
        let rest = self.insert.0.next_multiple_of(u64::from(SIZE.0)) - self.insert.0;
        if rest > 0 {
            self.append(at, rest, Kind::Noise);
        }
    }
}

struct Held {
    backup: Backup,
    contents: Vec<u32>,
}

type Removed = HashSet<(LineageId, Segment)>;

pub(crate) struct World {
    pub now: i64,
    lines: Vec<Line>,
    pub activations: Vec<Activation>,
    backups: Vec<Held>,
    snapshots: Vec<(SnapshotPoint, Vec<u32>)>,
    /// What was served from when on.
    served: Vec<(i64, Vec<u32>)>,
    commits: u32,
    removed: Removed,
}

fn time(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap()
}

impl World {
    pub fn new(backup_first: bool) -> Self {
        let lineage = Lineage {
            id: LineageId::new(),
            tenant: TenantId::new(),
            parent: None,
            timeline: Timeline(1),
            system_identifier: 7,
            segment_size: SIZE,
            database: "acme".into(),
        };
        let start = Lsn(3 * u64::from(SIZE.0));
        let mut world = Self {
            now: 1_700_000_000_000_000,
            lines: vec![],
            activations: vec![],
            backups: vec![],
            snapshots: vec![],
            served: vec![],
            commits: 0,
            removed: Removed::new(),
        };
        world.lines.push(Line {
            lineage,
            start,
            records: vec![],
            insert: start,
            state: vec![],
            partial: None,
            reaches: None,
        });
        world.commit(1_000, 500, false);
        if backup_first {
            world.backup(&[]);
        }
        world.activate();
        if !backup_first {
            world.commit(5_000_000, 500, true);
            world.backup(&[300]);
        }
        world
    }

    fn live(&mut self) -> &mut Line {
        self.lines.last_mut().unwrap()
    }

    fn commit(&mut self, micros: i64, bytes: u64, served: bool) {
        self.now += micros;
        self.commits += 1;
        let (now, number) = (self.now, self.commits);
        self.live().append(now, bytes, Kind::Commit(number));
        if served {
            let state = self.live().state.clone();
            self.served.push((now, state));
        }
    }

    fn activate(&mut self) {
        self.now += 1;
        let at = time(self.now);
        let now = self.now;
        let (lineage, state) = (self.live().lineage.id, self.live().state.clone());
        self.activations.push(Activation { lineage, at });
        self.served.push((now, state));
    }

    fn backup(&mut self, during: &[u64]) {
        let now = self.now;
        self.live().append(now, 200, Kind::Noise);
        let (start, contents) = (self.live().insert, self.live().state.clone());
        let served = !self.activations.is_empty();
        for bytes in during {
            self.commit(700_000, *bytes, served);
        }
        let now = self.now;
        let live = self.live();
        live.append(now, 60, Kind::Noise);
        let (stop, lineage) = (live.insert, live.lineage.id);
        live.switch(now);
        self.now += 10;
        let stopped_at = time(self.now);
        let backup = Backup { id: BackupId::new(), lineage, start, stop, stopped_at, size: 1, stored: 1 };
        self.backups.push(Held { backup, contents });
    }

    fn snapshot(&mut self) {
        let (now, id) = (self.now, SnapshotId::new());
        let live = self.live();
        live.append(now, 120, Kind::Point(id));
        let (lsn, lineage, state) = (live.insert, live.lineage.id, live.state.clone());
        live.switch(now);
        let restore_point = SnapshotPoint::restore_point(id, 1);
        let point = SnapshotPoint { id, lineage, name: "named".into(), restore_point, lsn, at: time(now) };
        self.snapshots.push((point, state));
    }

    pub fn history(&self) -> History {
        let kept = |id, segment: &Segment| !self.removed.contains(&(id, *segment));
        let lineages = self.lines.iter().map(|line| {
            let lineage = line.lineage.clone();
            let number = |lsn: Lsn| lsn.0 / u64::from(SIZE.0);
            let timeline = lineage.timeline;
            let segments = (number(line.start)..number(line.insert))
                .map(|number| Segment { timeline, number })
                .filter(|segment| kept(lineage.id, segment))
                .collect();
            let whole = |segment: &Segment| segment.number < number(line.insert);
            let partial = line.partial.filter(|segment| whole(segment) || kept(lineage.id, segment));
            LineageHistory { lineage, segments, partial, reaches: line.reaches }
        });
        History {
            lineages: lineages.collect(),
            activations: self.activations.clone(),
            backups: self.backups.iter().map(|held| held.backup.clone()).collect(),
            snapshots: self.snapshots.iter().map(|(point, _)| point.clone()).collect(),
        }
    }

    /// Stops the serving cell and takes its WAL.
    fn end_live(&mut self, died: bool, told: bool) {
        let now = self.now;
        let live = self.live();
        if died {
            let segment = Segment::at(live.lineage.timeline, live.insert, SIZE);
            live.partial = (live.insert > segment.start(SIZE)).then_some(segment);
        } else {
            live.append(now, 50, Kind::Noise);
            live.switch(now);
        }
        // What a partial holds is not always known to the byte.
        let certain = if told || live.partial.is_none() { live.insert } else { Lsn(live.insert.0 - 20) };
        live.reaches = Some(certain);
    }

    fn served_at(&self, at: i64) -> Option<&[u32]> {
        let passed = self.served.partition_point(|(since, _)| *since <= at);
        passed.checked_sub(1).map(|last| self.served[last].1.as_slice())
    }

    fn restore(&mut self, target: Target, died: bool, told: bool, housekeeping: u64) {
        self.end_live(died, told);
        self.now += 1_000_000;
        let Ok(plan) = plan(&self.history(), target, time(self.now), FOREVER) else {
            // The stopped cell is started again, and goes on in the same segment.
            return;
        };
        let (state, lsn) = self.replay(&plan);
        assert_eq!(state, self.expected(target), "{target:?} {plan:?}");
        let source = &self.line(plan.source).lineage;
        let lineage = Lineage {
            id: LineageId::new(),
            parent: Some(Fork { lineage: source.id, lsn }),
            timeline: Timeline(source.timeline.0 + 1),
            ..source.clone()
        };
        self.lines.push(Line {
            lineage,
            start: lsn,
            records: vec![],
            insert: lsn,
            state,
            partial: None,
            reaches: None,
        });
        for _ in 0..housekeeping {
            self.commit(2_000, 400, false);
        }
        self.now += 1_000_000;
        self.activate();
    }

    pub fn expected(&self, target: Target) -> Vec<u32> {
        match target {
            Target::Time(at) => self.served_at(at.as_microsecond()).unwrap().to_vec(),
            Target::Snapshot(id) => {
                self.snapshots.iter().find(|(point, _)| point.id == id).unwrap().1.clone()
            }
        }
    }

    fn line(&self, id: LineageId) -> &Line {
        self.lines.iter().find(|line| line.lineage.id == id).unwrap()
    }

    /// The segments that a plan reads, oldest first.
    fn files(&self, plan: &Plan) -> Vec<(LineageId, Segment)> {
        let last = plan.wal.len() - 1;
        let mut files = vec![];
        for (place, range) in plan.wal.iter().enumerate() {
            let mut segment = Segment::at(range.timeline, range.from, SIZE);
            let until = if place == last {
                Segment::before(range.timeline, range.to, SIZE).next()
            } else {
                Segment::at(range.timeline, range.to, SIZE)
            };
            while segment < until {
                files.push((range.lineage, segment));
                segment = segment.next();
            }
        }
        files
    }

    /// What recovery makes of a plan, and where it ends.
    fn replay(&self, plan: &Plan) -> (Vec<u32>, Lsn) {
        self.replay_from(&self.history(), plan)
    }

    /// The same, where only what `history` names is left.
    pub fn replay_from(&self, history: &History, plan: &Plan) -> (Vec<u32>, Lsn) {
        assert!(history.backups.iter().any(|backup| backup.id == plan.backup), "the backup is gone");
        let held = self.backups.iter().find(|held| held.backup.id == plan.backup).unwrap();
        let backup = &held.backup;
        assert_eq!(plan.wal[0].lineage, backup.lineage);
        assert_eq!(plan.wal.last().unwrap().lineage, plan.source);
        for (lineage, segment) in self.files(plan) {
            let held = history.lineage(lineage).unwrap();
            let unfinished = segment.end(SIZE) > plan.end && lineage == plan.source;
            let there = held.segments.contains(&segment) || unfinished && held.partial == Some(segment);
            assert!(there, "{segment:?} is planned but not there");
        }

        let (mut state, mut position) = (held.contents.clone(), backup.start);
        let mut timeline = Timeline(0);
        for (place, range) in plan.wal.iter().enumerate() {
            let line = self.line(range.lineage);
            assert_eq!(range.from, position, "the ranges touch");
            assert!(range.timeline > timeline, "timelines increase");
            assert_eq!(range.timeline, line.lineage.timeline);
            timeline = range.timeline;
            if let Some(next) = plan.wal.get(place + 1) {
                let fork = Fork { lineage: range.lineage, lsn: range.to };
                assert_eq!(self.line(next.lineage).lineage.parent, Some(fork), "nothing beyond the fork");
            }
            let replayed = line.records.iter().filter(|record| record.end > range.from);
            for record in replayed.take_while(|record| record.end <= range.to) {
                if matches!(plan.stop, Stop::Lsn(lsn) if position >= lsn) {
                    assert!(position >= backup.stop, "stops before the backup is consistent");
                    return (state, position);
                }
                match (record.kind, &plan.stop) {
                    (Kind::Commit(_), Stop::Time(at)) if record.at > at.as_microsecond() => {
                        assert!(position >= backup.stop, "stops before the backup is consistent");
                        assert_eq!(range.lineage, plan.source, "stops in the source");
                        return (state, position);
                    }
                    (Kind::Commit(number), _) => state.push(number),
                    (Kind::Point(id), Stop::Name { name, lsn })
                        if *name == SnapshotPoint::restore_point(id, 1) =>
                    {
                        assert!(position >= backup.stop, "stops before the backup is consistent");
                        assert_eq!(*lsn, record.end);
                        return (state, record.end);
                    }
                    _ => {}
                }
                position = record.end;
            }
        }
        if plan.stop == Stop::Consistent {
            assert!(position >= backup.stop, "the WAL ends before the backup is consistent");
            return (state, position);
        }
        assert!(!matches!(plan.stop, Stop::Name { .. }), "the restore point was not found");
        assert!(position >= backup.stop && plan.reached(position, SIZE), "{position} {plan:?}");
        (state, position)
    }

    pub fn run(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Commit { micros, bytes } => self.commit(*micros, *bytes, true),
                Step::Noise { bytes } => {
                    let now = self.now;
                    self.live().append(now, *bytes, Kind::Noise);
                }
                Step::Idle { micros } => self.now += micros,
                Step::Backup { during } => self.backup(during),
                Step::Snapshot => self.snapshot(),
                Step::Restore { when, to_snapshot, died, told, housekeeping } => {
                    let target = match *to_snapshot && !self.snapshots.is_empty() {
                        true => Target::Snapshot(when.get(&self.snapshots).0.id),
                        false => Target::Time(self.some_time(when)),
                    };
                    self.restore(target, *died, *told, *housekeeping);
                }
            }
        }
        self.now += 500_000;
        let now = self.now;
        // As the worker does with a live cell before it plans.
        self.live().append(now, 100, Kind::Noise);
        self.live().switch(now);
        let reached = self.live().insert;
        self.live().reaches = Some(reached);
    }

    /// A time since the first activation: one at which something happened, one
    /// before or after it by a microsecond, or any other.
    pub fn some_time(&self, pick: &Index) -> Timestamp {
        let pick = pick.index(1 << 30) as i64;
        let first = self.served[0].0;
        let event = self.served[(pick / 4) as usize % self.served.len()].0;
        let at = match pick % 4 {
            0 => event,
            1 => event - 1,
            2 => event + 1,
            _ => first + (pick / 4) * 7_919 % (self.now - first + 1),
        };
        time(at.clamp(first, self.now))
    }

    pub fn now(&self) -> Timestamp {
        time(self.now)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_leads_to_what_was_served(
        backup_first: bool,
        steps in prop::collection::vec(step(), 1..60),
        times in prop::collection::vec(any::<Index>(), 20),
    ) {
        let mut world = World::new(backup_first);
        world.run(&steps);
        let history = world.history();
        let earliest = earliest(&history, world.now(), FOREVER).unwrap();
        let first_stop = world.backups[0].backup.stopped_at;
        prop_assert_eq!(earliest, first_stop.max(world.activations[0].at));
        for at in times.iter().map(|pick| world.some_time(pick)) {
            match plan(&history, Target::Time(at), world.now(), FOREVER) {
                Ok(plan) => prop_assert_eq!(world.replay(&plan).0, world.expected(Target::Time(at)), "{} {:?}", at, plan),
                Err(error) => {
                    prop_assert!(at < earliest, "{} {}", at, error);
                    prop_assert_eq!(error, PlanError::BeforeBackup { at, next: Some(earliest) });
                }
            }
        }
        for (point, state) in &world.snapshots {
            let plan = plan(&history, Target::Snapshot(point.id), world.now(), FOREVER).unwrap();
            prop_assert_eq!(&world.replay(&plan).0, state);
        }
    }

    #[test]
    fn lost_wal_is_never_passed_over(
        steps in prop::collection::vec(step(), 1..60),
        losses in prop::collection::vec((any::<Index>(), any::<Index>(), any::<bool>()), 12),
    ) {
        let mut world = World::new(true);
        world.run(&steps);
        for (when, which, to_snapshot) in &losses {
            let target = match *to_snapshot && !world.snapshots.is_empty() {
                true => Target::Snapshot(when.get(&world.snapshots).0.id),
                false => Target::Time(world.some_time(when)),
            };
            world.removed.clear();
            let whole = plan(&world.history(), target, world.now(), FOREVER).unwrap();
            let (lineage, segment) = *which.get(&world.files(&whole));
            world.removed.insert((lineage, segment));
            let history = world.history();
            match plan(&history, target, world.now(), FOREVER) {
                // It was not needed: `replay` reads nothing that is not there.
                Ok(plan) => prop_assert_eq!(world.replay(&plan).0, world.expected(target)),
                Err(PlanError::WalGap { lineage: of, segment: name, latest }) => {
                    prop_assert_eq!((of, name), (lineage, segment.file_name(SIZE)));
                    if let Some(at) = latest {
                        let plan = plan(&history, Target::Time(at), world.now(), FOREVER).unwrap();
                        prop_assert_eq!(world.replay(&plan).0, world.expected(Target::Time(at)));
                    }
                }
                Err(error) => prop_assert!(false, "{}", error),
            }
        }
    }
}

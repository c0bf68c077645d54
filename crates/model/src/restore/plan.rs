//! Which backup, which WAL and where to stop. `docs/reference/repository.md`
//! tells the rules in words.

use std::time::Duration;

use jiff::Timestamp;

use super::{Plan, Stop, Target, WalRange};
use crate::archive::{Backup, History, Lineage, LineageHistory, SnapshotPoint};
use crate::lsn::{Lsn, Segment};
use crate::{BackupId, LineageId, SnapshotId};

/// Why there is no plan, in a sentence that says what can be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("{at} is in the future; give a time up to now, which is {now}")]
    Future { at: Timestamp, now: Timestamp },
    #[error("{at} is before the retention window{}", earliest_time(.earliest))]
    BeforeWindow { at: Timestamp, earliest: Option<Timestamp> },
    /// `next` is the first time from `at` on that can be restored.
    #[error("{at} is before the first backup that leads to it{}", earliest_time(.next))]
    BeforeBackup { at: Timestamp, next: Option<Timestamp> },
    #[error("the tenant has no backup in the repository yet; wait until its first one has finished")]
    NoBackup,
    #[error("the tenant has no snapshot {0}; choose one of those that its list of snapshots shows")]
    UnknownSnapshot(SnapshotId),
    #[error("no backup from before snapshot {name:?} is left; choose a later snapshot or a time")]
    SnapshotBeforeBackup { name: String },
    #[error(
        "{lsn} is before the first backup that leads to it, or of an earlier lineage; choose a time instead"
    )]
    LsnTooEarly { lsn: Lsn },
    #[error("the WAL that is in the repository ends at {end}, before {lsn}; choose an earlier position")]
    LsnNotReached { lsn: Lsn, end: Lsn },
    #[error("the tenant has no backup {0}; choose one of those that `heddle archive expire --plan` shows")]
    UnknownBackup(BackupId),
    /// `latest` is the last time before the gap that can be restored, where a
    /// snapshot shows one.
    #[error("WAL segment {segment} of lineage {lineage} is missing from the repository{}", before_gap(.latest))]
    WalGap { lineage: LineageId, segment: String, latest: Option<Timestamp> },
    #[error(
        "the record of lineage {lineage} {why}; have the repository checked, and restore to another time"
    )]
    BrokenChain { lineage: LineageId, why: &'static str },
}

fn earliest_time(at: &Option<Timestamp>) -> String {
    match at {
        Some(at) => format!("; the earliest time that can be restored is {at}"),
        None => "; choose a later time".to_owned(),
    }
}

fn before_gap(latest: &Option<Timestamp>) -> String {
    match latest {
        Some(at) => format!("; the latest time before the gap that can be restored is {at}"),
        None => "; choose a snapshot or a time before it".to_owned(),
    }
}

/// Plans a tenant's restore from what its repository holds.
///
/// A time means what the tenant served then, across earlier restores. A live
/// cell's WAL must have been switched and archived, and a dead one's taken,
/// before `history` was read; `History::note_reached` says how far it went.
/// Snapshots can be restored to as long as they are there; times only within
/// `retention` before `now`.
pub fn plan(
    history: &History,
    target: Target,
    now: Timestamp,
    retention: Duration,
) -> Result<Plan, PlanError> {
    match target {
        Target::Snapshot(id) => {
            let snapshot =
                history.snapshots.iter().find(|s| s.id == id).ok_or(PlanError::UnknownSnapshot(id))?;
            to_snapshot(history, snapshot).map_err(|error| name_latest(history, error, snapshot.at))
        }
        Target::Time(at) if at > now => Err(PlanError::Future { at, now }),
        Target::Time(at) => {
            if history.backups.is_empty() {
                return Err(PlanError::NoBackup);
            }
            if window(now, retention).is_some_and(|start| at < start) {
                return Err(PlanError::BeforeWindow { at, earliest: earliest(history, now, retention) });
            }
            to_time(history, at).map_err(|error| match error {
                PlanError::BeforeBackup { .. } => {
                    PlanError::BeforeBackup { at, next: first_from(history, at).filter(|next| *next <= now) }
                }
                other => name_latest(history, other, at),
            })
        }
    }
}

/// Plans a restore to the moment at which a backup became consistent: what
/// retention keeps a backup for once the seconds around it are gone.
pub fn plan_backup(history: &History, id: BackupId) -> Result<Plan, PlanError> {
    let backup = history.backups.iter().find(|held| held.id == id).ok_or(PlanError::UnknownBackup(id))?;
    let chain = chain(history, backup.lineage)?;
    let source = chain[chain.len() - 1];
    let held = Held::of(source, backup.start);
    if held.ends_before(backup.stop) {
        return Err(held.gap(source));
    }
    let Lineage { timeline, segment_size, .. } = source.lineage;
    let to = Segment::before(timeline, backup.stop, segment_size).end(segment_size);
    let wal = vec![range(source, backup.start, to)];
    Ok(Plan { source: backup.lineage, backup: id, wal, stop: Stop::Consistent, end: backup.stop })
}

/// Plans the newest state that the repository holds of what the tenant serves now.
pub fn plan_latest(history: &History, now: Timestamp) -> Result<Plan, PlanError> {
    if history.backups.is_empty() {
        return Err(PlanError::NoBackup);
    }
    let plan = to_time(history, now).map_err(|error| name_latest(history, error, now))?;
    Ok(Plan { stop: Stop::End, ..plan })
}

/// Plans a position in the WAL of the lineage that the tenant serves now: what
/// was written before it. Positions of earlier lineages do not tell which one
/// they are of; they are reached by time.
pub fn plan_lsn(history: &History, lsn: Lsn) -> Result<Plan, PlanError> {
    let newest = history.activations.iter().max_by_key(|activation| activation.at);
    let chain = chain(history, newest.ok_or(PlanError::NoBackup)?.lineage)?;
    let too_early = PlanError::LsnTooEarly { lsn };
    if chain.last().and_then(|own| own.lineage.parent).is_some_and(|fork| lsn < fork.lsn) {
        return Err(too_early);
    }
    let (first, backup) = newest_backup(history, &chain, |backup| backup.stop <= lsn).ok_or(too_early)?;
    let chain = &chain[first..];
    let mut wal = ancestors(chain, backup)?;
    let source = chain[chain.len() - 1];
    let from = own_start(chain, backup);
    let held = Held::of(source, from);
    let end = held.end(history, source);
    if lsn > end {
        // Behind a gap there may be more, which cannot be reached.
        return Err(match held.ends_before(held.known(history, source)) {
            true => held.gap(source),
            false => PlanError::LsnNotReached { lsn, end },
        });
    }
    wal.push(range(source, from, held.to()));
    Ok(Plan { source: source.lineage.id, backup: backup.id, wal, stop: Stop::Lsn(lsn), end })
}

/// The earliest time that `plan` accepts; None while there is none.
pub fn earliest(history: &History, now: Timestamp, retention: Duration) -> Option<Timestamp> {
    let start = window(now, retention).unwrap_or(Timestamp::MIN);
    first_from(history, start).filter(|at| *at <= now)
}

/// Where the retention window starts; None: before all time.
fn window(now: Timestamp, retention: Duration) -> Option<Timestamp> {
    now.checked_sub(retention).ok()
}

/// The first time from `start` on that can be restored: within an activation,
/// that is its beginning or the end of one of its backups.
fn first_from(history: &History, start: Timestamp) -> Option<Timestamp> {
    let moments = history.activations.iter().map(|activation| activation.at);
    let mut candidates: Vec<_> =
        moments.chain(history.backups.iter().map(|backup| backup.stopped_at)).collect();
    candidates.retain(|at| *at >= start);
    candidates.push(start);
    candidates.sort_unstable();
    candidates.into_iter().find(|at| to_time(history, *at).is_ok())
}

/// Adds the latest reachable time before `limit` to a gap. Just before a
/// snapshot is a time that provably needs no WAL from after it.
fn name_latest(history: &History, error: PlanError, limit: Timestamp) -> PlanError {
    let PlanError::WalGap { lineage, segment, .. } = error else { return error };
    let mut candidates: Vec<_> = history
        .snapshots
        .iter()
        .filter_map(|snapshot| snapshot.at.checked_sub(Duration::from_micros(1)).ok())
        .filter(|at| *at < limit)
        .collect();
    candidates.sort_unstable();
    let latest = candidates.into_iter().rev().find(|at| to_time(history, *at).is_ok());
    PlanError::WalGap { lineage, segment, latest }
}

fn to_time(history: &History, at: Timestamp) -> Result<Plan, PlanError> {
    let unreachable = PlanError::BeforeBackup { at, next: None };
    let serving = history.activations.iter().filter(|activation| activation.at <= at);
    let Some(source) = serving.max_by_key(|activation| activation.at) else { return Err(unreachable) };
    let chain = chain(history, source.lineage)?;
    let (first, backup) =
        newest_backup(history, &chain, |backup| backup.stopped_at <= at).ok_or(unreachable)?;
    // Commits are stamped in whole microseconds, and PostgreSQL would round up.
    let stop = Stop::Time(floor_to_microsecond(at));
    let chain = &chain[first..];
    let mut wal = ancestors(chain, backup)?;
    let source = chain[chain.len() - 1];
    let from = own_start(chain, backup);
    let held = Held::of(source, from);
    let (mut to, mut end) = (held.to(), held.end(history, source));
    if held.ends_before(held.known(history, source)) {
        // WAL was lost. A later snapshot before the loss shows that it holds
        // nothing from before the target.
        let own = history.snapshots.iter().filter(|snapshot| snapshot.lineage == source.lineage.id);
        let passed = own.filter(|snapshot| snapshot.at > at && snapshot.lsn <= held.whole);
        end = passed.map(|snapshot| snapshot.lsn).min().ok_or_else(|| held.gap(source))?;
        let size = source.lineage.segment_size;
        to = Segment::before(source.lineage.timeline, end, size).end(size);
    }
    wal.push(range(source, from, to));
    Ok(Plan { source: source.lineage.id, backup: backup.id, wal, stop, end })
}

fn to_snapshot(history: &History, snapshot: &SnapshotPoint) -> Result<Plan, PlanError> {
    let chain = chain(history, snapshot.lineage)?;
    let (first, backup) = newest_backup(history, &chain, |backup| backup.stop <= snapshot.lsn)
        .ok_or_else(|| PlanError::SnapshotBeforeBackup { name: snapshot.name.clone() })?;
    let chain = &chain[first..];
    let mut wal = ancestors(chain, backup)?;
    let source = chain[chain.len() - 1];
    let from = own_start(chain, backup);
    let held = Held::of(source, from);
    if held.ends_before(snapshot.lsn) {
        return Err(held.gap(source));
    }
    let end = held.end(history, source);
    wal.push(range(source, from, held.to()));
    let stop = Stop::Name { name: snapshot.restore_point.clone(), lsn: snapshot.lsn };
    Ok(Plan { source: source.lineage.id, backup: backup.id, wal, stop, end })
}

/// A lineage and its ancestors, the first one first.
pub(crate) fn chain(history: &History, source: LineageId) -> Result<Vec<&LineageHistory>, PlanError> {
    let broken = |lineage, why| PlanError::BrokenChain { lineage, why };
    let find = |id| history.lineage(id).ok_or_else(|| broken(id, "is missing or damaged"));
    let mut chain = vec![find(source)?];
    loop {
        let child = &chain[chain.len() - 1].lineage;
        let Some(fork) = child.parent else { break };
        let held = find(fork.lineage)?;
        let parent = &held.lineage;
        // Strictly falling timelines also mean that this loop ends.
        if parent.timeline >= child.timeline {
            return Err(broken(child.id, "has a timeline that is not above its parent's"));
        }
        if parent.system_identifier != child.system_identifier || parent.segment_size != child.segment_size {
            return Err(broken(child.id, "describes another cluster than its parent's"));
        }
        if parent.parent.is_some_and(|own| own.lsn > fork.lsn) {
            return Err(broken(child.id, "leaves its parent before the parent began"));
        }
        chain.push(held);
    }
    chain.reverse();
    Ok(chain)
}

/// The newest backup that leads to the target, from the nearest lineage that
/// has one; with that lineage's place in the chain.
pub(crate) fn newest_backup<'a>(
    history: &'a History,
    chain: &[&LineageHistory],
    in_source: impl Fn(&Backup) -> bool,
) -> Option<(usize, &'a Backup)> {
    (0..chain.len()).rev().find_map(|place| {
        let own = history.backups.iter().filter(|backup| backup.lineage == chain[place].lineage.id);
        let fits = |backup: &&Backup| match chain.get(place + 1).and_then(|next| next.lineage.parent) {
            Some(fork) => backup.stop <= fork.lsn,
            None => in_source(backup),
        };
        own.filter(fits).max_by_key(|backup| (backup.stop, backup.id)).map(|backup| (place, backup))
    })
}

/// Where replay enters the WAL of the last lineage of `chain`, whose first has
/// the backup.
pub(crate) fn own_start(chain: &[&LineageHistory], backup: &Backup) -> Lsn {
    match chain {
        [_, .., source] => source.lineage.parent.map_or(backup.start, |fork| fork.lsn),
        _ => backup.start,
    }
}

/// The ranges of all but the last lineage of `chain`, each proven whole. The
/// segment that holds a fork is the child's: it begins with the parent's bytes.
fn ancestors(chain: &[&LineageHistory], backup: &Backup) -> Result<Vec<WalRange>, PlanError> {
    let mut ranges = Vec::with_capacity(chain.len());
    for (place, pair) in chain.windows(2).enumerate() {
        let [ancestor, next] = pair else { continue };
        let Some(fork) = next.lineage.parent else { continue };
        let from = own_start(&chain[..=place], backup);
        let size = ancestor.lineage.segment_size;
        let last = Segment::at(ancestor.lineage.timeline, fork.lsn, size);
        let held = Held::of(ancestor, from);
        if held.whole < last.start(size) {
            return Err(held.gap(ancestor));
        }
        ranges.push(range(ancestor, from, fork.lsn));
    }
    Ok(ranges)
}

fn range(held: &LineageHistory, from: Lsn, to: Lsn) -> WalRange {
    WalRange { lineage: held.lineage.id, timeline: held.lineage.timeline, from, to }
}

/// What a lineage holds without a gap, from some position on.
struct Held {
    /// The end of the whole segments.
    whole: Lsn,
    /// The unfinished segment that follows them.
    partial: Option<Lsn>,
}

impl Held {
    fn of(held: &LineageHistory, from: Lsn) -> Self {
        let (timeline, size) = (held.lineage.timeline, held.lineage.segment_size);
        let mut next = Segment::at(timeline, from, size);
        let rest = held.segments.partition_point(|segment| *segment < next);
        for segment in &held.segments[rest..] {
            if *segment != next {
                break;
            }
            next = next.next();
        }
        let partial = held.partial.filter(|partial| *partial == next).map(|partial| partial.end(size));
        Self { whole: next.start(size), partial }
    }

    /// The end of the last segment that can be read.
    fn to(&self) -> Lsn {
        self.partial.unwrap_or(self.whole)
    }

    /// Whether what is held surely ends before `lsn`. An unfinished segment is
    /// not proven to hold its last byte.
    fn ends_before(&self, lsn: Lsn) -> bool {
        match self.partial {
            Some(to) => lsn >= to,
            None => lsn > self.whole,
        }
    }

    /// The furthest position that the lineage's WAL is known to have reached.
    fn known(&self, history: &History, held: &LineageHistory) -> Lsn {
        let (id, size) = (held.lineage.id, held.lineage.segment_size);
        let forks = history.lineages.iter().filter_map(|other| other.lineage.parent);
        let mut known: Vec<Lsn> = forks.filter(|fork| fork.lineage == id).map(|fork| fork.lsn).collect();
        known.extend(held.lineage.parent.map(|fork| fork.lsn));
        known.extend(history.backups.iter().filter(|backup| backup.lineage == id).map(|backup| backup.stop));
        known.extend(history.snapshots.iter().filter(|point| point.lineage == id).map(|point| point.lsn));
        known.extend(held.reaches);
        known.extend(held.segments.last().map(|segment| segment.end(size)));
        // A partial holds at least one byte beyond its start.
        known.extend(held.partial.map(|partial| Lsn(partial.start(size).0 + 1)));
        known.into_iter().max().unwrap_or_default()
    }

    /// How far the WAL that can be read is proven to go: inside an unfinished
    /// segment, only as far as something tells.
    fn end(&self, history: &History, held: &LineageHistory) -> Lsn {
        match self.partial {
            Some(to) => self.known(history, held).clamp(self.whole, Lsn(to.0 - 1)),
            None => self.whole,
        }
    }

    fn gap(&self, held: &LineageHistory) -> PlanError {
        let Lineage { id, timeline, segment_size, .. } = &held.lineage;
        let segment = Segment::at(*timeline, self.whole, *segment_size).file_name(*segment_size);
        PlanError::WalGap { lineage: *id, segment, latest: None }
    }
}

fn floor_to_microsecond(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_nanosecond().div_euclid(1_000) as i64).unwrap_or(at)
}

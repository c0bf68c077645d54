//! What of a tenant's history is kept, and for how long. Decided purely from
//! what the repository holds; `docs/reference/repository.md` tells the rules in
//! words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::archive::{Backup, History, LineageHistory};
use crate::lsn::Segment;
use crate::restore::plan::{chain, newest_backup, own_start};
use crate::restore::{Plan, PlanError, Target, plan, plan_backup};
use crate::{BackupId, LineageId, SnapshotId};

#[cfg(test)]
mod tests;

/// How long what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Days for which every second is kept.
    pub days: u32,
    /// Days before those, of each of which the last backup is kept.
    pub daily: u32,
    /// Weeks before those, from Monday on in UTC.
    pub weekly: u32,
    /// Months before those.
    pub monthly: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { days: 7, daily: 7, weekly: 4, monthly: 12 }
    }
}

impl Retention {
    /// The time for which every second is kept.
    pub fn window(&self) -> Duration {
        Duration::from_secs(u64::from(self.days) * 24 * 60 * 60)
    }

    /// Where that time starts.
    pub fn start(&self, now: Timestamp) -> Timestamp {
        now.checked_sub(self.window()).unwrap_or(Timestamp::MIN)
    }
}

/// What somebody said of a snapshot after it was taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Kept until that is taken back.
    pub pinned: bool,
    /// None: when the window has passed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A tenant's history, with what retention needs to know beyond it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holdings {
    pub history: History,
    /// The backups that hold the changes since another, and which.
    pub bases: BTreeMap<BackupId, BackupId>,
    pub marks: BTreeMap<SnapshotId, Mark>,
}

/// Why something is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Why {
    Pinned,
    /// The snapshot's own expiry.
    Until {
        at: Timestamp,
    },
    /// It is of the time for which every second is kept.
    Window,
    /// Every second from the window's start on is reached from it.
    LeadsToWindow,
    /// The last of its day, week or month.
    Daily,
    Weekly,
    Monthly,
    /// A snapshot that is kept is reached from it.
    LeadsTo {
        snapshot: SnapshotId,
    },
    /// A backup that is kept holds the changes since it.
    BaseOf {
        backup: BackupId,
    },
    /// A restore that is under way may need it.
    Young,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pinned => f.write_str("pinned"),
            Self::Until { at } => write!(f, "until {}", at.strftime("%Y-%m-%d %H:%M UTC")),
            Self::Window => f.write_str("in the window"),
            Self::LeadsToWindow => f.write_str("leads to the window"),
            Self::Daily => f.write_str("the day's last"),
            Self::Weekly => f.write_str("the week's last"),
            Self::Monthly => f.write_str("the month's last"),
            Self::LeadsTo { snapshot } => write!(f, "leads to snapshot {snapshot}"),
            Self::BaseOf { backup } => write!(f, "backup {backup} goes on from it"),
            Self::Young => f.write_str("a restore may be under way"),
        }
    }
}

/// Why nothing of a tenant may be dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsure {
    #[error("its history contradicts itself: {0}")]
    Broken(#[from] PlanError),
    #[error("without what would go, {point} could not be restored any more")]
    WouldLose { point: String },
}

/// What is kept of a tenant. All else may go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    pub backups: BTreeMap<BackupId, Why>,
    pub snapshots: BTreeMap<SnapshotId, Why>,
    /// Lineages of which at least the records are kept.
    pub lineages: BTreeSet<LineageId>,
    /// The numbers of the segments that are kept, as ranges without their ends.
    wal: BTreeMap<LineageId, Vec<(u64, u64)>>,
}

/// Decides what is kept.
///
/// Of each time in the window, whatever leads to it. Of each snapshot that is
/// pinned or has not expired, the same. Of the days, weeks and months before,
/// the last backup, with the WAL that makes it consistent. The last state of a
/// tenant that is not served any more never ends.
pub fn keep(holdings: &Holdings, retention: &Retention, now: Timestamp) -> Result<Kept, Unsure> {
    let history = &holdings.history;
    let start = retention.start(now);
    let mut kept = Kept::default();
    kept.keep_window(history, start)?;
    kept.keep_young(history, start)?;
    for snapshot in &history.snapshots {
        let mark = holdings.marks.get(&snapshot.id).copied().unwrap_or_default();
        let why = match mark.expires_at {
            _ if mark.pinned => Why::Pinned,
            Some(at) if at > now => Why::Until { at },
            None if snapshot.at >= start => Why::Window,
            _ => continue,
        };
        kept.snapshots.insert(snapshot.id, why);
        let chain = chain(history, snapshot.lineage)?;
        kept.keep_chain(&chain);
        // Without a backup that leads to it nothing but its record is left.
        if let Some((first, backup)) = newest_backup(history, &chain, |backup| backup.stop <= snapshot.lsn) {
            let source = &chain[chain.len() - 1].lineage;
            let last = Segment::before(source.timeline, snapshot.lsn, source.segment_size);
            kept.keep_way(&chain[first..], backup, Some(last));
            kept.keep_backup(backup, Why::LeadsTo { snapshot: snapshot.id });
        }
    }
    for backup in &history.backups {
        if backup.stopped_at >= start {
            kept.keep_backup(backup, Why::Window);
        }
    }
    for (backup, why) in calendar(&history.backups, retention, start) {
        kept.keep_backup(backup, why);
    }
    kept.keep_bases(holdings);
    for backup in &history.backups {
        if !kept.backups.contains_key(&backup.id) {
            continue;
        }
        let chain = chain(history, backup.lineage)?;
        kept.keep_chain(&chain);
        let source = &chain[chain.len() - 1].lineage;
        let last = Segment::before(source.timeline, backup.stop, source.segment_size);
        kept.keep_way(&chain[chain.len() - 1..], backup, Some(last));
    }
    Ok(kept)
}

impl Kept {
    /// Whether a segment, finished or not, is kept.
    pub fn keeps(&self, lineage: LineageId, segment: Segment) -> bool {
        let kept = self.wal.get(&lineage).into_iter().flatten();
        kept.into_iter().any(|(from, until)| (*from..*until).contains(&segment.number))
    }

    /// The history that is left when all else is gone.
    pub fn prune(&self, history: &History) -> History {
        let mut left = history.clone();
        left.lineages.retain(|held| self.lineages.contains(&held.lineage.id));
        for held in &mut left.lineages {
            let id = held.lineage.id;
            held.segments.retain(|segment| self.keeps(id, *segment));
            held.partial = held.partial.filter(|segment| self.keeps(id, *segment));
        }
        left.activations.retain(|activation| self.lineages.contains(&activation.lineage));
        left.backups.retain(|backup| self.backups.contains_key(&backup.id));
        left.snapshots.retain(|snapshot| self.snapshots.contains_key(&snapshot.id));
        left
    }

    /// Proves by planning that all that could be restored to by `retention` can
    /// be afterwards.
    pub fn prove(&self, history: &History, retention: &Retention, now: Timestamp) -> Result<(), Unsure> {
        let (left, start) = (self.prune(history), retention.start(now));
        let lost = |point: String| Err(Unsure::WouldLose { point });
        let moments = history.activations.iter().map(|activation| activation.at);
        let moments = moments.chain(history.backups.iter().map(|backup| backup.stopped_at));
        let moments: BTreeSet<_> =
            moments.chain([start, now]).filter(|at| (start..=now).contains(at)).collect();
        for at in moments {
            let planned = |history| plan(history, Target::Time(at), now, retention.window());
            if let Ok(before) = planned(history)
                && planned(&left).as_ref() != Ok(&before)
            {
                return lost(at.to_string());
            }
        }
        for snapshot in self.snapshots.keys() {
            let planned = |history| plan(history, Target::Snapshot(*snapshot), now, retention.window());
            if let Ok(before) = planned(history)
                && !planned(&left).is_ok_and(|after| is_same_way(&before, &after))
            {
                return lost(format!("snapshot {snapshot}"));
            }
        }
        for backup in self.backups.keys() {
            if let Ok(before) = plan_backup(history, *backup)
                && plan_backup(&left, *backup).as_ref() != Ok(&before)
            {
                return lost(format!("backup {backup}"));
            }
        }
        Ok(())
    }

    fn keep_backup(&mut self, backup: &Backup, why: Why) {
        self.backups.entry(backup.id).or_insert(why);
    }

    fn keep_chain(&mut self, chain: &[&LineageHistory]) {
        self.lineages.extend(chain.iter().map(|held| held.lineage.id));
    }

    /// What a restore reads from `backup`, in the first of `chain`, to `last` in
    /// the last of it; None: to its end.
    fn keep_way(&mut self, chain: &[&LineageHistory], backup: &Backup, last: Option<Segment>) {
        for (place, held) in chain.iter().enumerate() {
            let lineage = &held.lineage;
            let at = |lsn| Segment::at(lineage.timeline, lsn, lineage.segment_size).number;
            let from = at(own_start(&chain[..=place], backup));
            let until = match chain.get(place + 1).and_then(|next| next.lineage.parent) {
                // The segment that holds the fork is the child's.
                Some(fork) => at(fork.lsn),
                None => last.map_or(u64::MAX, |last| last.next().number),
            };
            if from < until {
                self.wal.entry(lineage.id).or_default().push((from, until));
            }
        }
    }

    /// What leads to each second since `start`.
    fn keep_window(&mut self, history: &History, start: Timestamp) -> Result<(), Unsure> {
        let mut served: Vec<_> = history.activations.iter().collect();
        served.sort_by_key(|activation| activation.at);
        for (place, activation) in served.iter().enumerate() {
            // A second that is one of both belongs to the later; both are kept.
            if served.get(place + 1).is_some_and(|next| next.at < start) {
                continue;
            }
            let chain = chain(history, activation.lineage)?;
            self.keep_chain(&chain);
            let first_moment = activation.at.max(start);
            match newest_backup(history, &chain, |backup| backup.stopped_at <= first_moment) {
                Some((first, backup)) => {
                    self.keep_backup(backup, Why::LeadsToWindow);
                    self.keep_way(&chain[first..], backup, None);
                }
                // Backups of its own come later, or are under way.
                None => self.keep_all_wal(activation.lineage),
            }
        }
        Ok(())
    }

    /// Lineages that were made within the window, and were not served yet.
    fn keep_young(&mut self, history: &History, start: Timestamp) -> Result<(), Unsure> {
        for held in &history.lineages {
            let id = held.lineage.id;
            let served = history.activations.iter().any(|activation| activation.lineage == id);
            if served || made_at(id).is_some_and(|made| made < start) {
                continue;
            }
            let chain = chain(history, id)?;
            self.keep_chain(&chain);
            self.keep_all_wal(id);
            if let Some((first, backup)) = newest_backup(history, &chain, |_| true) {
                self.keep_backup(backup, Why::Young);
                self.keep_way(&chain[first..], backup, None);
            }
        }
        Ok(())
    }

    fn keep_all_wal(&mut self, lineage: LineageId) {
        self.wal.entry(lineage).or_default().push((0, u64::MAX));
    }

    fn keep_bases(&mut self, holdings: &Holdings) {
        let mut left: Vec<BackupId> = self.backups.keys().copied().collect();
        while let Some(backup) = left.pop() {
            if let Some(base) = holdings.bases.get(&backup)
                && !self.backups.contains_key(base)
            {
                self.backups.insert(*base, Why::BaseOf { backup });
                left.push(*base);
            }
        }
    }
}

/// Both start from the same backup and go along the same lineages.
fn is_same_way(one: &Plan, other: &Plan) -> bool {
    let way = |plan: &Plan| plan.wal.iter().map(|range| range.lineage).collect::<Vec<_>>();
    (one.backup, one.source, &one.stop) == (other.backup, other.source, &other.stop) && way(one) == way(other)
}

/// When a lineage was made, as its id says; None: the id does not say.
fn made_at(id: LineageId) -> Option<Timestamp> {
    let (seconds, nanos) = id.0.get_timestamp()?.to_unix();
    Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanos).ok()?).ok()
}

/// The last backup of each day, week and month that still counts.
fn calendar<'a>(backups: &'a [Backup], retention: &Retention, start: Timestamp) -> Vec<(&'a Backup, Why)> {
    let date = |at: Timestamp| at.to_zoned(TimeZone::UTC).date();
    // Times at the edge of what can be written have no calendar before them.
    let Some(edges) = Edges::before(date(start), retention) else { return Vec::new() };
    let mut found = Vec::new();
    let mut last_of = |why: Why, from: Date, period: fn(Date) -> Date| {
        let mut last: BTreeMap<Date, &Backup> = BTreeMap::new();
        for backup in backups {
            let of = period(date(backup.stopped_at));
            let newer = last.get(&of).is_none_or(|held| {
                (held.stopped_at, held.stop, held.id) < (backup.stopped_at, backup.stop, backup.id)
            });
            if of >= from && newer {
                last.insert(of, backup);
            }
        }
        found.extend(last.into_values().map(|backup| (backup, why)));
    };
    if retention.daily > 0 {
        last_of(Why::Daily, edges.day, |date| date);
    }
    if retention.weekly > 0 {
        last_of(Why::Weekly, edges.week, monday);
    }
    if retention.monthly > 0 {
        last_of(Why::Monthly, edges.month, Date::first_of_month);
    }
    found
}

/// The first day, week and month of which a backup is kept.
struct Edges {
    day: Date,
    week: Date,
    month: Date,
}

impl Edges {
    fn before(window: Date, retention: &Retention) -> Option<Self> {
        use jiff::ToSpan;
        let day = window.checked_sub(i64::from(retention.daily).days()).ok()?;
        let week = monday(day).checked_sub(i64::from(retention.weekly).weeks()).ok()?;
        let month = week.first_of_month().checked_sub(i64::from(retention.monthly).months()).ok()?;
        Some(Self { day, week, month })
    }
}

fn monday(date: Date) -> Date {
    use jiff::ToSpan;
    let since = i64::from(date.weekday().to_monday_zero_offset());
    date.checked_sub(since.days()).unwrap_or(date)
}

//! Chains: that every lineage has the WAL that something counts on.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use daemon::telemetry::causes;
use jiff::Timestamp;
use model::archive::{History, Lineage, LineageHistory};
use model::lsn::{Lsn, Segment};
use model::restore::{self, PlanError, Target};

use super::{Check, Flaw, FlawKind, named};
use crate::Finding;
use crate::disk::FileError;
use crate::record::RecordError;
use crate::repository::TenantArchive;

/// Objects come in while they are listed, so a gap counts only if it is still
/// there when all is listed again.
const LOOKS: usize = 3;
const PAUSE: Duration = Duration::from_millis(100);

impl Check<'_> {
    /// Reads a tenant's history, and finds what is wrong with it.
    pub(super) fn look_at_chains(&self, archive: &TenantArchive) -> Result<History, FileError> {
        let mut look = 0;
        let (history, flaws) = loop {
            look += 1;
            let inventory = archive.read_history()?;
            let mut flaws: Vec<Flaw> =
                inventory.findings.into_iter().map(|finding| self.of_history(finding)).collect();
            chains(archive, &inventory.history, &mut flaws);
            if flaws.is_empty() || look == LOOKS {
                break (inventory.history, flaws);
            }
            thread::sleep(PAUSE);
        };
        for flaw in flaws {
            self.find(flaw.kind, &flaw.path, flaw.what);
        }
        Ok(history)
    }

    pub(super) fn of_history(&self, finding: Finding) -> Flaw {
        let flaw = |kind, path, what: &str| Flaw { kind, path, what: what.to_owned() };
        match finding {
            Finding::Record(RecordError::WithoutData(path)) => {
                flaw(FlawKind::MissingBackup, path, "the data that its manifest names is not there")
            }
            Finding::Record(RecordError::Damaged { path, source }) => {
                flaw(FlawKind::DamagedRecord, path, &source.to_string())
            }
            Finding::Record(RecordError::Misplaced(path)) => {
                flaw(FlawKind::MisplacedRecord, path, "is not the record that its place says")
            }
            Finding::Record(RecordError::Parse { path, source }) => {
                flaw(FlawKind::DamagedRecord, path, &format!("cannot be parsed: {source}"))
            }
            Finding::Record(RecordError::File(error)) => {
                let what = causes(&error);
                flaw(FlawKind::Unreadable, error.path, &what)
            }
            Finding::Gap(path) => {
                flaw(FlawKind::MissingWal, path, "is missing, and what was streamed after it is there")
            }
            Finding::Unknown(path) => flaw(FlawKind::Unknown, path, "is not part of a repository"),
            other => flaw(FlawKind::Unknown, self.root.to_owned(), &other.to_string()),
        }
    }
}

fn chains(archive: &TenantArchive, history: &History, flaws: &mut Vec<Flaw>) {
    // One that cannot be read is found where all records are looked at.
    let removed = archive.removed_wal().unwrap_or_default();
    for held in &history.lineages {
        let path = archive.lineage_folder(held.lineage.id).join("lineage");
        if let Some(what) = broken(history, &held.lineage) {
            flaws.push(Flaw { kind: FlawKind::BrokenChain, path, what });
        }
        let removed = removed.get(&held.lineage.id).map_or(&[][..], Vec::as_slice);
        gaps(archive, history, held, removed, flaws);
    }
    for snapshot in &history.snapshots {
        let now = Timestamp::now();
        let planned = restore::plan(history, Target::Snapshot(snapshot.id), now, Duration::MAX);
        if let Err(error) = planned {
            let what = format!(
                "snapshot {:?} of {} cannot be restored: {}",
                snapshot.name,
                named(snapshot.lineage),
                unplanned(error)
            );
            flaws.push(Flaw { kind: FlawKind::Unplannable, path: archive.snapshot_path(snapshot.id), what });
        }
    }
    for backup in &history.backups {
        if let Err(error) = restore::plan_backup(history, backup.id) {
            let path = archive.backup_folder(backup.lineage, backup.id).join("manifest");
            let what = format!("the backup never becomes consistent: {}", unplanned(error));
            flaws.push(Flaw { kind: FlawKind::Unplannable, path, what });
        }
    }
}

/// Why, without what to do: the flaw's kind says that.
fn unplanned(error: PlanError) -> String {
    match error {
        PlanError::WalGap { segment, .. } => format!("WAL segment {segment} is missing"),
        other => other.to_string(),
    }
}

/// How a lineage's record contradicts its parent's.
fn broken(history: &History, lineage: &Lineage) -> Option<String> {
    let fork = lineage.parent?;
    let Some(parent) = history.lineage(fork.lineage).map(|held| &held.lineage) else {
        return Some(format!("its parent, {}, is missing or damaged", named(fork.lineage)));
    };
    let why = if parent.timeline >= lineage.timeline {
        "has a timeline that is not above its parent's"
    } else if parent.system_identifier != lineage.system_identifier {
        "is of another cluster than its parent"
    } else if parent.segment_size != lineage.segment_size {
        "has segments of another size than its parent"
    } else if parent.parent.is_some_and(|own| own.lsn > fork.lsn) {
        "leaves its parent before the parent began"
    } else {
        return None;
    };
    Some(format!("{} {why}", named(lineage.id)))
}

/// What of a lineage's WAL is counted on and missing, a finding for each gap.
/// What was `removed` on purpose is not: if something needs it after all, no
/// restore leads there, and that is found.
fn gaps(
    archive: &TenantArchive,
    history: &History,
    held: &LineageHistory,
    removed: &[(u64, u64)],
    flaws: &mut Vec<Flaw>,
) {
    let Lineage { id, timeline, segment_size: size, parent, .. } = held.lineage;
    let counted_on = counted_on(history, held);
    let Some((until, _)) = counted_on.iter().max_by_key(|(lsn, _)| *lsn) else { return };
    // A lineage's WAL is of use from its fork on, or from its first backup.
    let backups = history.backups.iter().filter(|backup| backup.lineage == id).map(|backup| backup.start);
    let from = match parent {
        Some(fork) => fork.lsn,
        None => match backups.min().or_else(|| held.segments.first().map(|first| first.start(size))) {
            Some(from) => from,
            None => return,
        },
    };
    let end = Segment::before(timeline, *until, size).next();
    let mut next = Segment::at(timeline, from, size);
    let first = held.segments.partition_point(|segment| *segment < next);
    let partial = held.partial.into_iter();
    for there in held.segments[first..].iter().copied().chain(partial).chain([end]) {
        for (number, count) in missing(next.number..there.number, removed) {
            let gap = Segment { timeline, number };
            let name = gap.file_name(size);
            let who = counted_on.iter().filter(|(lsn, _)| *lsn > gap.start(size)).min_by_key(|(lsn, _)| *lsn);
            let who = who.map_or(String::new(), |(_, who)| format!(", which {who} needs"));
            let what = match count {
                1 => format!("WAL segment {name} of {} is missing{who}", named(id)),
                count => format!("{count} WAL segments of {}, from {name} on, are missing{who}", named(id)),
            };
            let path: PathBuf = archive.wal_folder(id).join(&name);
            flaws.push(Flaw { kind: FlawKind::MissingWal, path, what });
        }
        next = next.max(there.next());
        if next >= end {
            break;
        }
    }
}

/// The parts of a gap that were not removed on purpose: where each begins, and
/// how long it is.
fn missing(gap: std::ops::Range<u64>, removed: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut found = Vec::new();
    let mut at = gap.start;
    while at < gap.end {
        if let Some((_, last)) = removed.iter().find(|(first, last)| (*first..=*last).contains(&at)) {
            at = last + 1;
            continue;
        }
        let until = removed.iter().map(|(first, _)| *first).filter(|first| *first > at).min();
        let until = until.unwrap_or(gap.end).min(gap.end);
        found.push((at, until - at));
        at = until;
    }
    found
}

/// The positions that a lineage's WAL has to reach, and for what.
fn counted_on(history: &History, held: &LineageHistory) -> Vec<(Lsn, String)> {
    let (id, size) = (held.lineage.id, held.lineage.segment_size);
    let mut counted_on = Vec::new();
    for other in &history.lineages {
        if let Some(fork) = other.lineage.parent.filter(|fork| fork.lineage == id) {
            counted_on.push((fork.lsn, format!("its child, {},", named(other.lineage.id))));
        }
    }
    for backup in history.backups.iter().filter(|backup| backup.lineage == id) {
        counted_on.push((backup.stop, format!("backup {}", backup.id)));
    }
    for point in history.snapshots.iter().filter(|point| point.lineage == id) {
        counted_on.push((point.lsn, format!("snapshot {:?}", point.name)));
    }
    // Taken from a cell that never wrote, it is no more than the fork.
    let own = held.lineage.parent.map(|fork| fork.lsn);
    if let Some(reaches) = held.reaches.filter(|reaches| Some(*reaches) > own) {
        counted_on.push((reaches, "what was taken of its stopped cell".to_owned()));
    }
    if let Some(last) = held.segments.last() {
        counted_on.push((last.end(size), format!("its last segment, {},", last.file_name(size))));
    }
    if let Some(partial) = held.partial {
        counted_on.push((Lsn(partial.start(size).0 + 1), "its unfinished segment".to_owned()));
    }
    counted_on
}

//! The journal of deletions: `journal/<entry>` tells what is about to be
//! removed, before anything is, and `journal/<entry>.done` that it was.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use model::lsn::WalFile;
use model::retention::Retention;
use model::{BackupId, LineageId, SnapshotId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::record::{PutError, RecordError};
use crate::repository::TenantArchive;

/// Nothing more is removed by an entry that is older.
pub(crate) const VALID: Duration = Duration::from_secs(30 * 60);

/// An entry that was never ended, and is older than this, removes nothing any
/// more: twice as long, since clocks differ.
const DEAD: Duration = Duration::from_secs(60 * 60);

/// How long somebody waits who needs what is being removed.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

const DONE: &str = ".done";

/// `journal/<entry>`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    pub id: Uuid,
    pub at: Timestamp,
    /// By which rules.
    pub retention: Retention,
    pub grace_seconds: u64,
    pub snapshots: Vec<SnapshotId>,
    pub backups: Vec<BackupId>,
    /// Lineages of which nothing is left.
    pub lineages: Vec<LineageId>,
    /// By lineage, the numbers of its segments: ranges of the first and the last.
    pub wal: BTreeMap<LineageId, Vec<(u64, u64)>>,
    /// Filestore objects, by their SHA-1.
    pub files: Vec<String>,
    /// The rest, by their paths below the tenant's folder.
    pub others: Vec<String>,
    pub objects: u64,
    pub bytes: u64,
}

/// `journal/<entry>.done`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    pub id: Uuid,
    pub at: Timestamp,
    pub objects: u64,
    pub bytes: u64,
}

impl Journal {
    fn names(&self) -> impl Iterator<Item = String> {
        let snapshots = self.snapshots.iter().map(|id| format!("snapshots/{id}"));
        let files = self.files.iter().map(|id| format!("files/{}/{id}", &id[..id.len().min(2)]));
        snapshots.chain(files).chain(self.others.iter().cloned())
    }
}

impl TenantArchive {
    fn journal_path(&self, name: &str) -> PathBuf {
        self.folder().join("journal").join(name)
    }

    pub(crate) fn begin_removal(&self, entry: &Journal) -> Result<(), PutError> {
        self.put_record(&self.journal_path(&entry.id.to_string()), entry)
    }

    pub(crate) fn end_removal(&self, removed: &Removed) -> Result<(), PutError> {
        let path = self.journal_path(&format!("{}{DONE}", removed.id));
        match self.put_record(&path, removed) {
            // Another has ended it meanwhile.
            Err(PutError::Different(_)) => Ok(()),
            put => put,
        }
    }

    /// Every deletion, oldest first, each with what came of it. None: it is
    /// under way, or was broken off.
    pub async fn journal(&self) -> Result<Vec<(Journal, Option<Removed>)>, RecordError> {
        self.blocking(Self::read_journal).await
    }

    pub(crate) fn read_journal(&self) -> Result<Vec<(Journal, Option<Removed>)>, RecordError> {
        let mut entries = Vec::new();
        for (id, done) in self.journal_entries()? {
            let path = self.journal_path(&id.to_string());
            let Some(entry) = self.read_record::<Journal>(&path)? else { continue };
            if entry.id != id {
                return Err(RecordError::Misplaced(path));
            }
            let path = self.journal_path(&format!("{id}{DONE}"));
            let removed = if done { self.read_record::<Removed>(&path)? } else { None };
            entries.push((entry, removed));
        }
        Ok(entries)
    }

    /// The entries by their names, and whether each was ended.
    pub(crate) fn journal_entries(&self) -> Result<Vec<(Uuid, bool)>, RecordError> {
        let names: BTreeSet<String> =
            self.inner.store.names(&self.folder().join("journal"))?.into_iter().collect();
        let ended = |name: &str| names.contains(&format!("{name}{DONE}"));
        Ok(names.iter().filter_map(|name| Some((name.parse().ok()?, ended(name)))).collect())
    }

    /// Whether one of these is about to be removed, after having waited for it
    /// to be over. Names are paths below the tenant's folder.
    pub(crate) fn is_being_removed(&self, names: &[String]) -> Result<bool, RecordError> {
        let begun = std::time::Instant::now();
        loop {
            if !self.is_in_open_entry(names)? {
                return Ok(false);
            }
            if begun.elapsed() > PATIENCE {
                return Ok(true);
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    fn is_in_open_entry(&self, names: &[String]) -> Result<bool, RecordError> {
        for (id, done) in self.journal_entries()? {
            let made = id.get_timestamp().map(|at| Duration::from_secs(at.to_unix().0));
            let now = Timestamp::now().as_second();
            let age = made.map(|made| now.saturating_sub(made.as_secs().cast_signed()));
            if done || age.is_some_and(|age| age > DEAD.as_secs().cast_signed()) {
                continue;
            }
            let entry = self.read_record::<Journal>(&self.journal_path(&id.to_string()))?;
            if entry.is_some_and(|entry| entry.names().any(|name| names.contains(&name))) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether something that is gone was, or is being, removed on purpose.
    pub(crate) fn was_removed(&self, path: &Path) -> bool {
        let Ok(below) = path.strip_prefix(self.folder()) else { return false };
        let parts: Vec<_> = below.iter().filter_map(|part| part.to_str()).collect();
        let Ok(entries) = self.read_journal() else { return false };
        entries.iter().any(|(entry, _)| match parts[..] {
            ["lineages", lineage, "wal", name] => {
                let id: Option<LineageId> = lineage.parse().ok();
                let held = id.and_then(|id| self.lineage(id).ok().flatten());
                let ranges = id.and_then(|id| entry.wal.get(&id));
                let number = held.and_then(|held| match WalFile::parse(name, held.segment_size).ok()? {
                    WalFile::Segment(segment) | WalFile::Partial(segment) => Some(segment.number),
                    _ => None,
                });
                number.zip(ranges).is_some_and(|(number, ranges)| {
                    ranges.iter().any(|(first, last)| (*first..=*last).contains(&number))
                }) || entry.others.iter().any(|other| below == Path::new(other))
            }
            ["lineages", _, "backups", backup, ..] => {
                backup.parse().is_ok_and(|backup: BackupId| entry.backups.contains(&backup))
            }
            ["files", _, sha1] => entry.files.iter().any(|file| file == sha1),
            _ => entry.others.iter().any(|other| below == Path::new(other)),
        })
    }

    /// The segments that were removed on purpose, by lineage.
    pub(crate) fn removed_wal(&self) -> Result<BTreeMap<LineageId, Vec<(u64, u64)>>, RecordError> {
        let mut removed: BTreeMap<LineageId, Vec<(u64, u64)>> = BTreeMap::new();
        for (entry, _) in self.read_journal()? {
            for (lineage, ranges) in entry.wal {
                removed.entry(lineage).or_default().extend(ranges);
            }
        }
        Ok(removed)
    }
}

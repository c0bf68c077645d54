//! The journal of deletions: `journal/<entry>` tells what is about to be
//! removed, before anything is, and `journal/<entry>.done` that it was.

use std::collections::{BTreeMap, BTreeSet, HashSet};
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

    /// Ends the entries that were broken off so long ago that whoever began
    /// them removes nothing any more.
    pub(crate) fn end_dead_removals(&self) -> Result<(), PutError> {
        for (id, done) in self.journal_entries()? {
            if !done && is_dead(id) {
                self.end_removal(&Removed { id, at: Timestamp::now(), objects: 0, bytes: 0 })?;
            }
        }
        Ok(())
    }

    fn is_in_open_entry(&self, names: &[String]) -> Result<bool, RecordError> {
        let wanted: HashSet<&str> = names.iter().map(String::as_str).collect();
        for (id, done) in self.journal_entries()? {
            if done || is_dead(id) {
                continue;
            }
            let entry = self.read_record::<Journal>(&self.journal_path(&id.to_string()))?;
            if entry.is_some_and(|entry| entry.names().any(|name| wanted.contains(name.as_str()))) {
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
                    WalFile::Segment(segment) | WalFile::Partial(segment) | WalFile::Piece(segment, ..) => {
                        Some(segment.number)
                    }
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

/// Whether an entry is so old, by its id, that nothing is removed by it.
fn is_dead(entry: Uuid) -> bool {
    let made = entry.get_timestamp().map(|at| at.to_unix().0.cast_signed());
    made.is_some_and(|made| Timestamp::now().as_second() - made > DEAD.as_secs().cast_signed())
}

#[cfg(test)]
mod tests {
    use model::TenantId;
    use uuid::NoContext;

    use super::*;
    use crate::{KeyFile, Repository};

    #[test]
    fn a_removal_that_was_broken_off_holds_nobody_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyFile::at(folder.path().join("key"));
        keys.make().unwrap();
        let repository = Repository::open_or_create(folder.path().join("repository"), keys).unwrap();
        let archive = repository.tenant(TenantId::new());
        let file = "a9993e364706816aba3e25717850c26c9cd0d89d";
        let entry = |seconds_ago: u64| {
            let made = Timestamp::now().as_second().cast_unsigned() - seconds_ago;
            Journal {
                id: Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, made, 0)),
                at: Timestamp::now(),
                retention: Retention::default(),
                grace_seconds: 0,
                snapshots: vec![],
                backups: vec![],
                lineages: vec![],
                wal: BTreeMap::new(),
                files: vec![file.to_owned()],
                others: vec!["lists/1".to_owned()],
                objects: 2,
                bytes: 3,
            }
        };
        let old = entry(2 * 3600);
        archive.begin_removal(&old).unwrap();
        let named = |name: &str| archive.is_in_open_entry(&[name.to_owned()]).unwrap();
        assert!(!named(&format!("files/a9/{file}")));
        let young = entry(1);
        archive.begin_removal(&young).unwrap();
        assert!(named(&format!("files/a9/{file}")) && named("lists/1") && !named("lists/2"));
        // Whoever comes next ends the one, and not the other.
        archive.end_dead_removals().unwrap();
        let ended: Vec<_> =
            archive.read_journal().unwrap().into_iter().map(|(_, done)| done.is_some()).collect();
        assert_eq!(ended, [true, false]);
        archive.end_removal(&Removed { id: young.id, at: young.at, objects: 2, bytes: 3 }).unwrap();
        assert!(!archive.is_being_removed(&["lists/1".to_owned()]).unwrap());
        assert!(archive.was_removed(&archive.folder().join(format!("files/a9/{file}"))));
        assert!(!archive.was_removed(&archive.folder().join("files/a9/other")));
    }
}

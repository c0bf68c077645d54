//! Removing what is due.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use daemon::fault;
use jiff::Timestamp;
use model::lsn::WalFile;
use model::{BackupId, LineageId, SnapshotId, TenantId};
use uuid::Uuid;

use super::look::{Kind, Look, Unneeded, is_old};
use super::{Amount, Expire, LeftAlone, TenantExpired, count};
use crate::disk::{self, FileError};
use crate::journal::{Journal, Removed, VALID};
use crate::repository::{Repository, TenantArchive};
use crate::store::{Store, Stored};
use crate::wal::PARTIAL;

impl TenantArchive {
    /// Removes of `due` what a last look does not find needed.
    pub(super) fn sweep_due(
        &self,
        look: &Look,
        due: Vec<Unneeded>,
        how: &Expire,
        told: &mut TenantExpired,
    ) -> Result<(), LeftAlone> {
        let entry = self.entry(look, &due, how);
        self.begin_removal(&entry)?;
        let valid = Instant::now();
        told.journal = Some(entry.id);
        fault::point("archive.expire.begun");

        let again = Look::at(self, how)?;
        agree(&look.objects, &again.objects, how)?;
        let still: HashSet<&str> = again.unneeded.iter().map(|unneeded| unneeded.name.as_str()).collect();
        let due: Vec<Unneeded> =
            due.into_iter().filter(|unneeded| still.contains(unneeded.name.as_str())).collect();
        let mut condemned = self.read_condemned()?;
        let before = condemned.len();
        condemned.retain(|name, _| still.contains(name.as_str()));
        if condemned.len() < before {
            // What is needed again gets its whole grace if it ever is not.
            self.write_condemned(&condemned)?;
        }
        let removed = self.remove_all(&due, valid)?;
        for unneeded in &removed {
            count(&mut told.removed, unneeded);
        }
        self.forget(&removed);
        self.remove_folders(look, &again, &removed);
        told.dropped_snapshots = ids(&removed, Kind::Snapshot, |parts| parts.get(1)?.parse().ok());
        told.dropped_backups = ids(&removed, Kind::Backup, |parts| match parts[..] {
            [_, _, _, backup, "manifest"] => backup.parse().ok(),
            _ => None,
        });
        fault::point("archive.expire.removed");

        let total = TenantExpired::total(&told.removed);
        let done = |id| Removed { id, at: how.clock.now, objects: total.objects, bytes: total.bytes };
        self.end_removal(&done(entry.id))?;
        fault::point("archive.expire.ended");
        Ok(())
    }

    fn entry(&self, look: &Look, due: &[Unneeded], how: &Expire) -> Journal {
        let mut entry = Journal {
            id: Uuid::now_v7(),
            at: how.clock.now,
            retention: how.retention,
            grace_seconds: how.grace.as_secs(),
            snapshots: Vec::new(),
            backups: Vec::new(),
            lineages: Vec::new(),
            wal: BTreeMap::new(),
            files: Vec::new(),
            others: Vec::new(),
            objects: due.len() as u64,
            bytes: due.iter().map(|unneeded| unneeded.size).sum(),
        };
        let mut segments: BTreeMap<LineageId, BTreeSet<u64>> = BTreeMap::new();
        let mut backups: BTreeSet<BackupId> = BTreeSet::new();
        for unneeded in due {
            let parts: Vec<&str> = unneeded.name.split('/').collect();
            match parts[..] {
                ["snapshots", id] => entry.snapshots.extend(id.parse::<SnapshotId>()),
                ["files", _, sha1] => entry.files.push(sha1.to_owned()),
                ["lineages", _, "backups", id, _] if unneeded.kind == Kind::Backup => {
                    backups.extend(id.parse::<BackupId>());
                }
                ["lineages", id, "lineage"] => entry.lineages.extend(id.parse::<LineageId>()),
                ["lineages", id, "wal", name] => {
                    let held = id.parse().ok().and_then(|id| look.history.lineage(id));
                    let file = held.and_then(|held| WalFile::parse(name, held.lineage.segment_size).ok());
                    match (held, file) {
                        (
                            Some(held),
                            Some(
                                WalFile::Segment(segment)
                                | WalFile::Partial(segment)
                                | WalFile::Piece(segment, ..),
                            ),
                        ) if unneeded.kind == Kind::Wal => {
                            segments.entry(held.lineage.id).or_default().insert(segment.number);
                        }
                        _ => entry.others.push(unneeded.name.clone()),
                    }
                }
                _ => entry.others.push(unneeded.name.clone()),
            }
        }
        entry.backups = backups.into_iter().collect();
        entry.wal = segments.into_iter().map(|(lineage, numbers)| (lineage, ranges(&numbers))).collect();
        entry
    }

    /// Removes turn by turn, each durably before the next, so that whatever is
    /// left when this is broken off is a sound repository.
    fn remove_all(&self, due: &[Unneeded], valid: Instant) -> Result<Vec<Unneeded>, FileError> {
        let store = &self.inner.store;
        let mut removed = Vec::new();
        let mut rest = due;
        while let Some(first) = rest.first() {
            // Manifests go one by one, and whole kinds at once.
            let turn = first.turn;
            let until = rest.partition_point(|unneeded| unneeded.turn <= turn);
            let (now, later) = rest.split_at(until);
            removed.extend(remove_some(store, now, valid)?);
            if valid.elapsed() > VALID {
                tracing::warn!("removing takes long; the rest is left to the next time");
                break;
            }
            let kind = |turn: u64| turn / 1_000_000;
            if later.first().is_none_or(|next| kind(next.turn) != kind(turn)) {
                store.sync_all()?;
                fault::point(match kind(turn) {
                    0 => "archive.expire.snapshots",
                    1 => "archive.expire.manifests",
                    2 => "archive.expire.packs",
                    4 => "archive.expire.wal",
                    5 => "archive.expire.files",
                    _ => "archive.expire.records",
                });
            }
            rest = later;
        }
        Ok(removed)
    }

    /// What this process remembers must not outlive it.
    fn forget(&self, removed: &[Unneeded]) {
        for unneeded in removed {
            let parts: Vec<&str> = unneeded.name.split('/').collect();
            match parts[..] {
                ["files", _, sha1] => {
                    if let Ok(file) = sha1.parse() {
                        self.forget_file(file);
                    }
                }
                ["lineages", id, "lineage"] => {
                    if let Ok(id) = id.parse::<LineageId>() {
                        let mut lineages =
                            self.shared.lineages.lock().unwrap_or_else(PoisonError::into_inner);
                        lineages.remove(&id);
                    }
                }
                ["lineages", id, "wal", name] if name.ends_with(PARTIAL) => {
                    if let Ok(id) = id.parse::<LineageId>() {
                        let mut partials =
                            self.shared.partials.lock().unwrap_or_else(PoisonError::into_inner);
                        partials.remove(&id);
                    }
                }
                _ => {}
            }
        }
    }

    /// Takes away the folders of what is gone for good. Folders that others may
    /// put something into stay, empty or not: they know them to be there.
    fn remove_folders(&self, look: &Look, again: &Look, removed: &[Unneeded]) {
        if let Store::S3(_) = self.inner.store {
            return;
        }
        let mut folders = BTreeSet::new();
        for unneeded in removed {
            let parts: Vec<&str> = unneeded.name.split('/').collect();
            if let ["lineages", lineage, "backups", backup, _] = parts[..] {
                folders.insert(self.folder().join(format!("lineages/{lineage}/backups/{backup}")));
            }
        }
        for held in &look.history.lineages {
            let id = held.lineage.id;
            if !again.kept.lineages.contains(&id) {
                let folder = self.lineage_folder(id);
                folders.extend([folder.join("wal"), folder.join("backups"), folder]);
            }
        }
        // Deeper ones come later, and go first; one that is not empty stays.
        for folder in folders.iter().rev() {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

fn ids<T>(removed: &[Unneeded], kind: Kind, id: impl Fn(&[&str]) -> Option<T>) -> Vec<T> {
    let of_kind = removed.iter().filter(|unneeded| unneeded.kind == kind);
    of_kind.filter_map(|unneeded| id(&unneeded.name.split('/').collect::<Vec<_>>())).collect()
}

fn ranges(numbers: &BTreeSet<u64>) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    ranges
}

/// Removes several at once, as long as the journal's entry is believed.
fn remove_some(store: &Store, due: &[Unneeded], valid: Instant) -> Result<Vec<Unneeded>, FileError> {
    let next = AtomicUsize::new(0);
    let removed = Mutex::new(Vec::new());
    let work = || -> Result<(), FileError> {
        loop {
            let Some(unneeded) = due.get(next.fetch_add(1, Ordering::Relaxed)) else { return Ok(()) };
            if valid.elapsed() > VALID {
                return Ok(());
            }
            if let (Kind::Leftover, Store::Local(_)) = (unneeded.kind, store)
                && unneeded.path.exists()
                && disk::in_use(&unneeded.path)?
            {
                // Somebody is writing it after all.
                continue;
            }
            store.remove(&unneeded.path)?;
            fault::point("archive.expire.one");
            removed.lock().unwrap_or_else(PoisonError::into_inner).push(unneeded.clone());
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..store.width().min(due.len())).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })?;
    Ok(removed.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Two listings, one after the other: nothing may have gone, and what came must
/// be new.
fn agree(before: &[Stored], after: &[Stored], how: &Expire) -> Result<(), LeftAlone> {
    fn paths(objects: &[Stored]) -> HashSet<&Path> {
        objects.iter().map(|object| object.path.as_path()).collect()
    }
    let (first, second) = (paths(before), paths(after));
    let told = |path: &Path| Err(LeftAlone::Listing(path.display().to_string()));
    for object in before.iter().filter(|object| !second.contains(object.path.as_path())) {
        let name = object.path.display().to_string();
        // Superseded by a whole segment, or dropped with a backup that failed.
        if !name.contains(PARTIAL) && !name.contains("/backups/") {
            return told(&object.path);
        }
    }
    for object in after.iter().filter(|object| !first.contains(object.path.as_path())) {
        let here = Timestamp::now().duration_since(object.at);
        if here > jiff::SignedDuration::from_hours(2) && is_old(object.at, how) {
            return told(&object.path);
        }
    }
    Ok(())
}

impl Repository {
    /// Removes all that there is of a tenant whose key was destroyed, but for
    /// the mark that says so. Does nothing to one whose key was not. May be
    /// repeated. Blocks.
    pub fn clear_shredded(&self, tenant: TenantId) -> Result<Amount, FileError> {
        let archive = self.tenant(tenant);
        let (store, folder) = (&self.inner.store, archive.folder());
        let mut removed = Amount::default();
        if archive.shredded()?.is_none() {
            return Ok(removed);
        }
        let mark = folder.join("shredded.json");
        for object in store.objects(&folder)? {
            if object.path != mark {
                store.remove(&object.path)?;
                removed.add(object.size);
                fault::point("archive.shred.removing");
            }
        }
        if let Store::Local(_) = store {
            for name in disk::names(&folder)?.iter().filter(|name| *name != "shredded.json") {
                // Nothing but folders is left in it.
                let _ = std::fs::remove_dir_all(folder.join(name));
            }
        }
        Ok(removed)
    }

    /// Removes what interrupted probes and writers left in `tmp/`.
    pub(super) fn clear_tmp(&self, how: &Expire) -> Result<(), FileError> {
        let store = &self.inner.store;
        for object in store.objects(&self.root().join("tmp"))? {
            let in_use = match store {
                Store::Local(_) => object.path.exists() && disk::in_use(&object.path)?,
                Store::S3(_) => false,
            };
            if !in_use && is_old(object.at, how) {
                store.remove(&object.path)?;
            }
        }
        Ok(())
    }
}

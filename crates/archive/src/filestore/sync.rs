//! Bringing the repository up to date with a filestore.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::panic::resume_unwind;
use std::sync::PoisonError;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use daemon::fault;
use rustix::fs::Stat;

use super::{CopyFault, FileId, Filestore, FilestoreError, LIMIT, Seen, copy_hashed, hash};
use crate::Finding;
use crate::disk::failed;
use crate::repository::TenantArchive;
use crate::store::Upload;
use crate::tree::{Folder, Kind, TreeError};

/// A file that has not changed for this long is not being written any more.
const SETTLED: Duration = Duration::from_secs(60);

/// Files written between two syncs.
const BATCH: usize = 256;
const BATCH_BYTES: u64 = 64 << 20;

/// More findings than these are counted only.
const FINDINGS: usize = 1000;

#[derive(Debug, Default)]
pub struct SyncReport {
    /// Files that are durable in the repository now and were not before.
    pub kept: usize,
    pub already: usize,
    /// Files whose bytes are not yet what their names say, or that went away
    /// while they were read: they are looked at again the next time.
    pub unsettled: usize,
    /// The filestore's files whose bytes are what their names say.
    pub present: Vec<FileId>,
    /// The first thousand.
    pub findings: Vec<Finding>,
    /// Findings beyond those.
    pub more_findings: usize,
}

impl SyncReport {
    fn find(&mut self, finding: Finding) {
        match self.findings.len() < FINDINGS {
            true => self.findings.push(finding),
            false => self.more_findings += 1,
        }
    }
}

impl TenantArchive {
    /// Keeps every file of the filestore that the repository does not have yet.
    /// Files it has are known by name and not read, unless they changed since
    /// they were last looked at. A missing filestore is an empty one. Calls for
    /// one tenant take turns.
    pub async fn sync_filestore(&self, filestore: &Filestore) -> Result<SyncReport, FilestoreError> {
        let filestore = filestore.clone();
        self.blocking(move |archive| archive.scan(&filestore, SETTLED)).await
    }

    fn scan(&self, filestore: &Filestore, settled: Duration) -> Result<SyncReport, FilestoreError> {
        let _turn = self.shared.scanning.lock().unwrap_or_else(PoisonError::into_inner);
        let mut report = SyncReport::default();
        let root = match filestore.open() {
            Ok(root) => root,
            Err(error) if error.is_missing() => return Ok(report),
            Err(error) => return Err(error.into()),
        };
        let kept: HashSet<FileId> = self.with_kept(|kept| kept.clone())?;
        let seen = {
            let known = self.shared.files.lock().unwrap_or_else(PoisonError::into_inner);
            known.seen.clone()
        };
        let mut pass = Pass {
            archive: self,
            kept,
            seen,
            now: HashMap::new(),
            batch: Vec::new(),
            batch_bytes: 0,
            settled,
        };
        for entry in root.entries()? {
            let Some(name) = entry.name else { continue };
            let is_folder =
                name.len() == 2 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            // `checklist` and whatever else Odoo or a tenant puts there is not
            // part of its history.
            if !is_folder {
                continue;
            }
            match root.folder(&name) {
                Ok(folder) => pass.scan_folder(&folder, &name, &mut report)?,
                Err(error) if error.is_missing() => {}
                Err(_) => report.find(Finding::NotAFile(root.path().join(name))),
            }
        }
        pass.flush(&mut report)?;
        let seen = pass.now;
        report.present = seen.iter().filter(|(_, seen)| seen.good).map(|(file, _)| *file).collect();
        self.shared.files.lock().unwrap_or_else(PoisonError::into_inner).seen = seen;
        Ok(report)
    }
}

struct Pass<'a> {
    archive: &'a TenantArchive,
    kept: HashSet<FileId>,
    /// What the last pass saw, and what this one sees.
    seen: HashMap<FileId, Seen>,
    now: HashMap<FileId, Seen>,
    batch: Vec<(FileId, Upload)>,
    batch_bytes: u64,
    settled: Duration,
}

impl Pass<'_> {
    fn scan_folder(
        &mut self,
        folder: &Folder,
        prefix: &str,
        report: &mut SyncReport,
    ) -> Result<(), FilestoreError> {
        for entry in folder.entries()? {
            let Some(name) = entry.name.filter(|name| name.starts_with(prefix)) else { continue };
            let Ok(id) = name.parse::<FileId>() else { continue };
            if entry.kind != Kind::File {
                report.find(Finding::NotAFile(folder.path().join(name)));
                continue;
            }
            match self.look(folder, &name, id, report) {
                Err(FilestoreError::Tree(error)) if error.is_missing() => {}
                Err(FilestoreError::Tree(TreeError::NotAFile(path))) => report.find(Finding::NotAFile(path)),
                Err(FilestoreError::Tree(error)) if error.is_link() => {
                    report.find(Finding::NotAFile(folder.path().join(name)));
                }
                looked => looked?,
            }
            if self.batch.len() >= BATCH || self.batch_bytes >= BATCH_BYTES {
                self.flush(report)?;
            }
        }
        Ok(())
    }

    fn look(
        &mut self,
        folder: &Folder,
        name: &str,
        id: FileId,
        report: &mut SyncReport,
    ) -> Result<(), FilestoreError> {
        let (mut file, stat) = folder.file(name)?;
        let mut current = Seen::of(&stat);
        let before = self.seen.get(&id).copied().filter(|before| before.same_file(&current));
        let kept = self.kept.contains(&id);
        if let Some(before) = before {
            self.now.insert(id, before);
            match (before.good, kept) {
                (true, true) => report.already += 1,
                // Kept, and then gone from the repository: below.
                (true, false) => {}
                (false, _) => report.find(Finding::WrongHash { file: id, size: current.size }),
            }
            if !before.good || kept {
                return Ok(());
            }
        }
        if current.size > LIMIT {
            report.find(Finding::TooLarge { file: id, size: current.size });
            return Ok(());
        }

        let path = folder.path().join(name);
        let read_failed = |source| TreeError::Io { action: "read", path, source };
        if kept {
            // Read only if it changed while we watched.
            if !self.seen.contains_key(&id) {
                report.already += 1;
                self.now.insert(id, current);
                return Ok(());
            }
            match hash(&mut file, LIMIT) {
                Ok(found) if found == id => {
                    report.already += 1;
                    self.now.insert(id, current);
                }
                Ok(_) | Err(CopyFault::TooLarge) => self.wrong(id, &mut current, &stat, report),
                Err(CopyFault::Read(error) | CopyFault::Write(error)) => {
                    return Err(read_failed(error).into());
                }
            }
            return Ok(());
        }

        let object = self.archive.file_path(id);
        let mut sealer = self.archive.begin_object(&object)?;
        match copy_hashed(&mut file, &mut sealer, LIMIT) {
            Ok((_, found)) if found == id => {
                let sealed = sealer.finish().map_err(failed("write", &object))?;
                self.batch_bytes += sealed.stored;
                self.batch.push((id, sealed.inner));
                self.now.insert(id, current);
            }
            Ok(_) | Err(CopyFault::TooLarge) => self.wrong(id, &mut current, &stat, report),
            Err(CopyFault::Read(error)) => return Err(read_failed(error).into()),
            Err(CopyFault::Write(error)) => return Err(failed("write", &object)(error).into()),
        }
        Ok(())
    }

    /// A file that does not have its name's hash: still being written, or wrong.
    fn wrong(&mut self, id: FileId, current: &mut Seen, stat: &Stat, report: &mut SyncReport) {
        let changed = Duration::new(u64::try_from(stat.st_ctime).unwrap_or(0), 0);
        let age = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(changed);
        if age < self.settled {
            report.unsettled += 1;
            return;
        }
        current.good = false;
        self.now.insert(id, *current);
        report.find(Finding::WrongHash { file: id, size: current.size });
    }

    /// Makes the files of the batch durable, with one sync for all their bytes.
    fn flush(&mut self, report: &mut SyncReport) -> Result<(), FilestoreError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let store = &self.archive.inner.store;
        store.sync_all()?;
        fault::point("archive.sync.written");
        let mut batch = std::mem::take(&mut self.batch);
        let share = batch.len().div_ceil(store.width());
        thread::scope(|scope| {
            let shares = batch.chunks_mut(share).map(|share| {
                scope.spawn(|| share.iter_mut().try_for_each(|(_, upload)| upload.place().map(drop)))
            });
            let placing: Vec<_> = shares.collect();
            placing
                .into_iter()
                .try_for_each(|share| share.join().unwrap_or_else(|panic| resume_unwind(panic)))
        })?;
        fault::point("archive.sync.linked");
        let folders: BTreeSet<_> = batch.iter().filter_map(|(_, upload)| upload.path().parent()).collect();
        for folder in folders {
            store.settle(folder)?;
        }
        let ids: Vec<_> = batch.iter().map(|(id, _)| *id).collect();
        report.kept += ids.len();
        self.batch_bytes = 0;
        self.kept.extend(ids.iter().copied());
        self.archive.with_kept(|kept| kept.extend(ids))?;
        Ok(())
    }
}

impl Seen {
    fn of(stat: &Stat) -> Self {
        Self {
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: (stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or(0)),
            changed: (stat.st_ctime, i64::try_from(stat.st_ctime_nsec).unwrap_or(0)),
            inode: stat.st_ino,
            good: true,
        }
    }

    fn same_file(&self, other: &Self) -> bool {
        Self { good: other.good, ..*self } == *other
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use model::TenantId;

    use super::*;
    use crate::Repository;

    #[test]
    fn a_settled_file_with_a_wrong_hash_is_found_until_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let keys = crate::KeyFile::at(folder.path().join("key"));
        keys.make().unwrap();
        let repository = Repository::open_or_create(folder.path().join("repository"), keys).unwrap();
        let archive = repository.tenant(TenantId::new());
        let filestore = Filestore { data_dir: folder.path().to_owned(), database: "acme".into() };
        let id = FileId::of(b"meant");
        let name = id.to_string();
        let path = folder.path().join("filestore/acme").join(&name[..2]).join(&name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "wrong").unwrap();
        let scan = |settled| archive.scan(&filestore, settled).unwrap();
        let found = |report: &SyncReport| matches!(report.findings[..], [Finding::WrongHash { file, size: 5 }] if file == id);
        assert_eq!(scan(SETTLED).unsettled, 1);
        assert!(found(&scan(Duration::ZERO)));
        // Not read again, and still a finding.
        assert!(found(&scan(SETTLED)));
        fs::remove_file(&path).unwrap();
        fs::write(&path, "meant").unwrap();
        assert_eq!(scan(SETTLED).kept, 1);
        // One that goes bad after it was kept.
        fs::write(&path, "spoil").unwrap();
        assert!(found(&scan(Duration::ZERO)));
        assert_eq!(archive.read_object(&archive.file_path(id), 9).unwrap().unwrap(), b"meant");
        fs::write(&path, "meant").unwrap();
        assert_eq!(scan(Duration::ZERO).already, 1);
    }
}

//! Checking everything that a repository holds, by the repository alone.
//!
//! Reads only, so it is safe beside a worker. What comes in after a tenant was
//! listed is left to the next check.

mod backup;
mod chain;
mod files;
mod flaw;
mod layout;
mod wal;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use daemon::telemetry::causes;
use model::archive::{Backup, Lineage};
use model::{LineageId, TenantId};
use serde::Serialize;

use crate::disk::FileError;
use crate::key::KeyError;
use crate::repository::{Repository, TenantArchive};
use crate::store::Store;

pub use flaw::{Flaw, FlawKind};

/// How much is read at a time; a worker beside it needs the disk too.
const THREADS: usize = 2;

/// More flaws than these are counted only.
const FLAWS: usize = 10_000;

#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("tenant {0} is not in the repository")]
    UnknownTenant(TenantId),
    #[error(transparent)]
    File(#[from] FileError),
}

/// What was looked at, and what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    pub tenants: u64,
    /// Tenants whose keys were destroyed; nothing of them is looked at.
    pub shredded: u64,
    pub lineages: u64,
    /// WAL objects: segments, unfinished ones, histories, labels.
    pub wal: u64,
    pub backups: u64,
    /// Files in the backups.
    pub backup_files: u64,
    pub snapshots: u64,
    /// Objects of the filestores.
    pub files: u64,
    /// Bytes read, as they are stored.
    pub bytes: u64,
    /// By their paths; the first ten thousand.
    #[serde(rename = "findings")]
    pub flaws: Vec<Flaw>,
    /// Findings beyond those.
    #[serde(rename = "more_findings")]
    pub more_flaws: u64,
}

impl Verification {
    pub fn is_sound(&self) -> bool {
        self.flaws.is_empty()
    }
}

/// Something that one thread reads.
enum Job {
    Wal(TenantArchive, Box<Lineage>),
    Backup(TenantArchive, Box<(Lineage, Backup)>),
    /// The objects whose names begin with these two digits.
    Files(TenantArchive, String),
}

/// What all threads of a check share.
struct Check<'a> {
    root: &'a Path,
    store: &'a Store,
    jobs: Mutex<VecDeque<Job>>,
    found: Mutex<Verification>,
    done: AtomicU64,
    total: u64,
    progress: &'a (dyn Fn(u64, u64) + Sync),
}

impl Repository {
    /// Checks everything, or everything of one tenant: records, WAL objects and
    /// the records in them, chains, backups, filestore objects, and that each
    /// snapshot can be planned. Blocks. `progress` gets the stored bytes that
    /// were read and those of the whole, from several threads.
    pub fn verify(
        &self,
        tenant: Option<TenantId>,
        progress: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<Verification, VerifyError> {
        let all = self.tenants()?;
        let tenants = match tenant {
            Some(tenant) if !all.contains(&tenant) => return Err(VerifyError::UnknownTenant(tenant)),
            Some(tenant) => vec![tenant],
            None => all,
        };
        let mut check = Check {
            root: self.root(),
            store: &self.inner.store,
            jobs: Mutex::default(),
            found: Mutex::default(),
            done: AtomicU64::new(0),
            total: 0,
            progress,
        };
        if tenant.is_none() {
            check.look_at_root()?;
        }
        for id in tenants {
            check.begin(&self.tenant(id))?;
        }
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| check.work());
            }
        });
        let mut found = check.found.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.bytes = check.done.into_inner();
        found.flaws.sort();
        found.flaws.dedup();
        Ok(found)
    }
}

impl Check<'_> {
    /// Checks what a tenant's listing tells, and notes what is to be read.
    fn begin(&mut self, archive: &TenantArchive) -> Result<(), FileError> {
        if !self.has_key(archive)? {
            return Ok(());
        }
        let history = self.look_at_chains(archive)?;
        self.look_at_layout(archive, &history)?;
        self.count(|found| {
            found.tenants += 1;
            found.lineages += history.lineages.len() as u64;
            found.snapshots += history.snapshots.len() as u64;
        });
        let mut jobs = Vec::new();
        for held in &history.lineages {
            let lineage = &held.lineage;
            self.total += stored(archive, &archive.wal_folder(lineage.id))?;
            jobs.push(Job::Wal(archive.clone(), Box::new(lineage.clone())));
            for backup in history.backups.iter().filter(|backup| backup.lineage == lineage.id) {
                self.total += backup.stored;
                let both = Box::new((lineage.clone(), backup.clone()));
                jobs.push(Job::Backup(archive.clone(), both));
            }
        }
        for prefix in self.file_folders(archive)? {
            self.total += stored(archive, &archive.files_folder().join(&prefix))?;
            jobs.push(Job::Files(archive.clone(), prefix));
        }
        self.jobs.get_mut().unwrap_or_else(PoisonError::into_inner).extend(jobs);
        Ok(())
    }

    /// Without its key nothing of a tenant can be read, and all is one finding;
    /// or none, if the key was destroyed.
    fn has_key(&self, archive: &TenantArchive) -> Result<bool, FileError> {
        let Err(error) = archive.key() else { return Ok(true) };
        let path = archive.key_path();
        match error.key_error() {
            None => return Err(error),
            Some(KeyError::Shredded) => self.count(|found| found.shredded += 1),
            // A start that was broken off.
            Some(KeyError::Missing) if self.store.names(&archive.folder())?.is_empty() => {}
            Some(KeyError::Missing) => self.find(FlawKind::MissingKey, &path, "is not there"),
            Some(_) => self.find(FlawKind::LockedKey, &path, causes(&error)),
        }
        Ok(false)
    }

    fn work(&self) {
        loop {
            let job = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            match job {
                None => return,
                Some(Job::Wal(archive, lineage)) => self.check_wal(&archive, &lineage),
                Some(Job::Backup(archive, both)) => self.check_backup(&archive, &both.0, &both.1),
                Some(Job::Files(archive, prefix)) => self.check_files(&archive, &prefix),
            }
        }
    }

    fn count(&self, add: impl FnOnce(&mut Verification)) {
        add(&mut self.found.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn read_bytes(&self, count: u64) {
        let done = self.done.fetch_add(count, Ordering::Relaxed) + count;
        (self.progress)(done, self.total.max(done));
    }

    fn find(&self, kind: FlawKind, path: &Path, what: impl Into<String>) {
        let path = path.strip_prefix(self.root).unwrap_or(path).to_owned();
        let flaw = Flaw { kind, path, what: what.into() };
        self.count(|found| match found.flaws.len() < FLAWS {
            true => found.flaws.push(flaw),
            false => found.more_flaws += 1,
        });
    }

    /// A file that should be readable and is not.
    fn unreadable(&self, error: &FileError) {
        self.find(FlawKind::Unreadable, &error.path, causes(error));
    }
}

/// Bytes of the objects in a folder.
fn stored(archive: &TenantArchive, folder: &Path) -> Result<u64, FileError> {
    Ok(archive.inner.store.walk(folder)?.iter().map(|(_, size)| size).sum())
}

/// A lineage as findings name it.
fn named(id: LineageId) -> String {
    format!("lineage {id}")
}

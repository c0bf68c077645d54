//! Which files there were when: what tells that a file is not needed any more.
//!
//! A list is written with each backup and each snapshot. Files that come back
//! between two lists, and that the repository has already, are noted in lists of
//! their own, so that every file of every moment is in a list or was stored
//! since the one before.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use daemon::fault;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{FileId, FilestoreError};
use crate::record::RecordError;
use crate::repository::TenantArchive;

/// After so long the newest list is looked for again: another worker may have
/// written one. Shorter than the shortest grace.
const KNOWN: Duration = Duration::from_secs(10 * 60);

/// `lists/<list>`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileList {
    /// The backup's or snapshot's id, or one of its own.
    pub id: Uuid,
    pub at: Timestamp,
    /// Whether it has every file of its time.
    pub whole: bool,
    pub files: Vec<FileId>,
}

/// The files of the newest whole list and of what was noted since; None: there
/// is no list yet.
#[derive(Default)]
pub(super) struct Named(Option<(Option<Arc<HashSet<FileId>>>, Instant)>);

impl TenantArchive {
    pub(crate) fn list_path(&self, id: Uuid) -> PathBuf {
        self.folder().join("lists").join(id.to_string())
    }

    /// Records which files a backup or a snapshot needs, so that they are kept
    /// as long as it is. Before its own record is written. Returns those that
    /// the repository does not have: sync the filestore again, and call it again.
    pub async fn list_files(&self, id: Uuid, files: Vec<FileId>) -> Result<Vec<FileId>, FilestoreError> {
        self.blocking(move |archive| archive.write_list(id, files, true)).await
    }

    fn write_list(
        &self,
        id: Uuid,
        mut files: Vec<FileId>,
        whole: bool,
    ) -> Result<Vec<FileId>, FilestoreError> {
        files.sort_unstable();
        files.dedup();
        let before = self.named()?;
        let list = FileList { id, at: Timestamp::now(), whole, files };
        self.replace_record(&self.list_path(id), &list)?;
        fault::point("archive.list.written");
        let files = &list.files;
        let new = |file: &&FileId| before.as_ref().is_some_and(|before| !before.contains(file));
        let new: Vec<FileId> = files.iter().filter(new).copied().collect();
        let missing = self.not_to_be_counted_on(&new)?;
        let mut known = self.shared.files.lock().unwrap_or_else(PoisonError::into_inner);
        let named = match (whole, before) {
            (true, _) => Some(Arc::new(files.iter().copied().collect())),
            (false, Some(mut before)) => {
                Arc::make_mut(&mut before).extend(files.iter().copied());
                Some(before)
            }
            (false, None) => None,
        };
        known.named.0 = Some((named, Instant::now()));
        Ok(missing)
    }

    /// Which files are not in the repository, or will not be, of those that the
    /// list before did not have. As long as there is no list, nothing is ever
    /// removed, and files of the list before were safe all the while.
    fn not_to_be_counted_on(&self, files: &[FileId]) -> Result<Vec<FileId>, FilestoreError> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        // What others have removed since the files were listed is in the journal.
        let newest = self.journal_entries()?.last().map(|(id, _)| *id);
        {
            let mut known = self.shared.files.lock().unwrap_or_else(PoisonError::into_inner);
            if known.listed_at != newest {
                known.kept = None;
                known.listed_at = newest;
            }
        }
        // Whoever removes looks at the lists once more after having said what
        // goes, and what was said before this is found here; nothing goes that
        // was not condemned long before.
        let condemned = self.read_condemned()?;
        let name = |file: &FileId| self.file_name(*file);
        let risky: Vec<FileId> =
            files.iter().filter(|file| condemned.contains_key(&name(file))).copied().collect();
        let names: Vec<String> = risky.iter().map(name).collect();
        if !names.is_empty() && self.is_being_removed(&names)? {
            return Err(FilestoreError::BeingRemoved);
        }
        for file in risky {
            if !self.inner.store.exists(&self.file_path(file))? {
                self.with_kept(|kept| kept.remove(&file))?;
            }
        }
        Ok(self.with_kept(|kept| files.iter().filter(|file| !kept.contains(*file)).copied().collect())?)
    }

    /// Whether a file that the repository is known to have can be counted on:
    /// notes that it is there again if the newest list does not have it.
    pub(super) fn count_on(&self, file: FileId) -> Result<bool, FilestoreError> {
        match self.named()? {
            Some(named) if !named.contains(&file) => {}
            _ => return Ok(true),
        }
        Ok(self.write_list(Uuid::now_v7(), vec![file], false)?.is_empty())
    }

    fn named(&self) -> Result<Option<Arc<HashSet<FileId>>>, RecordError> {
        {
            let known = self.shared.files.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((named, at)) = &known.named.0
                && at.elapsed() < KNOWN
            {
                return Ok(named.clone());
            }
        }
        let folder = self.folder().join("lists");
        let (mut files, mut found) = (HashSet::new(), false);
        // Ids sort by the time of their making: the newest first, back to one
        // that is whole.
        for name in self.inner.store.names(&folder)?.iter().rev() {
            let Some(list) = self.read_record::<FileList>(&folder.join(name))? else { continue };
            files.extend(list.files);
            found = list.whole;
            if found {
                break;
            }
        }
        let named = found.then(|| Arc::new(files));
        let mut known = self.shared.files.lock().unwrap_or_else(PoisonError::into_inner);
        known.named.0 = Some((named.clone(), Instant::now()));
        Ok(named)
    }

    pub(crate) fn read_lists(&self) -> Result<Vec<FileList>, RecordError> {
        let folder = self.folder().join("lists");
        let mut lists = Vec::new();
        for name in self.inner.store.names(&folder)? {
            let path = folder.join(&name);
            match self.read_record::<FileList>(&path)? {
                Some(list) if list.id.to_string() == name => lists.push(list),
                Some(_) => return Err(RecordError::Misplaced(path)),
                // Removed since it was listed.
                None => {}
            }
        }
        Ok(lists)
    }

    /// The file's path below the tenant's folder.
    pub(crate) fn file_name(&self, file: FileId) -> String {
        let path = self.file_path(file);
        path.strip_prefix(self.folder()).unwrap_or(&path).display().to_string()
    }

    pub(crate) fn forget_file(&self, file: FileId) {
        let mut known = self.shared.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = &mut known.kept {
            kept.remove(&file);
        }
    }
}

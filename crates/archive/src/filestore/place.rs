//! Giving files back.

use std::collections::VecDeque;
use std::io;
use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::thread;

use model::program::Identity;

use super::{CopyFault, FileId, Filestore, FilestoreError, LIMIT, copy_hashed};
use crate::disk::{self, FileError, failed};
use crate::object::is_damage;
use crate::pace::give_way;
use crate::repository::TenantArchive;
use crate::tree::{Folder, TreeError};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placed {
    /// Files that are in the filestore now with the right bytes.
    pub count: usize,
    /// Files that the repository does not have.
    pub missing: Vec<FileId>,
    /// Files whose objects are damaged, or whose bytes are not what their names
    /// say.
    pub damaged: Vec<FileId>,
}

enum Outcome {
    Placed,
    Missing,
    Damaged,
}

impl TenantArchive {
    /// Puts files into a filestore, made if it is missing, each checked, as
    /// copies of their own. Durable on return.
    pub async fn place_files(
        &self,
        mut files: Vec<FileId>,
        filestore: &Filestore,
        identity: Option<Identity>,
    ) -> Result<Placed, FilestoreError> {
        let filestore = filestore.clone();
        // A name twice would be written by two at once.
        files.sort_unstable();
        files.dedup();
        self.blocking(move |archive| {
            let root = Folder::open(&filestore.data_dir)?
                .make_folder("filestore", identity)?
                .make_folder(&filestore.database, identity)?;
            let left = Mutex::new(VecDeque::from(files));
            let next = || left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let placed = Mutex::new(Placed::default());
            let work = || -> Result<(), FilestoreError> {
                give_way();
                while let Some(id) = next() {
                    let outcome = archive.place_file(id, &root, identity);
                    let mut placed = placed.lock().unwrap_or_else(PoisonError::into_inner);
                    match outcome {
                        Ok(Outcome::Placed) => placed.count += 1,
                        Ok(Outcome::Missing) => placed.missing.push(id),
                        Ok(Outcome::Damaged) => placed.damaged.push(id),
                        Err(error) => {
                            left.lock().unwrap_or_else(PoisonError::into_inner).clear();
                            return Err(error);
                        }
                    }
                }
                Ok(())
            };
            thread::scope(|scope| {
                let workers: Vec<_> = (0..archive.inner.store.width()).map(|_| scope.spawn(work)).collect();
                workers
                    .into_iter()
                    .try_for_each(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)))
            })?;
            disk::sync_file_system(&filestore.data_dir)?;
            let mut placed = placed.into_inner().unwrap_or_else(PoisonError::into_inner);
            placed.missing.sort_unstable();
            placed.damaged.sort_unstable();
            Ok(placed)
        })
        .await
    }

    fn place_file(
        &self,
        id: FileId,
        root: &Folder,
        identity: Option<Identity>,
    ) -> Result<Outcome, FilestoreError> {
        let path = self.file_path(id);
        let mut source = match self.open_object(&path) {
            Ok(Some(source)) => source,
            Ok(None) => return Ok(Outcome::Missing),
            Err(error) if is_damage(&error) => return Ok(Outcome::Damaged),
            Err(error) => return Err(error.into()),
        };
        let name = id.to_string();
        let folder = root.make_folder(&name[..2], identity)?;
        // A file that an earlier attempt left may be cut short.
        folder.remove_file(&name)?;
        let mut dest = folder.create_file(&name, identity)?;
        let error = match copy_hashed(&mut source, &mut dest, LIMIT) {
            Ok((_, found)) if found == id => return Ok(Outcome::Placed),
            Ok(_) | Err(CopyFault::TooLarge) => None,
            Err(CopyFault::Read(error)) if error.kind() == io::ErrorKind::InvalidData => None,
            Err(CopyFault::Read(error)) => Some(FilestoreError::from(failed("read", &path)(error))),
            Err(CopyFault::Write(source)) => {
                Some(TreeError::Io { action: "write", path: folder.path().join(&name), source }.into())
            }
        };
        match error {
            Some(error) => Err(error),
            None => {
                folder.remove_file(&name)?;
                Ok(Outcome::Damaged)
            }
        }
    }

    /// A file's bytes; None if the repository does not have it.
    pub async fn read_file(&self, id: FileId) -> Result<Option<Vec<u8>>, FileError> {
        self.blocking(move |archive| archive.read_object(&archive.file_path(id), LIMIT as usize)).await
    }
}

//! Giving files back.

use std::fs::File;
use std::io;

use model::program::Identity;

use super::{CopyFault, FileId, Filestore, FilestoreError, LIMIT, copy_hashed, hash};
use crate::disk::{self, failed};
use crate::repository::TenantArchive;
use crate::tree::{Folder, TreeError};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placed {
    /// Files that are in the filestore now with the right bytes.
    pub count: usize,
    /// Files that the repository does not have.
    pub missing: Vec<FileId>,
    /// Files whose bytes in the repository are not what their names say.
    pub damaged: Vec<FileId>,
}

impl TenantArchive {
    /// Puts files into a filestore, made if it is missing, each checked, as
    /// copies of their own: reflinks where the file system has them. Durable on
    /// return.
    pub async fn place_files(
        &self,
        files: Vec<FileId>,
        filestore: &Filestore,
        identity: Option<Identity>,
    ) -> Result<Placed, FilestoreError> {
        let filestore = filestore.clone();
        self.blocking(move |archive| {
            let mut placed = Placed::default();
            let root = Folder::open(&filestore.data_dir)?
                .make_folder("filestore", identity)?
                .make_folder(&filestore.database, identity)?;
            for file in files {
                archive.place_file(file, &root, identity, &mut placed)?;
            }
            disk::sync_file_system(&filestore.data_dir)?;
            Ok(placed)
        })
        .await
    }

    fn place_file(
        &self,
        id: FileId,
        root: &Folder,
        identity: Option<Identity>,
        placed: &mut Placed,
    ) -> Result<(), FilestoreError> {
        let source_path = self.file_path(id);
        let source = match File::open(&source_path) {
            Ok(source) => source,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                placed.missing.push(id);
                return Ok(());
            }
            Err(error) => return Err(failed("open", &source_path)(error).into()),
        };
        let name = id.to_string();
        let folder = root.make_folder(&name[..2], identity)?;
        // A file that an earlier attempt left may be cut short.
        folder.remove_file(&name)?;
        let mut dest = folder.create_file(&name, identity)?;
        let copied = match rustix::fs::ioctl_ficlone(&dest, &source) {
            Ok(()) => hash(&dest, LIMIT),
            Err(_) => copy_hashed(&mut &source, &mut dest, LIMIT).map(|(_, found)| found),
        };
        match copied {
            Ok(found) if found == id => {
                placed.count += 1;
                Ok(())
            }
            Ok(_) | Err(CopyFault::TooLarge) => {
                folder.remove_file(&name)?;
                placed.damaged.push(id);
                Ok(())
            }
            Err(CopyFault::Read(error)) => Err(failed("read", &source_path)(error).into()),
            Err(CopyFault::Write(source)) => {
                Err(TreeError::Io { action: "write", path: folder.path().join(&name), source }.into())
            }
        }
    }
}

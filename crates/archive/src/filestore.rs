//! Filestore objects: Odoo's attachments, named by their SHA-1.

mod id;
mod keep;
mod list;
mod place;
mod sync;

use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Write};
use std::path::PathBuf;

use sha1::{Digest, Sha1};

pub use id::{FileId, InvalidFileId};
pub use keep::FilestoreError;
pub(crate) use list::FileList;
pub use place::Placed;
pub use sync::SyncReport;

use crate::disk::FileError;
use crate::repository::TenantArchive;
use crate::tree::{Folder, TreeError};

/// The largest file that is kept. Odoo itself holds uploads in memory.
pub(crate) const LIMIT: u64 = 4 << 30;

const CHUNK: usize = 256 * 1024;

/// A tenant's filestore: `<data_dir>/filestore/<database>`, which holds
/// `<aa>/<sha1>`. The path of `data_dir` is trusted; what is below belongs to
/// the tenant's Odoo, which may put links there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filestore {
    /// Odoo's `data_dir`.
    pub data_dir: PathBuf,
    pub database: String,
}

impl Filestore {
    fn open(&self) -> Result<Folder, TreeError> {
        Folder::open(&self.data_dir)?.folder("filestore")?.folder(&self.database)
    }
}

/// What is known of a tenant's files without looking.
#[derive(Default)]
pub(crate) struct Known {
    /// The files that the repository has; None until it was listed.
    kept: Option<HashSet<FileId>>,
    /// What stood in the filestore when it was last looked at.
    seen: HashMap<FileId, Seen>,
    named: list::Named,
    /// The newest entry of the journal when `kept` was listed, as far as known.
    listed_at: Option<uuid::Uuid>,
}

/// A file's size, its last changes and its inode: as long as they are the same
/// so are its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    inode: u64,
    /// Whether the bytes are those that the name says.
    good: bool,
}

impl TenantArchive {
    pub(crate) fn files_folder(&self) -> PathBuf {
        self.folder().join("files")
    }

    pub(crate) fn file_path(&self, file: FileId) -> PathBuf {
        let name = file.to_string();
        self.files_folder().join(&name[..2]).join(name)
    }

    /// Runs `use_it` with the files that the repository has.
    fn with_kept<T>(&self, use_it: impl FnOnce(&mut HashSet<FileId>) -> T) -> Result<T, FileError> {
        let mut known = self.shared.files.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.kept.is_none() {
            known.kept = Some(self.list_kept()?);
        }
        Ok(use_it(known.kept.get_or_insert_default()))
    }

    fn list_kept(&self) -> Result<HashSet<FileId>, FileError> {
        let mut kept = HashSet::new();
        for (path, _) in self.inner.store.walk(&self.files_folder())? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if let Ok(id) = name.parse::<FileId>()
                && self.file_path(id) == path
            {
                kept.insert(id);
            }
        }
        Ok(kept)
    }
}

/// Copies at most `limit` bytes and hashes them.
fn copy_hashed(from: &mut impl Read, to: &mut impl Write, limit: u64) -> Result<(u64, FileId), CopyFault> {
    let mut hash = Sha1::new();
    let mut buffer = vec![0; CHUNK];
    let mut count = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map_err(CopyFault::Read)?,
        };
        count += read as u64;
        if count > limit {
            return Err(CopyFault::TooLarge);
        }
        hash.update(&buffer[..read]);
        to.write_all(&buffer[..read]).map_err(CopyFault::Write)?;
    }
    Ok((count, FileId(hash.finalize().into())))
}

pub(crate) enum CopyFault {
    Read(io::Error),
    Write(io::Error),
    TooLarge,
}

/// The SHA-1 of a file's bytes.
pub(crate) fn hash(file: &mut impl Read, limit: u64) -> Result<FileId, CopyFault> {
    copy_hashed(file, &mut io::sink(), limit).map(|(_, id)| id)
}

//! Writing so that what can be seen is whole, and what is acknowledged lasts.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::FlockOperation;
use uuid::Uuid;

/// What could not be done with which file.
#[derive(Debug, thiserror::Error)]
#[error("{action} {}", path.display())]
pub struct FileError {
    pub action: &'static str,
    pub path: PathBuf,
    pub source: io::Error,
}

impl FileError {
    /// Whether the file system, or a quota on it, was full.
    pub fn no_room(&self) -> bool {
        is_no_room(&self.source)
    }
}

pub(crate) fn is_no_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// For `map_err`: the error of doing `action` to `path`.
pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError { action, path, source }
}

/// A file under a name of its own in `tmp/`, locked so that a sweep leaves it
/// alone. Dropped without having been placed, it is removed.
pub(crate) struct Temporary {
    pub file: File,
    path: PathBuf,
}

/// Whether a name was free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linked {
    New,
    Taken,
}

impl Temporary {
    pub fn create(folder: &Path) -> Result<Self, FileError> {
        let path = folder.join(Uuid::now_v7().to_string());
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let file = options.open(&path).map_err(failed("create", &path))?;
        let temporary = Self { file, path };
        lock(&temporary.file).map_err(failed("lock", &temporary.path))?;
        Ok(temporary)
    }

    pub fn sync(&self) -> Result<(), FileError> {
        self.file.sync_all().map_err(failed("sync", &self.path))
    }

    /// Gives the file its name, unless that is taken. The name is durable only
    /// after [`sync_folder`].
    pub fn link(&self, to: &Path) -> Result<Linked, FileError> {
        match fs::hard_link(&self.path, to) {
            Ok(()) => Ok(Linked::New),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Linked::Taken),
            Err(error) => Err(failed("link", to)(error)),
        }
    }

    /// Puts the file in the place of what may be there, durably.
    pub fn replace(self, to: &Path) -> Result<(), FileError> {
        self.sync()?;
        fs::rename(&self.path, to).map_err(failed("rename into place", to))?;
        sync_parent(to)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Gone after `replace`; left to the next sweep if it cannot be removed.
        let _ = fs::remove_file(&self.path);
    }
}

fn lock(file: &File) -> io::Result<()> {
    Ok(rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)?)
}

/// Whether some process is still writing the file.
pub(crate) fn in_use(path: &Path) -> Result<bool, FileError> {
    let file = File::open(path).map_err(failed("open", path))?;
    match lock(&file) {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(failed("lock", path)(error)),
    }
}

/// Makes the folder's entries durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), FileError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(failed("sync folder", path))
}

pub(crate) fn sync_parent(path: &Path) -> Result<(), FileError> {
    match path.parent() {
        Some(parent) => sync_folder(parent),
        None => Ok(()),
    }
}

/// Makes everything on `path`'s file system durable.
pub(crate) fn sync_file_system(path: &Path) -> Result<(), FileError> {
    File::open(path)
        .and_then(|folder| rustix::fs::syncfs(&folder).map_err(io::Error::from))
        .map_err(failed("sync the file system of", path))
}

pub(crate) fn remove_file(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// The names in a folder; none if it is missing.
pub(crate) fn names(path: &Path) -> Result<Vec<String>, FileError> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed("list", path))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed("list", path))?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

/// A file of at most `limit` bytes; None if it is missing.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FileError> {
    use std::io::Read;
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed("open", path))?,
    };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed("read", path))?;
    if bytes.len() as u64 > limit {
        return Err(failed("read", path)(io::ErrorKind::FileTooLarge.into()));
    }
    Ok(Some(bytes))
}

/// The folders of a repository that this process knows to be durable.
#[derive(Default)]
pub(crate) struct Folders(Mutex<HashSet<PathBuf>>);

impl Folders {
    /// Makes `path` and what is missing above it, down from `root`, durably. A
    /// folder that is there may have been made just before a crash: the first
    /// time it is met, its entry is synced as well.
    pub fn ensure(&self, root: &Path, path: &Path) -> Result<(), FileError> {
        if path == root || self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(path) {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.ensure(root, parent)?;
        }
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed("create folder", path)(error));
            }
            _ => {}
        }
        sync_parent(path)?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
        Ok(())
    }
}

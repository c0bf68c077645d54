//! Files that survive a crash whole or not at all, and whose they are.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use model::program::Identity;

/// What could not be done with which file.
#[derive(Debug, thiserror::Error)]
#[error("{action} {}", path.display())]
pub struct FileError {
    pub action: &'static str,
    pub path: PathBuf,
    pub source: io::Error,
}

/// For `map_err`: the error of doing `action` to `path`.
pub(crate) fn fault(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError { action, path, source }
}

/// `path` with `suffix` appended to its last component: where a thing is made
/// before it is renamed to its place.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// Puts a file of mode 0600 in its place in one step. The folder's entry is
/// durable only after [`sync_folder`].
pub(crate) fn place(path: &Path, bytes: &[u8], owner: Option<Identity>) -> Result<(), FileError> {
    let new = beside(path, ".new");
    remove_file(&new)?;
    // O_EXCL: in a folder that belongs to another user, a link is not followed.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .map_err(fault("create", &new))?;
    let written = file.write_all(bytes).and_then(|()| match owner {
        Some(Identity { uid, gid }) => std::os::unix::fs::fchown(&file, Some(uid), Some(gid)),
        None => Ok(()),
    });
    written.and_then(|()| file.sync_all()).map_err(fault("write", &new))?;
    fs::rename(&new, path).map_err(fault("rename into place", path))
}

/// Makes the folder if it is missing, and gives it the mode and owner.
pub(crate) fn folder(path: &Path, mode: u32, uid: Option<u32>, gid: Option<u32>) -> Result<(), FileError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(fault("create folder", path)(error));
        }
        _ => {}
    }
    lchown(path, uid, gid).map_err(fault("change the owner of", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(fault("change the mode of", path))
}

pub(crate) fn remove_file(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fault("remove", path)(error)),
        _ => Ok(()),
    }
}

pub(crate) fn remove_tree(path: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fault("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Makes the folder's entries durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), FileError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(fault("sync folder", path))
}

/// Makes everything on `path`'s file system durable: for a tree of thousands
/// of files this is far quicker than to sync each.
pub(crate) fn sync_file_system(path: &Path) -> Result<(), FileError> {
    File::open(path)
        .and_then(|folder| rustix::fs::syncfs(&folder).map_err(io::Error::from))
        .map_err(fault("sync the file system of", path))
}

/// Renames a finished tree to its place and makes that durable.
pub(crate) fn settle(from: &Path, to: &Path) -> Result<(), FileError> {
    sync_file_system(from)?;
    fs::rename(from, to).map_err(fault("rename into place", to))?;
    match to.parent() {
        Some(parent) => sync_folder(parent),
        None => Ok(()),
    }
}

/// Gives a whole tree to `owner`. Links are changed themselves, not followed.
pub(crate) fn give_tree(path: &Path, owner: Identity) -> Result<(), FileError> {
    let metadata = fs::symlink_metadata(path).map_err(fault("look at", path))?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path).map_err(fault("list", path))? {
            give_tree(&entry.map_err(fault("list", path))?.path(), owner)?;
        }
    }
    lchown(path, Some(owner.uid), Some(owner.gid)).map_err(fault("change the owner of", path))
}

/// True if something, a broken link included, stands at `path`.
pub(crate) fn exists(path: &Path) -> Result<bool, FileError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(fault("look at", path)(error)),
    }
}

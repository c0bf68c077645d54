//! A folder of this machine. See [`crate::disk`] for how writing is made to last.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::{Content, Stored};
use crate::disk::{self, FileError, Folders, Linked, Temporary, failed};

#[derive(Clone)]
pub(crate) struct Local(Arc<Inner>);

struct Inner {
    root: PathBuf,
    tmp: PathBuf,
    folders: Folders,
}

impl Local {
    pub fn new(root: PathBuf) -> Self {
        Self(Arc::new(Inner { tmp: root.join("tmp"), folders: Folders::default(), root }))
    }

    pub fn root(&self) -> &Path {
        &self.0.root
    }

    pub fn tmp(&self) -> &Path {
        &self.0.tmp
    }

    pub fn ensure(&self, folder: &Path) -> Result<(), FileError> {
        self.0.folders.ensure(&self.0.root, folder)
    }

    pub fn ensure_parent(&self, path: &Path) -> Result<(), FileError> {
        path.parent().map_or(Ok(()), |folder| self.ensure(folder))
    }

    pub fn begin(&self, _path: &Path) -> Result<Temporary, FileError> {
        Temporary::create(&self.0.tmp)
    }

    pub fn place(&self, temporary: &Temporary, path: &Path) -> Result<Linked, FileError> {
        self.ensure_parent(path)?;
        temporary.link(path)
    }

    pub fn size(&self, path: &Path) -> Result<Option<u64>, FileError> {
        match fs::metadata(path) {
            Ok(data) if data.is_file() => Ok(Some(data.len())),
            Ok(_) => Ok(None),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(failed("look at", path)(error)),
        }
    }

    pub fn open(&self, path: &Path) -> Result<Option<Content>, FileError> {
        match File::open(path) {
            Ok(file) => Ok(Some(Box::new(BufReader::with_capacity(256 * 1024, file)))),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(failed("open", path)(error)),
        }
    }

    pub fn walk(&self, folder: &Path) -> Result<Vec<(PathBuf, u64)>, FileError> {
        let objects = self.objects(folder)?;
        Ok(objects.into_iter().map(|object| (object.path, object.size)).collect())
    }

    pub fn objects(&self, folder: &Path) -> Result<Vec<Stored>, FileError> {
        let mut found = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for name in disk::names(&folder)? {
                let path = folder.join(name);
                match fs::symlink_metadata(&path) {
                    Ok(data) if data.is_dir() => folders.push(path),
                    Ok(data) => {
                        // Before all time if it cannot be told: nothing is young by it.
                        let at = Timestamp::new(data.mtime(), 0).unwrap_or(Timestamp::MIN);
                        found.push(Stored { path, size: data.len(), at });
                    }
                    Err(error) if is_missing(&error) => {}
                    Err(error) => return Err(failed("look at", &path)(error)),
                }
            }
        }
        found.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(found)
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

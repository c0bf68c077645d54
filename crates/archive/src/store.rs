//! Where a repository's objects are: a folder of this machine, or a bucket.
//!
//! Both keep the same promises. An object that can be seen is whole. One that
//! was placed is durable once [`Store::settle`] has returned for its folder.
//! A name that is taken is never given to another object, except by
//! [`Upload::replace`].
//!
//! Objects are told by their paths, which begin with the repository's root; in
//! a bucket that is a way of writing, and what follows is the object's key.

mod local;
mod location;
mod s3;

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::disk::{self, FileError, Linked, Temporary, failed};

pub use location::{InvalidLocation, Location, S3Location};

pub(crate) use local::Local;
pub(crate) use s3::S3;

#[derive(Clone)]
pub(crate) enum Store {
    Local(Local),
    S3(S3),
}

/// An object as a listing tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub path: PathBuf,
    pub size: u64,
    /// When it was written, by the store's clock.
    pub at: Timestamp,
}

/// Reads an object from its beginning to its end.
pub(crate) type Content = Box<dyn Read + Send>;

impl Store {
    /// The names right below a folder, sorted; none if it is missing.
    pub fn names(&self, folder: &Path) -> Result<Vec<String>, FileError> {
        match self {
            Self::Local(_) => disk::names(folder),
            Self::S3(s3) => s3.names(folder),
        }
    }

    /// The objects below a folder, at any depth, with their sizes.
    pub fn walk(&self, folder: &Path) -> Result<Vec<(PathBuf, u64)>, FileError> {
        match self {
            Self::Local(local) => local.walk(folder),
            Self::S3(s3) => s3.walk(folder),
        }
    }

    /// The objects below a folder, at any depth, by their paths.
    pub fn objects(&self, folder: &Path) -> Result<Vec<Stored>, FileError> {
        match self {
            Self::Local(local) => local.objects(folder),
            Self::S3(s3) => s3.objects(folder),
        }
    }

    /// An object's size; None if it is missing.
    pub fn size(&self, path: &Path) -> Result<Option<u64>, FileError> {
        match self {
            Self::Local(local) => local.size(path),
            Self::S3(s3) => s3.size(path),
        }
    }

    pub fn exists(&self, path: &Path) -> Result<bool, FileError> {
        Ok(self.size(path)?.is_some())
    }

    /// An object of at most `limit` bytes; None if it is missing.
    pub fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FileError> {
        match self {
            Self::Local(_) => disk::read(path, limit),
            Self::S3(s3) => s3.read(path, limit),
        }
    }

    /// An object of any size; None if it is missing.
    pub fn open(&self, path: &Path) -> Result<Option<Content>, FileError> {
        match self {
            Self::Local(local) => local.open(path),
            Self::S3(s3) => s3.open(path),
        }
    }

    /// Begins an object.
    pub fn begin(&self, path: &Path) -> Result<Upload, FileError> {
        let kind = match self {
            Self::Local(local) => Kind::Local(local.begin(path)?, local.clone()),
            Self::S3(s3) => Kind::S3(Box::new(s3.begin(path)?)),
        };
        Ok(Upload { path: path.to_owned(), kind })
    }

    /// Writes an object unless its name is taken; durable on return.
    pub fn create(&self, path: &Path, bytes: &[u8]) -> Result<Linked, FileError> {
        let mut upload = self.begin(path)?;
        upload.write_all(bytes).map_err(failed("write", path))?;
        upload.sync()?;
        let linked = upload.place()?;
        self.settle_parent(path)?;
        Ok(linked)
    }

    /// Writes an object in the place of what may be there; durable on return.
    pub fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
        let mut upload = self.begin(path)?;
        upload.write_all(bytes).map_err(failed("write", path))?;
        upload.replace()
    }

    /// Removes an object; one that is missing is no fault.
    pub fn remove(&self, path: &Path) -> Result<(), FileError> {
        match self {
            Self::Local(_) => disk::remove_file(path),
            Self::S3(s3) => s3.remove(path),
        }
    }

    /// Makes durable what was placed in a folder.
    pub fn settle(&self, folder: &Path) -> Result<(), FileError> {
        match self {
            Self::Local(_) => disk::sync_folder(folder),
            Self::S3(_) => Ok(()),
        }
    }

    pub fn settle_parent(&self, path: &Path) -> Result<(), FileError> {
        path.parent().map_or(Ok(()), |folder| self.settle(folder))
    }

    /// Makes durable what was written to all uploads so far.
    pub fn sync_all(&self) -> Result<(), FileError> {
        match self {
            Self::Local(local) => disk::sync_file_system(local.root()),
            Self::S3(_) => Ok(()),
        }
    }

    /// How many requests at once bring the most.
    pub fn width(&self) -> usize {
        match self {
            Self::Local(_) => std::thread::available_parallelism().map_or(2, usize::from).clamp(1, 4),
            Self::S3(_) => 8,
        }
    }
}

/// An object that is being written. Dropped without having been placed, nothing
/// of it stays.
pub(crate) struct Upload {
    path: PathBuf,
    kind: Kind,
}

enum Kind {
    Local(Temporary, Local),
    S3(Box<s3::Pending>),
}

impl Upload {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the bytes durable, so that the object can be placed.
    pub fn sync(&self) -> Result<(), FileError> {
        match &self.kind {
            Kind::Local(temporary, _) => temporary.sync(),
            // Placing it does.
            Kind::S3(_) => Ok(()),
        }
    }

    /// Gives the object its name, unless that is taken.
    pub fn place(&mut self) -> Result<Linked, FileError> {
        match &mut self.kind {
            Kind::Local(temporary, local) => local.place(temporary, &self.path),
            Kind::S3(pending) => pending.place(),
        }
    }

    /// Puts the object in the place of what may be there, durably.
    pub fn replace(self) -> Result<(), FileError> {
        match self.kind {
            Kind::Local(temporary, local) => {
                local.ensure_parent(&self.path)?;
                temporary.replace(&self.path)
            }
            Kind::S3(pending) => pending.replace(),
        }
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.kind {
            Kind::Local(temporary, _) => temporary.file.write(bytes),
            Kind::S3(pending) => pending.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

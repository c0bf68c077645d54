//! A tenant's objects: sealed with its key, each under the name that it has.

use std::io::{self, Write};
use std::path::Path;

use crate::disk::{FileError, Linked, failed};
use crate::repository::TenantArchive;
use crate::seal::{self, Opener, Sealer};
use crate::store::{Content, Upload};

impl TenantArchive {
    /// What an object is bound to: its path below the tenant's folder.
    fn object_name(&self, path: &Path) -> String {
        path.strip_prefix(self.folder()).unwrap_or(path).display().to_string()
    }

    /// An object of at most `limit` bytes of content; None if it is missing.
    /// One that is not what was sealed under its name is `InvalidData`.
    pub(crate) fn read_object(&self, path: &Path, limit: usize) -> Result<Option<Vec<u8>>, FileError> {
        let Some(stored) = self.inner.store.read(path, seal::bound(limit as u64))? else { return Ok(None) };
        let secret = self.key()?;
        let opened = seal::open(&secret, self.tenant, &self.object_name(path), &stored, limit);
        opened.map(Some).map_err(failed("open", path))
    }

    /// An object's content, authenticated as it is read; None if it is missing.
    /// It must be read to its end.
    pub(crate) fn open_object(&self, path: &Path) -> Result<Option<Opener<Content>>, FileError> {
        let Some(stored) = self.inner.store.open(path)? else { return Ok(None) };
        let secret = self.key()?;
        let opener = Opener::new(stored, &secret, self.tenant, &self.object_name(path));
        opener.map(Some).map_err(failed("open", path))
    }

    /// Begins an object.
    pub(crate) fn begin_object(&self, path: &Path) -> Result<Sealer<Upload>, FileError> {
        let secret = self.own_key()?;
        let upload = self.inner.store.begin(path)?;
        Sealer::new(upload, &secret, self.tenant, &self.object_name(path)).map_err(failed("write", path))
    }

    /// Begins an object and writes the whole of it, durably; it has no name yet.
    pub(crate) fn write_object(&self, path: &Path, content: &[u8]) -> Result<Upload, FileError> {
        let secret = self.own_key()?;
        let sealed = seal::seal(&secret, self.tenant, &self.object_name(path), content);
        let sealed = sealed.map_err(failed("seal", path))?;
        let mut upload = self.inner.store.begin(path)?;
        upload.write_all(&sealed).map_err(failed("write", path))?;
        upload.sync()?;
        Ok(upload)
    }

    /// Writes an object unless its name is taken; durable on return, whoever
    /// wrote it.
    pub(crate) fn create_object(&self, path: &Path, content: &[u8]) -> Result<Linked, FileError> {
        let linked = self.write_object(path, content)?.place()?;
        self.inner.store.settle_parent(path)?;
        Ok(linked)
    }
}

/// Whether an error means that the object itself is bad.
pub(crate) fn is_damage(error: &FileError) -> bool {
    matches!(error.source.kind(), io::ErrorKind::InvalidData | io::ErrorKind::FileTooLarge)
}

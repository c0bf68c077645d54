//! Keeping single files.

use std::io::Write;
use std::path::Path;

use daemon::fault;
use sha1::{Digest, Sha1};

use super::{FileId, LIMIT};
use crate::disk::{FileError, failed};
use crate::record::{PutError, RecordError};
use crate::repository::TenantArchive;
use crate::seal::Sealer;
use crate::store::Upload;
use crate::tree::TreeError;

#[derive(Debug, thiserror::Error)]
pub enum FilestoreError {
    #[error("the bytes have the SHA-1 {found}, not {expected}")]
    WrongHash { expected: FileId, found: FileId },
    #[error("the file has {found} bytes, not {expected}")]
    WrongLength { expected: u64, found: u64 },
    #[error("a file of {0} bytes is too large to be kept; the largest has {LIMIT}")]
    TooLarge(u64),
    #[error("the repository is removing a file of the same content just now; try again")]
    BeingRemoved,
    #[error("record which files there are")]
    List(#[from] PutError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("read the filestore")]
    Tree(#[from] TreeError),
    #[error(transparent)]
    File(#[from] FileError),
}

impl TenantArchive {
    /// Keeps a file. On return it is durable.
    pub async fn keep_file(&self, file: FileId, bytes: Vec<u8>) -> Result<(), FilestoreError> {
        self.blocking(move |archive| {
            let mut keeping = archive.begin_keeping(file, bytes.len() as u64)?;
            keeping.write(&bytes)?;
            keeping.finish(archive)
        })
        .await
    }

    /// Whether the repository has each of these files; those it has not.
    pub async fn missing_files(&self, files: Vec<FileId>) -> Result<Vec<FileId>, FileError> {
        self.blocking(move |archive| {
            archive.with_kept(|kept| files.into_iter().filter(|file| !kept.contains(file)).collect())
        })
        .await
    }

    pub(crate) fn begin_keeping(&self, file: FileId, length: u64) -> Result<Keeping, FilestoreError> {
        if length > LIMIT {
            return Err(FilestoreError::TooLarge(length));
        }
        let known = self.with_kept(|kept| kept.contains(&file))? && self.count_on(file)?;
        // What is there need not be written again; what comes is still checked.
        let object = if known { None } else { Some(self.begin_object(&self.file_path(file))?) };
        Ok(Keeping { file, length, count: 0, hash: Sha1::new(), object })
    }
}

/// A file that is coming in.
pub(crate) struct Keeping {
    file: FileId,
    length: u64,
    count: u64,
    hash: Sha1,
    object: Option<Sealer<Upload>>,
}

impl Keeping {
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.hash.update(bytes);
        self.count += bytes.len() as u64;
        match &mut self.object {
            Some(object) => {
                object.write_all(bytes).map_err(failed("write", Path::new(&self.file.to_string())))
            }
            None => Ok(()),
        }
    }

    /// Checks what came and makes it durable.
    pub fn finish(self, archive: &TenantArchive) -> Result<(), FilestoreError> {
        if self.count != self.length {
            return Err(FilestoreError::WrongLength { expected: self.length, found: self.count });
        }
        let found = FileId(self.hash.finalize().into());
        if found != self.file {
            return Err(FilestoreError::WrongHash { expected: self.file, found });
        }
        let Some(object) = self.object else { return Ok(()) };
        let path = archive.file_path(self.file);
        let mut upload = object.finish().map_err(failed("write", &path))?.inner;
        upload.sync()?;
        // Taken means that the same bytes are there: the name is their hash.
        upload.place()?;
        fault::point("archive.keep.linked");
        archive.inner.store.settle_parent(&path)?;
        archive.with_kept(|kept| kept.insert(self.file))?;
        Ok(())
    }
}

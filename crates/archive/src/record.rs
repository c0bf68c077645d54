//! Records: JSON, sealed like every object.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::disk::{FileError, Linked};
use crate::object::is_damage;
use crate::repository::TenantArchive;

/// More than a manifest of a hundred thousand files needs.
const LIMIT: usize = 64 << 20;

#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("{} is damaged", .path.display())]
    Damaged { path: PathBuf, source: std::io::Error },
    #[error("{} is not the record that its place says", .0.display())]
    Misplaced(PathBuf),
    #[error("parse {}", path.display())]
    Parse { path: PathBuf, source: serde_json::Error },
    /// A manifest whose data is not there.
    #[error("{} is missing", .0.display())]
    WithoutData(PathBuf),
    #[error(transparent)]
    File(#[from] FileError),
}

#[derive(Debug, thiserror::Error)]
pub enum PutError {
    #[error("{} is in the repository with different content", .0.display())]
    Different(PathBuf),
    #[error("write {} as JSON", path.display())]
    Encode { path: PathBuf, source: serde_json::Error },
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    File(#[from] FileError),
}

fn encode(path: &Path, value: &impl Serialize) -> Result<Vec<u8>, PutError> {
    serde_json::to_vec(value).map_err(|source| PutError::Encode { path: path.to_owned(), source })
}

impl TenantArchive {
    /// None: there is no such record.
    pub(crate) fn read_record<T: DeserializeOwned>(&self, path: &Path) -> Result<Option<T>, RecordError> {
        let bytes = match self.read_object(path, LIMIT) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(None),
            Err(error) if is_damage(&error) => {
                return Err(RecordError::Damaged { path: path.to_owned(), source: error.source });
            }
            Err(error) => return Err(error.into()),
        };
        let parsed = serde_json::from_slice(&bytes);
        parsed.map(Some).map_err(|source| RecordError::Parse { path: path.to_owned(), source })
    }

    /// Writes an immutable record. The same value again succeeds.
    pub(crate) fn put_record(&self, path: &Path, value: &impl Serialize) -> Result<(), PutError> {
        let bytes = encode(path, value)?;
        if self.create_object(path, &bytes)? == Linked::Taken
            && self.read_object(path, LIMIT)?.as_deref() != Some(&bytes)
        {
            return Err(PutError::Different(path.to_owned()));
        }
        Ok(())
    }

    /// Writes a record in the place of what may be there.
    pub(crate) fn replace_record(&self, path: &Path, value: &impl Serialize) -> Result<(), PutError> {
        let bytes = encode(path, value)?;
        Ok(self.write_object(path, &bytes)?.replace()?)
    }
}

#[cfg(test)]
mod tests {
    use model::TenantId;

    use super::*;
    use crate::{KeyFile, Repository};

    #[test]
    fn records_are_immutable_and_checked() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyFile::at(folder.path().join("key"));
        keys.make().unwrap();
        let root = folder.path().join("repository");
        let archive = Repository::open_or_create(&root, keys).unwrap().tenant(TenantId::new());
        let path = archive.folder().join("a");
        assert_eq!(archive.read_record::<Vec<u32>>(&path).unwrap(), None);
        archive.put_record(&path, &vec![1, 2]).unwrap();
        archive.put_record(&path, &vec![1, 2]).unwrap();
        assert_eq!(archive.read_record(&path).unwrap(), Some(vec![1, 2]));
        let error = archive.put_record(&path, &vec![1, 3]).unwrap_err();
        assert!(matches!(error, PutError::Different(_)), "{error}");
        assert!(archive.inner.store.names(&root.join("tmp")).unwrap().is_empty());

        let good = std::fs::read(&path).unwrap();
        assert!(!good.windows(5).any(|bytes| bytes == b"[1,2]"));
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            let error = archive.read_record::<Vec<u32>>(&path).unwrap_err();
            assert!(matches!(error, RecordError::Damaged { .. }), "{error:?}");
        }
        for length in 0..good.len() {
            std::fs::write(&path, &good[..length]).unwrap();
            archive.read_record::<Vec<u32>>(&path).unwrap_err();
        }
    }
}

//! Records: a JSON object on one line, its SHA-256 on the next.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::disk::{self, FileError, Linked, Temporary, failed};

/// More than a manifest of a hundred thousand files needs.
const LIMIT: u64 = 64 << 20;

#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("{} does not match its checksum", .0.display())]
    Damaged(PathBuf),
    #[error("{} is not the record that its place says", .0.display())]
    Misplaced(PathBuf),
    #[error("parse {}", path.display())]
    Parse { path: PathBuf, source: serde_json::Error },
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
    let encoded = serde_json::to_vec(value);
    let mut bytes = encoded.map_err(|source| PutError::Encode { path: path.to_owned(), source })?;
    let sum = hex::encode(Sha256::digest(&bytes));
    bytes.push(b'\n');
    bytes.extend_from_slice(sum.as_bytes());
    bytes.push(b'\n');
    Ok(bytes)
}

/// None: there is no such record.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, RecordError> {
    let Some(bytes) = disk::read(path, LIMIT)? else { return Ok(None) };
    let damaged = || RecordError::Damaged(path.to_owned());
    let text = bytes.strip_suffix(b"\n").ok_or_else(damaged)?;
    let split = text.iter().rposition(|byte| *byte == b'\n').ok_or_else(damaged)?;
    let (json, sum) = (&text[..split], &text[split + 1..]);
    if hex::encode(Sha256::digest(json)).as_bytes() != sum {
        return Err(damaged());
    }
    let parsed = serde_json::from_slice(json);
    parsed.map(Some).map_err(|source| RecordError::Parse { path: path.to_owned(), source })
}

/// Writes an immutable record. The same value again succeeds.
pub(crate) fn put(tmp: &Path, path: &Path, value: &impl Serialize) -> Result<(), PutError> {
    let bytes = encode(path, value)?;
    let mut temporary = Temporary::create(tmp)?;
    temporary.file.write_all(&bytes).map_err(failed("write", path))?;
    temporary.sync()?;
    if temporary.link(path)? == Linked::Taken {
        let there = disk::read(path, LIMIT)?;
        if there.as_deref() != Some(&bytes) {
            return Err(PutError::Different(path.to_owned()));
        }
    }
    Ok(disk::sync_parent(path)?)
}

/// Writes a record in the place of what may be there.
pub(crate) fn replace(tmp: &Path, path: &Path, value: &impl Serialize) -> Result<(), PutError> {
    let bytes = encode(path, value)?;
    let mut temporary = Temporary::create(tmp)?;
    temporary.file.write_all(&bytes).map_err(failed("write", path))?;
    Ok(temporary.replace(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_immutable_and_checked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        assert_eq!(read::<Vec<u32>>(&path).unwrap(), None);
        put(folder.path(), &path, &vec![1, 2]).unwrap();
        put(folder.path(), &path, &vec![1, 2]).unwrap();
        assert_eq!(read(&path).unwrap(), Some(vec![1, 2]));
        let error = put(folder.path(), &path, &vec![1, 3]).unwrap_err();
        assert!(matches!(error, PutError::Different(_)), "{error}");
        assert_eq!(disk::names(folder.path()).unwrap(), ["a.json"]);

        let good = std::fs::read(&path).unwrap();
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            read::<Vec<u32>>(&path).unwrap_err();
        }
        for length in 0..good.len() {
            std::fs::write(&path, &good[..length]).unwrap();
            read::<Vec<u32>>(&path).unwrap_err();
        }
    }
}

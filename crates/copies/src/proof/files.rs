//! Files as they lie on the disk: data directories, WAL, logs, filestores.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::matcher::{Matcher, SHORTEST};

const WINDOW: usize = 1 << 20;

/// Longer canaries are refused, so that none is missed between two windows.
const LONGEST: usize = 4096;

#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("read {0}")]
    Read(PathBuf, #[source] io::Error),
    #[error("a canary has to be {SHORTEST} to {LONGEST} bytes long")]
    Canary,
}

#[derive(Debug, Default)]
pub struct Found {
    pub bytes: u64,
    /// Those that hold one of the values, or are called so.
    pub files: Vec<PathBuf>,
}

/// Searches files and everything below folders. Links are not followed; what
/// goes away meanwhile is passed over.
pub fn search_files(places: &[PathBuf], canaries: &[String]) -> Result<Found, FilesError> {
    if canaries.iter().any(|canary| !(SHORTEST..=LONGEST).contains(&canary.len())) {
        return Err(FilesError::Canary);
    }
    let mut matcher = Matcher::default();
    for canary in canaries {
        matcher.add(canary.as_bytes(), 0);
    }
    matcher.prepare();
    let mut found = Found::default();
    let mut waiting = places.to_vec();
    while let Some(path) = waiting.pop() {
        let metadata = match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata.map_err(|error| FilesError::Read(path.clone(), error))?,
        };
        let mut holds = false;
        if let Some(name) = path.file_name() {
            matcher.find(name.as_encoded_bytes(), |_| holds = true);
        }
        if metadata.is_dir() {
            for entry in fs::read_dir(&path).map_err(|error| FilesError::Read(path.clone(), error))? {
                waiting.push(entry.map_err(|error| FilesError::Read(path.clone(), error))?.path());
            }
        } else if metadata.is_file() {
            match search(&path, &matcher, &mut found.bytes) {
                Ok(inside) => holds |= inside,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(FilesError::Read(path, error)),
            }
        }
        if holds {
            found.files.push(path);
        }
    }
    found.files.sort();
    Ok(found)
}

fn search(path: &Path, matcher: &Matcher, bytes: &mut u64) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let mut window = vec![0; WINDOW + LONGEST];
    let mut kept = 0;
    let mut holds = false;
    loop {
        let read = match file.read(&mut window[kept..]) {
            Ok(0) => return Ok(holds),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        *bytes += read as u64;
        let filled = kept + read;
        matcher.find(&window[..filled], |_| holds = true);
        kept = filled.min(LONGEST);
        window.copy_within(filled - kept..filled, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canaries_are_found_in_files_and_in_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        // Across the end of a window.
        let mut long = vec![b'x'; WINDOW + LONGEST - 5];
        long.extend_from_slice(b"canary-0001");
        fs::write(inner.join("long"), &long).unwrap();
        fs::write(inner.join("plain"), b"nothing here").unwrap();
        fs::write(inner.join("canary-0001.txt"), b"").unwrap();
        let canaries = ["canary-0001".to_owned()];
        let found = search_files(&[folder.path().to_owned()], &canaries).unwrap();
        assert_eq!(found.files, [inner.join("canary-0001.txt"), inner.join("long")]);
        assert_eq!(found.bytes, long.len() as u64 + 12);
        assert!(search_files(&[], &["short".to_owned()]).is_err());
    }
}

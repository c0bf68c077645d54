//! One process at a time for a folder of data.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

/// Held until dropped or until the process ends, however it ends; not handed
/// down to programs it runs. The file stays, with the last holder's pid.
#[derive(Debug)]
pub struct DataLock {
    _file: File,
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("{path:?} is locked by {}", holder(*pid))]
    Held {
        path: PathBuf,
        /// None: the holder has not written it.
        pid: Option<u32>,
    },
    #[error("open lock file {path:?}")]
    Open { path: PathBuf, source: io::Error },
    #[error("lock {path:?}")]
    Lock { path: PathBuf, source: io::Error },
    #[error("write the pid to {path:?}")]
    Write { path: PathBuf, source: io::Error },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

impl DataLock {
    /// Takes the lock, or says at once who has it.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        let at = || path.to_owned();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(path)
            .map_err(|source| LockError::Open { path: at(), source })?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(LockError::Held { path: at(), pid: pid(&mut file) });
            }
            Err(error) => return Err(LockError::Lock { path: at(), source: error.into() }),
        }
        write_pid(&mut file).map_err(|source| LockError::Write { path: at(), source })?;
        Ok(Self { _file: file })
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(format!("{}\n", std::process::id()).as_bytes())
}

/// The holder's pid; it writes it a moment after it has locked.
fn pid(file: &mut File) -> Option<u32> {
    let until = Instant::now() + Duration::from_millis(500);
    loop {
        let mut text = String::new();
        file.rewind().ok()?;
        file.read_to_string(&mut text).ok()?;
        if let Some(pid) = text.strip_suffix('\n').and_then(|pid| pid.parse().ok()) {
            return Some(pid);
        }
        if Instant::now() > until {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_the_pid_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        // What a former holder with a longer pid has left.
        std::fs::write(&path, "4194304999\n").unwrap();
        let lock = DataLock::take(&path).unwrap();
        let error = DataLock::take(&path).unwrap_err();
        let pid = std::process::id();
        assert_eq!(error.to_string(), format!("{path:?} is locked by process {pid}"));
        assert!(matches!(error, LockError::Held { pid: Some(held), .. } if held == pid));
        drop(lock);
        DataLock::take(&path).unwrap();
    }

    #[test]
    fn a_program_does_not_inherit_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let lock = DataLock::take(&path).unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        drop(lock);
        DataLock::take(&path).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        assert!(matches!(DataLock::take(Path::new("/no/such/lock")), Err(LockError::Open { .. })));
    }
}

//! A program's folder: `spec.json`, `status.json`, `lock`, `log`, `log.1`, …

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use model::program::ProgramSpec;
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::status::{Seen, Status};

#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

/// Holding it is the right to start, stop for good, or remove the program.
/// Freed when dropped or when its process ends, however it ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, never read")] File);

impl Folder {
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn lock_path(&self) -> PathBuf {
        self.0.join("lock")
    }

    pub fn spec_path(&self) -> PathBuf {
        self.0.join("spec.json")
    }

    pub fn status_path(&self) -> PathBuf {
        self.0.join("status.json")
    }

    pub fn log_path(&self) -> PathBuf {
        self.0.join("log")
    }

    /// 0700: the spec's environment may hold secrets, the log what a program says.
    pub fn create(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0)
    }

    /// None: someone else holds it. An error of kind NotFound: the folder is gone.
    pub fn lock(&self) -> io::Result<Option<Lock>> {
        loop {
            let path = self.lock_path();
            let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            // A folder removed between opening and locking leaves us a lock that guards nothing.
            let held = file.metadata()?;
            match fs::metadata(&path) {
                Ok(there) if (there.dev(), there.ino()) == (held.dev(), held.ino()) => {
                    return Ok(Some(Lock(file)));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub fn spec(&self) -> io::Result<Option<ProgramSpec>> {
        read(&self.spec_path())
    }

    pub fn write_spec(&self, spec: &ProgramSpec) -> io::Result<()> {
        write(&self.spec_path(), spec)
    }

    pub fn remove_spec(&self) -> io::Result<()> {
        missing_is_fine(fs::remove_file(self.spec_path()))
    }

    pub fn status(&self) -> io::Result<Option<Status>> {
        read(&self.status_path())
    }

    pub fn write_status(&self, status: &Status) -> io::Result<()> {
        write(&self.status_path(), status)
    }

    pub fn seen(&self) -> io::Result<Seen> {
        Seen::of(self.status()?)
    }

    /// The lock goes last, so that nobody else can come in before.
    pub fn remove(&self, _held: &Lock) -> io::Result<()> {
        missing_is_fine(fs::remove_file(self.status_path()))?;
        for entry in fs::read_dir(&self.0)? {
            let path = entry?.path();
            if path != self.lock_path() {
                fs::remove_file(&path)?;
            }
        }
        fs::remove_file(self.lock_path())?;
        match fs::remove_dir(&self.0) {
            // Someone has come in since: the folder is theirs.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            other => missing_is_fine(other),
        }
    }
}

fn missing_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Readers see the old or the new, and the new survives a power cut.
fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let new = path.with_extension("json.new");
    missing_is_fine(fs::remove_file(&new))?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(&serde_json::to_vec_pretty(value)?)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

//! The data folder as `heddle up` lays it out; what lies in its deeper folders
//! is the worker's.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use daemon::lock::{DataLock, LockError};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::exit::Exit;
use crate::failure::Failure;

#[derive(Debug, Clone)]
pub struct Data {
    root: PathBuf,
}

impl Data {
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub fn path(&self) -> &Path {
        &self.root
    }

    pub fn lock_path(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// What cells run to archive, and what programs are guarded by.
    pub fn heddle(&self) -> PathBuf {
        self.root.join("bin/heddle")
    }

    pub fn management(&self) -> PathBuf {
        self.root.join("management")
    }

    /// The port that the management cluster was last started on.
    pub fn management_port(&self) -> PathBuf {
        self.root.join("management.port")
    }

    pub fn programs(&self) -> PathBuf {
        self.root.join("programs")
    }

    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Where the router keeps its last good table.
    pub fn routes(&self) -> PathBuf {
        self.root.join("routes.json")
    }

    /// Makes the folders, the one for sockets among them. Everybody may pass
    /// through the outermost ones, and nobody but the owner list them.
    pub fn prepare(&self, run_dir: &Path) -> Result<(), Failure> {
        for (path, mode) in [
            (self.root.clone(), 0o711),
            (run_dir.to_owned(), 0o711),
            (self.root.join("bin"), 0o755),
            (self.programs(), 0o700),
            (self.logs(), 0o700),
        ] {
            folder(&path, mode).map_err(|error| {
                Failure::while_trying(format!("make the folder {}", path.display()), &error)
            })?;
        }
        Ok(())
    }

    /// Makes this process the one `heddle up` of the folder, until it ends.
    pub fn lock(&self) -> Result<DataLock, Failure> {
        DataLock::take(&self.lock_path()).map_err(|error| match error {
            LockError::Held { pid, .. } => {
                let pid = pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
                Failure::new(
                    Exit::Refused,
                    "already-running",
                    format!("`heddle up` already runs on {} ({pid})", self.root.display()),
                )
                .hint("stop that one, or choose another data folder with --data")
            }
            error => Failure::while_trying("lock the data folder", &error),
        })
    }

    /// Makes this process the one worker of the folder. One that is just ending
    /// is waited for.
    pub async fn lock_worker(&self, patience: Duration) -> Result<DataLock, Failure> {
        let until = Instant::now() + patience;
        loop {
            match DataLock::take(&self.root.join("worker.lock")) {
                Ok(lock) => return Ok(lock),
                Err(LockError::Held { .. }) if Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => {
                    return Err(Failure::while_trying("become the worker of the data folder", &error));
                }
            }
        }
    }

    /// The pid of the `heddle up` that runs on the folder.
    pub fn lock_holder(&self) -> Option<u32> {
        let file = File::open(self.lock_path()).ok()?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Err(Errno::WOULDBLOCK) => fs::read_to_string(self.lock_path()).ok()?.trim().parse().ok(),
            _ => None,
        }
    }

    /// Whether the last `heddle up` ended without having stopped everything.
    pub fn was_killed(&self) -> bool {
        self.started_path().exists()
    }

    pub fn mark_started(&self) -> Result<(), Failure> {
        let path = self.started_path();
        fs::write(&path, format!("{}\n", std::process::id()))
            .map_err(|error| Failure::while_trying(format!("write {}", path.display()), &error))
    }

    /// Removes the sockets' folders; nothing listens in them any more. Whatever
    /// else somebody put there stays.
    pub fn clear_sockets(run_dir: &Path) {
        for folder in fs::read_dir(run_dir).into_iter().flatten().flatten() {
            for file in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
                let socket = file.file_type().is_ok_and(|kind| kind.is_socket());
                if socket || file.file_name().to_string_lossy().starts_with(".s.PGSQL.") {
                    let _ = fs::remove_file(file.path());
                }
            }
            let _ = fs::remove_dir(folder.path());
        }
        let _ = fs::remove_dir(run_dir);
    }

    pub fn mark_stopped(&self) {
        // Left behind, the next start only waits a moment longer for its ports.
        let _ = fs::remove_file(self.started_path());
    }

    fn started_path(&self) -> PathBuf {
        self.root.join("started")
    }

    /// Puts a copy of the running binary where cells can run it: theirs must
    /// not change, or vanish, under a build or an upgrade.
    pub fn install_binary(&self) -> Result<(), Failure> {
        let copy = || -> io::Result<()> {
            let target = self.heddle();
            let new = target.with_extension("new");
            // Open as it is, even where the file was replaced since this process started.
            let mut from = File::open("/proc/self/exe")?;
            match fs::remove_file(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut to = OpenOptions::new().write(true).create_new(true).open(&new)?;
            io::copy(&mut from, &mut to)?;
            to.set_permissions(Permissions::from_mode(0o755))?;
            to.sync_all()?;
            drop(to);
            fs::rename(&new, &target)
        };
        let what = format!("install {}", self.heddle().display());
        copy().map_err(|error| Failure::while_trying(what, &error))
    }
}

fn folder(path: &Path, mode: u32) -> io::Result<()> {
    if !path.exists() {
        // Folders above it are the machine's: as open as usual.
        if let Some(above) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o755).create(above)?;
        }
        match DirBuilder::new().mode(mode).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    fs::set_permissions(path, Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_up_is_told_whose_it_is() {
        let top = tempfile::tempdir().unwrap();
        let data = Data::new(top.path());
        assert_eq!(data.lock_holder(), None);
        let held = data.lock().unwrap();
        assert_eq!(data.lock_holder(), Some(std::process::id()));
        let failure = data.lock().unwrap_err();
        assert_eq!(failure.exit, Exit::Refused);
        assert!(failure.detail.contains(&format!("process {}", std::process::id())), "{}", failure.detail);
        drop(held);
        assert_eq!(data.lock_holder(), None);
        data.lock().unwrap();
    }

    #[test]
    fn the_folder_is_laid_out() {
        let top = tempfile::tempdir().unwrap();
        let data = Data::new(&top.path().join("a/data"));
        data.prepare(&top.path().join("run")).unwrap();
        data.prepare(&top.path().join("run")).unwrap();
        data.install_binary().unwrap();
        data.install_binary().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(data.path()), 0o711);
        assert_eq!(mode(&data.programs()), 0o700);
        assert_eq!(mode(&data.heddle()), 0o755);
        assert_eq!(fs::read(data.heddle()).unwrap().len(), fs::read("/proc/self/exe").unwrap().len());
    }
}

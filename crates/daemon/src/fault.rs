//! Named points at which a test can kill or hold the process.
//!
//! Armed only when the environment's `HEDDLE_FAULTS` names a folder. There, a
//! file `<name>` makes the process rename it to `<name>.reached` and kill
//! itself with SIGKILL when it reaches the point of that name; a file
//! `<name>.hold` is renamed to `<name>.held`, and the point waits until that
//! one is gone. Each file works once, in whichever process comes first.
//!
//! Unarmed, a point costs one atomic load.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};

/// The variable that names the folder.
pub const FOLDER: &str = "HEDDLE_FAULTS";

const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Whether any point can do anything.
pub fn armed() -> bool {
    folder().is_some()
}

/// A fault point. While held it blocks the thread; in async code see [`reach`].
pub fn point(name: &str) {
    if let Some(folder) = folder()
        && let Some(held) = arrive(folder, name)
    {
        while held.exists() {
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

/// A fault point in async code: while held, only the calling task waits.
pub async fn reach(name: &str) {
    if let Some(folder) = folder()
        && let Some(held) = arrive(folder, name)
    {
        while held.exists() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

fn folder() -> Option<&'static Path> {
    static ARMED: OnceLock<Option<PathBuf>> = OnceLock::new();
    ARMED
        .get_or_init(|| std::env::var_os(FOLDER).filter(|name| !name.is_empty()).map(PathBuf::from))
        .as_deref()
}

/// Dies if that is asked for; returns the file to wait for if holding is.
fn arrive(folder: &Path, name: &str) -> Option<PathBuf> {
    let file = |ending: &str| folder.join(format!("{name}{ending}"));
    // Renaming is what makes a file work once.
    if fs::rename(file(""), file(".reached")).is_ok() {
        let _ = kill_process(getpid(), Signal::KILL);
        // It is on its way.
        loop {
            std::thread::park();
        }
    }
    fs::rename(file(".hold"), file(".held")).is_ok().then(|| file(".held"))
}

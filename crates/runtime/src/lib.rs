//! Runs programs, and knows the truth about them whoever was killed meanwhile.
//!
//! A [`Driver`] carries out a [`ProgramSpec`]. [`ProcessDriver`] runs each
//! program under a small process of its own, the [`shim`], so that programs
//! outlive whoever asked for them; [`FakeDriver`] plays the same part in
//! memory. One conformance suite (`tests/conformance.rs`) holds both to the
//! same behaviour.

use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use model::program::{Exit, ProgramId, ProgramSpec, ProgramState};

pub mod fake;
mod folder;
mod leftovers;
mod process;
mod proctable;
pub mod shim;
mod status;
mod tail;

pub use fake::FakeDriver;
pub use process::ProcessDriver;

pub type Result<T, E = DriverError> = std::result::Result<T, E>;

/// Runs programs on one host. Every method may be repeated, and may be called
/// by a process that did not start the program.
///
/// A program owns its descendants: when its main process has ended, what it
/// left behind is killed before the program counts as ended.
#[async_trait]
pub trait Driver: Send + Sync {
    /// Starts the program and returns once it runs. The same spec running
    /// already is success; a running program that is about to stop is waited
    /// for and then started anew; one that has ended is started anew.
    ///
    /// A program that could not be started leaves the spec and state of before.
    async fn start(&self, spec: &ProgramSpec) -> Result<()>;

    async fn state(&self, id: &ProgramId) -> Result<ProgramState>;

    /// The spec the program was last started with; None if it never was.
    async fn spec(&self, id: &ProgramId) -> Result<Option<ProgramSpec>>;

    /// Ends when the program has ended for good; at once if it has already.
    /// A program that is restarted always ends only by [`Driver::stop`].
    async fn wait(&self, id: &ProgramId) -> Result<Exit>;

    /// Sends the stop signal, kills everything of the program when its grace
    /// is over, and returns once nothing of it is left: with how it ended, or
    /// None if it never ran. Dropping the future does not call the stop off.
    async fn stop(&self, id: &ProgramId) -> Result<Option<Exit>>;

    /// Forgets an ended program, its spec and its log. No-op if absent.
    async fn remove(&self, id: &ProgramId) -> Result<()>;

    /// All programs that are not absent, by id.
    async fn list(&self) -> Result<Vec<(ProgramId, ProgramState)>>;

    /// The last lines of the program's output, oldest first, across rotated
    /// files: at most `lines` of them and at most 1 MiB. Bytes that are not
    /// UTF-8 are replaced.
    async fn log_tail(&self, id: &ProgramId, lines: usize) -> Result<Vec<String>>;

    /// Where the current output goes; older files stand beside it with `.1`,
    /// `.2`. The file need not exist.
    fn log_path(&self, id: &ProgramId) -> PathBuf;
}

/// Why a driver could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    #[error("{id} is running with another specification; stop it first")]
    Differs { id: ProgramId },
    #[error("{id} was never started here")]
    Absent { id: ProgramId },
    #[error("{id} is running; stop it first")]
    Running { id: ProgramId },
    #[error("another process has been busy with {id} for too long")]
    Busy { id: ProgramId },
    #[error("start {id}: {reason}")]
    Start { id: ProgramId, reason: String },
    #[error("run the shim {path:?}")]
    Shim { path: PathBuf, source: io::Error },
    #[error("watch the processes of {id}")]
    Watch { id: ProgramId, source: io::Error },
    #[error("end what is left of {id}")]
    Leftovers { id: ProgramId, source: io::Error },
    #[error("read {path:?}")]
    Read { path: PathBuf, source: io::Error },
    #[error("create {path:?}")]
    Create { path: PathBuf, source: io::Error },
    #[error("lock {path:?}")]
    Lock { path: PathBuf, source: io::Error },
    #[error("remove {path:?}")]
    Remove { path: PathBuf, source: io::Error },
}

impl DriverError {
    fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Read { path, source }
    }
}

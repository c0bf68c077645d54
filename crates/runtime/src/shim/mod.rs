//! The small process that stands between the system and one program: it starts
//! it, takes its output, sees how it ends, starts it again, and writes all that
//! down, so that whoever asked for the program may come and go.
//!
//! It is single-threaded and has no async runtime: hundreds of them live on a
//! host. It is called as `<shim> shim <folder>` with the program's spec as JSON
//! on standard input, twice: the first process (the launcher) starts the second
//! one and ends once that one has the lock, has started the program and has
//! written its status, or has given up. So a start is synchronous and
//! truthful, and the shim is nobody's child.
//!
//! Signals to the shim: TERM stops the program for good.

mod launch;
mod log;
mod run;
mod serve;
mod signals;
mod spawn;

use std::path::Path;
use std::process::ExitCode;

/// How many log files are kept, the current one included.
pub const KEPT_LOGS: usize = 3;
/// When a log file is full, in bytes. Lines stay whole, so it may end a little
/// earlier or later.
pub const LOG_SIZE: u64 = 10 << 20;

/// The launcher's exit code when another shim holds the program's lock.
pub(crate) const HELD: u8 = 75;

/// The variable that tells the second process that it is the second.
const STAGE: &str = "HEDDLE_SHIM_STAGE";

/// Runs the shim for the program folder `dir`; what the binary does for its
/// hidden `shim` subcommand, as the very first thing: before any thread exists
/// and any file is opened.
///
/// Exit codes of the launcher: 0 the program runs, 75 another shim has it,
/// 1 it was not started and standard error says why.
pub fn main(dir: &Path) -> ExitCode {
    if std::env::var_os(STAGE).is_some() {
        serve::serve(dir);
        ExitCode::SUCCESS
    } else {
        launch::launch()
    }
}

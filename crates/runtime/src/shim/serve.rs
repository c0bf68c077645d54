//! The second process: takes the lock, clears away what a killed predecessor
//! left, starts the program, says so, and stays with it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use model::program::ProgramSpec;
use rustix::fs::Mode;
use rustix::process::{getpid, set_child_subreaper, setsid, umask};

use super::launch::Verdict;
use super::log::Log;
use super::run::Run;
use super::signals::{Signals, close_inherited};
use super::{KEPT_LOGS, LOG_SIZE};
use crate::folder::{Folder, Lock};
use crate::leftovers;

/// A spec is a few kilobytes; nothing sensible is longer.
const LONGEST_SPEC: u64 = 1 << 20;

pub fn serve(dir: &Path) {
    let verdict = match prepare(dir) {
        Ok(Some(mut run)) => match run.begin() {
            Ok(()) => {
                say(&Verdict::Ready);
                return run.until_end();
            }
            Err(error) => Verdict::Failed(error.to_string()),
        },
        Ok(None) => Verdict::Held,
        Err(error) => Verdict::Failed(error.to_string()),
    };
    say(&verdict);
}

/// None: another shim has the program.
fn prepare(dir: &Path) -> io::Result<Option<Run>> {
    close_inherited().map_err(about("close inherited files"))?;
    // From here on a stop waits to be read, and cannot end us half-way.
    let signals = Signals::take().map_err(about("take signals"))?;
    umask(Mode::from_bits_truncate(0o077));
    setsid().map_err(about("start a session"))?;
    // What the program leaves behind when it ends becomes our child: so it is found, and counted down to none.
    set_child_subreaper(Some(getpid())).map_err(about("adopt descendants"))?;

    let mut text = Vec::new();
    io::stdin().take(LONGEST_SPEC).read_to_end(&mut text).map_err(about("read the specification"))?;
    let spec: ProgramSpec = serde_json::from_slice(&text).map_err(about("read the specification"))?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;

    let Some((folder, lock)) = lock(dir).map_err(about("lock the program"))? else { return Ok(None) };
    rustix::process::chdir("/")?;
    leftovers::clear(&folder, &lock).map_err(about("stop what a killed shim left"))?;
    // A shim killed before its first status has left a program that only its mark names.
    leftovers::kill_marked(&folder, &lock).map_err(about("stop what a killed shim left"))?;
    let log = Log::open(&folder.log_path(), LOG_SIZE, KEPT_LOGS).map_err(about("open the log"))?;
    Run::new(folder, lock, spec, signals, log).map(Some)
}

fn lock(dir: &Path) -> io::Result<Option<(Folder, Lock)>> {
    loop {
        Folder::new(dir.to_owned()).create()?;
        let locked = dir.canonicalize().and_then(|path| {
            let folder = Folder::new(path);
            Ok(folder.lock()?.map(|lock| (folder, lock)))
        });
        match locked {
            // Removed in between.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
    }
}

/// Tells the launcher, and lets go of it.
fn say(verdict: &Verdict) {
    // If the launcher is gone, nobody wants to know; the program runs all the same.
    let _ = rustix::io::write(rustix::stdio::stdout(), verdict.to_line().as_bytes());
    if let Ok(null) = File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(null);
    }
}

pub fn about<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> io::Error {
    move |error| io::Error::other(format!("{what}: {error}"))
}

//! Ends what a killed shim has left behind. Only for whoever holds the
//! program's lock.

use std::io;
use std::time::{Duration, Instant};

use model::program::{ProgramSpec, StopSignal};
use rustix::process::Signal;

use crate::folder::{Folder, Lock};
use crate::proctable::{Process, descendants, marked};
use crate::status::Seen;

/// How long killed processes get to vanish. One that hangs in the kernel
/// (a dead disk) may take longer, and then the program has not ended.
const VANISH: Duration = Duration::from_secs(10);

pub fn signal(of: StopSignal) -> Signal {
    match of {
        StopSignal::Term => Signal::TERM,
        StopSignal::Int => Signal::INT,
    }
}

/// Stops a program that lives without its shim in good order (the stop
/// signal, its grace, then KILL), and kills whatever else carries its mark.
/// Blocks for as long as that takes.
pub fn clear(folder: &Folder, held: &Lock) -> io::Result<()> {
    match folder.seen()? {
        Seen::Orphan { program, .. } => stop(program, folder.spec()?)?,
        Seen::Lost => {}
        Seen::Absent | Seen::Ended(_) | Seen::Guarded { .. } => return Ok(()),
    }
    kill_marked(folder, held)
}

/// Kills what carries the program's mark, until nothing does.
pub fn kill_marked(folder: &Folder, _held: &Lock) -> io::Result<()> {
    // A spec is written before anything is started.
    let Some(spec) = folder.spec()? else { return Ok(()) };
    let uid = spec.identity.map(|identity| identity.uid);
    let path = folder.path().canonicalize()?;
    let until = Instant::now() + VANISH;
    loop {
        let left = marked(&path, uid)?;
        if left.is_empty() {
            return Ok(());
        }
        kill(&left)?;
        if Instant::now() > until {
            let pids: Vec<u32> = left.iter().map(|process| process.pid).collect();
            return Err(io::Error::other(format!("processes {pids:?} do not end")));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn stop(program: Process, spec: Option<ProgramSpec>) -> io::Result<()> {
    let Some(handle) = program.open()? else { return Ok(()) };
    let (stop_signal, grace) =
        spec.map_or((Signal::TERM, Duration::ZERO), |spec| (signal(spec.stop_signal), spec.grace));
    // Its descendants are only to be found while it lives: some leave its session
    // and write over their environment, as PostgreSQL's do.
    let mut family = descendants(program.pid)?;
    handle.signal(stop_signal)?;
    if !handle.wait(grace)? {
        family.extend(descendants(program.pid)?);
        handle.signal(Signal::KILL)?;
        if !handle.wait(VANISH)? {
            return Err(io::Error::other(format!("process {} does not end", program.pid)));
        }
    }
    kill(&family)
}

fn kill(processes: &[Process]) -> io::Result<()> {
    for process in processes {
        if let Some(handle) = process.open()? {
            handle.signal(Signal::KILL)?;
        }
    }
    Ok(())
}

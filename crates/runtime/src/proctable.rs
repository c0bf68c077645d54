//! The kernel's table of processes, read from `/proc`.
//!
//! A pid alone names nothing: it may be used again. Together with the start
//! time (clock ticks since boot) and the boot it names one process for ever.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// The variable every program gets and hands down to its descendants, its
/// value the program's folder. It proves whose a process is when its parents
/// are gone.
pub const MARK: &str = "HEDDLE_PROGRAM";

/// One process of this boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Process {
    pub pid: u32,
    /// Clock ticks since boot, field 22 of `/proc/<pid>/stat`.
    pub start_time: u64,
}

struct Stat {
    process: Process,
    parent: u32,
    /// Ended, and merely not yet waited for.
    dead: bool,
}

impl Process {
    /// The living process that has this pid now.
    pub fn with_pid(pid: u32) -> io::Result<Option<Self>> {
        Ok(stat(pid)?.filter(|stat| !stat.dead).map(|stat| stat.process))
    }

    /// A child of the caller's that was not yet waited for, ended or not.
    pub fn of_child(pid: u32) -> io::Result<Self> {
        let stat =
            stat(pid)?.ok_or_else(|| io::Error::other(format!("/proc does not show process {pid}")))?;
        Ok(stat.process)
    }

    /// The calling process.
    pub fn this() -> io::Result<Self> {
        let pid = std::process::id();
        Self::with_pid(pid)?.ok_or_else(|| io::Error::other("/proc does not show this process"))
    }

    /// Whether this very process lives; one that merely has its pid does not count.
    pub fn alive(self) -> io::Result<bool> {
        Ok(Self::with_pid(self.pid)? == Some(self))
    }

    /// A handle that stays with this process; None if it is gone.
    pub fn open(self) -> io::Result<Option<Handle>> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return Ok(None);
        };
        let fd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => fd,
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            // The pid is now that of a thread that is no process's first.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Looked at after opening: if it is the right one now, the handle is of the right one.
        Ok(self.alive()?.then_some(Handle(fd)))
    }
}

/// A process that can be signalled and waited for without naming it by pid.
#[derive(Debug)]
pub struct Handle(OwnedFd);

impl Handle {
    /// Sends a signal; to a process that has ended meanwhile it is a no-op.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.0, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for its end; false when the time is over.
    pub fn wait(&self, time: Duration) -> io::Result<bool> {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
            match poll(&mut fds, Some(&timespec(left))) {
                Ok(0) if left.is_zero() => return Ok(false),
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Readable once the process has ended.
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }
}

pub fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(time.subsec_nanos()),
    }
}

/// Names this boot of the machine: start times of another one mean nothing.
pub fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// All living descendants of a process.
pub fn descendants(of: u32) -> io::Result<Vec<Process>> {
    let mut children: HashMap<u32, Vec<Process>> = HashMap::new();
    for pid in pids()? {
        // Who vanishes while we look is no descendant any more; its children are seen in the next look.
        if let Ok(Some(stat)) = stat(pid)
            && !stat.dead
        {
            children.entry(stat.parent).or_default().push(stat.process);
        }
    }
    let mut found = Vec::new();
    let mut seen = HashSet::from([of]);
    let mut parents = vec![of];
    while let Some(parent) = parents.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            if seen.insert(child.pid) {
                parents.push(child.pid);
                found.push(child);
            }
        }
    }
    Ok(found)
}

/// All living processes that carry the mark of a program's folder. With `uid`
/// only that user's: anybody can put a mark on processes of his own.
pub fn marked(folder: &Path, uid: Option<u32>) -> io::Result<Vec<Process>> {
    let mut mark = format!("{MARK}=").into_bytes();
    mark.extend_from_slice(folder.as_os_str().as_encoded_bytes());
    let mut found = Vec::new();
    for pid in pids()? {
        // Other users' processes cannot be read, and need not be: they are none of ours.
        let Ok(env) = fs::read(format!("/proc/{pid}/environ")) else { continue };
        if env.split(|byte| *byte == 0).any(|variable| variable == mark)
            && uid.is_none_or(|uid| real_uid(pid) == Some(uid))
            && let Some(process) = Process::with_pid(pid)?
        {
            found.push(process);
        }
    }
    Ok(found)
}

fn real_uid(pid: u32) -> Option<u32> {
    let status = fs::read(format!("/proc/{pid}/status")).ok()?;
    let status = String::from_utf8_lossy(&status);
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    ids.split_ascii_whitespace().next()?.parse().ok()
}

fn pids() -> io::Result<impl Iterator<Item = u32>> {
    let entries = fs::read_dir("/proc")?.collect::<Result<Vec<_>, _>>()?;
    Ok(entries.into_iter().filter_map(|entry| entry.file_name().to_str()?.parse().ok()))
}

fn stat(pid: u32) -> io::Result<Option<Stat>> {
    let text = match fs::read(format!("/proc/{pid}/stat")) {
        Ok(text) => text,
        Err(error) if gone(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    parse(pid, &String::from_utf8_lossy(&text))
        .map(Some)
        .ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat has an unknown form")))
}

fn gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

fn parse(pid: u32, text: &str) -> Option<Stat> {
    // The second field is the program's name in parentheses and may hold anything, parentheses too.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    Some(Stat {
        process: Process { pid, start_time: fields.get(19)?.parse().ok()? },
        parent: fields.get(1)?.parse().ok()?,
        dead: matches!(*fields.first()?, "Z" | "X"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_name_may_hold_parentheses_and_spaces() {
        let text = "7 (a) R (b) S 3 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9";
        let stat = parse(7, text).unwrap();
        assert_eq!((stat.process.start_time, stat.parent, stat.dead), (4711, 3, false));
    }

    #[test]
    fn another_start_time_is_another_process() {
        let this = Process::this().unwrap();
        assert!(this.alive().unwrap());
        let other = Process { start_time: this.start_time + 1, ..this };
        assert!(!other.alive().unwrap());
        assert!(other.open().unwrap().is_none());
    }

    #[test]
    fn a_zombie_is_dead() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::with_pid(child.id()).unwrap().unwrap();
        let handle = process.open().unwrap().unwrap();
        assert!(!handle.wait(Duration::from_millis(20)).unwrap());
        assert!(descendants(std::process::id()).unwrap().contains(&process));
        handle.signal(Signal::KILL).unwrap();
        assert!(handle.wait(Duration::from_secs(10)).unwrap());
        assert!(!process.alive().unwrap());
        child.wait().unwrap();
        assert!(!process.alive().unwrap());
        handle.signal(Signal::KILL).unwrap();
    }
}

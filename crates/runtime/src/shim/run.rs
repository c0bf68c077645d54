//! The shim's life with its program.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use model::program::{Exit, ProgramSpec, RestartPolicy};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, kill_process_group, wait};

use super::log::Log;
use super::serve::about;
use super::signals::Signals;
use super::spawn::{Spawned, spawn};
use crate::folder::{Folder, Lock};
use crate::leftovers::signal;
use crate::proctable::{Process, boot, descendants, timespec};
use crate::status::{Phase, Status};

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A program that ran this long had started well; its next pause is the first again.
const WELL: Duration = Duration::from_secs(60);
/// How long the record of an end is tried to be written, say on a full disk.
const RECORD_TRIES: u32 = 50;
/// What a program that cannot be executed again counts as, as in a shell.
const NOT_EXECUTED: i32 = 127;

pub struct Run {
    folder: Folder,
    /// Held until the process ends.
    _lock: Lock,
    spec: ProgramSpec,
    signals: Signals,
    log: Log,
    boot: String,
    shim: Process,
    pause: Duration,
    restarts: u32,
    /// For good: the program is not started again.
    stop_asked: bool,
    child: Option<Child>,
    /// None: all who could write have closed it.
    output: Option<OwnedFd>,
    buffer: Vec<u8>,
}

struct Child {
    pid: Pid,
    process: Process,
    since: Instant,
    started_at: Timestamp,
    /// When it is killed; set once the stop signal is sent.
    kill_at: Option<Instant>,
    killed: bool,
    exit: Option<Exit>,
}

impl Run {
    pub fn new(
        folder: Folder,
        lock: Lock,
        spec: ProgramSpec,
        signals: Signals,
        log: Log,
    ) -> io::Result<Self> {
        // A panic's message goes there too.
        rustix::stdio::dup2_stderr(&log)?;
        Ok(Self {
            folder,
            _lock: lock,
            spec,
            signals,
            log,
            boot: boot()?,
            shim: Process::this()?,
            pause: FIRST_PAUSE,
            restarts: 0,
            stop_asked: false,
            child: None,
            output: None,
            buffer: vec![0; 64 << 10],
        })
    }

    /// Starts the program for the first time. If that fails, spec and status
    /// are as they were.
    pub fn begin(&mut self) -> io::Result<()> {
        // Before the program exists, so that none ever runs whose spec is not known.
        let before = self.folder.spec().map_err(about("read the former specification"))?;
        self.folder.write_spec(&self.spec).map_err(about("write the specification"))?;
        let started = self.start().and_then(|()| self.record_running().map_err(about("write the status")));
        if started.is_err() {
            self.sweep();
            match before {
                Some(before) => self.folder.write_spec(&before)?,
                None => self.folder.remove_spec()?,
            }
        }
        started
    }

    /// Stays until the program has ended for good.
    pub fn until_end(mut self) {
        loop {
            let exit = self.attend();
            self.sweep();
            self.child = None;
            if self.stop_asked || self.spec.restart == RestartPolicy::Never {
                return self.record(&Phase::Ended { exit, at: Timestamp::now() });
            }
            if let Some(exit) = self.restart(exit) {
                return self.record(&Phase::Ended { exit, at: Timestamp::now() });
            }
        }
    }

    fn start(&mut self) -> io::Result<()> {
        let Spawned { pid, output } = spawn(&self.spec, self.folder.path()).map_err(|error| {
            let program = self.spec.argv.first().map_or("", String::as_str);
            let identity = self.spec.identity.map(|who| format!(" as user {}", who.uid)).unwrap_or_default();
            io::Error::other(format!("run {program} in {}{identity}: {error}", self.spec.dir.display()))
        })?;
        let raw = pid.as_raw_nonzero().get().unsigned_abs();
        // Not yet waited for, so its pid is its own even if it has ended already.
        let process = Process::of_child(raw)?;
        self.output = Some(output);
        self.child = Some(Child {
            pid,
            process,
            since: Instant::now(),
            started_at: Timestamp::now(),
            kill_at: None,
            killed: false,
            exit: None,
        });
        Ok(())
    }

    /// Waits for the program's end, and stops it when asked to.
    fn attend(&mut self) -> Exit {
        loop {
            self.reap();
            if self.stop_asked {
                self.stop();
            }
            let Some(child) = &self.child else { return Exit::Unknown };
            if let Some(exit) = child.exit {
                return exit;
            }
            let now = Instant::now();
            let time = match child.kill_at {
                Some(at) if !child.killed && at <= now => {
                    self.kill();
                    continue;
                }
                Some(at) if !child.killed => Some(at - now),
                _ => None,
            };
            self.poll(time);
        }
    }

    fn stop(&mut self) {
        let Some(child) = &mut self.child else { return };
        if child.kill_at.is_some() || child.exit.is_some() {
            return;
        }
        child.kill_at = Some(Instant::now() + self.spec.grace);
        // Our own child, not yet waited for: the pid cannot be another's.
        let _ = kill_process(child.pid, signal(self.spec.stop_signal));
        self.record_running().unwrap_or_else(|error| self.log.note(&format!("write the status: {error}")));
    }

    fn kill(&mut self) {
        let Some(child) = &mut self.child else { return };
        child.killed = true;
        let _ = kill_process_group(child.pid, Signal::KILL);
        let _ = kill_process(child.pid, Signal::KILL);
        let grace = self.spec.grace;
        self.log.note(&format!("killed: it had not ended {} s after its stop signal", grace.as_secs_f32()));
    }

    /// Ends what the program leaves behind, and returns once nothing of it
    /// lives: everything it started is a child of the shim by then.
    fn sweep(&mut self) {
        while self.reap() {
            for process in descendants(self.shim.pid).unwrap_or_default() {
                if let Ok(Some(handle)) = process.open() {
                    let _ = handle.signal(Signal::KILL);
                }
            }
            self.poll(Some(Duration::from_millis(20)));
        }
        // What was written and not yet read.
        while self.output.is_some() && self.drain() {}
        self.output = None;
    }

    /// Pauses and starts the program again. Returns its last exit if it was
    /// stopped before it ran again.
    fn restart(&mut self, mut last: Exit) -> Option<Exit> {
        loop {
            self.record(&Phase::Restarting { last, restarts: self.restarts });
            self.log.note(&format!("ended with {last}; starts again in {} s", self.pause.as_secs_f32()));
            let until = Instant::now() + self.pause;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            loop {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                self.poll(Some(left));
                self.reap();
                if self.stop_asked {
                    return Some(last);
                }
            }
            self.restarts += 1;
            match self.start() {
                Ok(()) => {
                    let recorded = self.record_running();
                    recorded.unwrap_or_else(|error| self.log.note(&format!("write the status: {error}")));
                    return None;
                }
                Err(error) => {
                    self.log.note(&error.to_string());
                    last = Exit::Code(NOT_EXECUTED);
                }
            }
        }
    }

    /// Takes all children that have ended; whether any are left.
    fn reap(&mut self) -> bool {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    if let Some(child) = &mut self.child
                        && child.pid == pid
                    {
                        child.exit = Some(exit(status));
                        if child.since.elapsed() >= WELL {
                            self.pause = FIRST_PAUSE;
                        }
                    }
                }
                Ok(None) => return true,
                Err(Errno::INTR) => {}
                // No children.
                Err(_) => return false,
            }
        }
    }

    /// Waits until something happens; takes output and signals.
    fn poll(&mut self, time: Option<Duration>) {
        let readable = {
            let mut fds = vec![PollFd::new(&self.signals, PollFlags::IN)];
            fds.extend(self.output.as_ref().map(|output| PollFd::new(output, PollFlags::IN)));
            match poll(&mut fds, time.map(timespec).as_ref()) {
                Ok(_) => fds.get(1).is_some_and(|fd| !fd.revents().is_empty()),
                Err(_) => true,
            }
        };
        if readable {
            self.drain();
        }
        self.stop_asked |= self.signals.term().unwrap_or_default();
    }

    /// Moves output to the log, a bounded amount so that signals get their
    /// turn; whether there may be more.
    fn drain(&mut self) -> bool {
        for _ in 0..16 {
            let Some(output) = &self.output else { return false };
            match rustix::io::read(output, &mut self.buffer) {
                Ok(0) => {
                    self.output = None;
                    return false;
                }
                Ok(length) => {
                    if self.log.write(&self.buffer[..length]) {
                        let _ = rustix::stdio::dup2_stderr(&self.log);
                    }
                }
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
        true
    }

    fn status(&self, phase: &Phase) -> Status {
        Status { boot: self.boot.clone(), shim: self.shim, phase: phase.clone() }
    }

    fn record_running(&self) -> io::Result<()> {
        let Some(child) = &self.child else { return Ok(()) };
        self.folder.write_status(&self.status(&Phase::Running {
            program: child.process,
            started_at: child.started_at,
            restarts: self.restarts,
            stopping: child.kill_at.is_some(),
        }))
    }

    /// An end not recorded is an end nobody knows of, so it is tried for a while.
    fn record(&mut self, phase: &Phase) {
        let status = self.status(phase);
        for attempt in 0..RECORD_TRIES {
            match self.folder.write_status(&status) {
                Ok(()) => return,
                Err(error) if attempt == 0 => self.log.note(&format!("write the status: {error}")),
                Err(_) => {}
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn exit(status: WaitStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Unknown,
    }
}

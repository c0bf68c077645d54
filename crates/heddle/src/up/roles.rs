//! Control, worker and router as children: started, watched, started again,
//! stopped.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::log::RoleLog;
use crate::output::Output;

/// The pause before a role is started again; it doubles while it keeps ending.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// A role that lived this long is no longer one that keeps ending.
const SETTLED: Duration = Duration::from_secs(5);
/// Ended this often in a row, it is said so.
const KEEPS_ENDING: u32 = 4;

/// How far a role is to be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wish {
    Run,
    /// TERM, then what is under way may end.
    Stop,
    /// KILL.
    Hasten,
}

/// What is run as a role.
#[derive(Debug, Clone)]
pub struct Spec {
    pub name: &'static str,
    pub heddle: PathBuf,
    pub data: PathBuf,
    pub log: PathBuf,
    /// After TERM; then it is killed.
    pub grace: Duration,
}

/// A role that is kept running until it is stopped.
pub struct Role {
    name: &'static str,
    wish: watch::Sender<Wish>,
    task: JoinHandle<()>,
}

impl Role {
    /// Must be called on the main thread: a child is told of the death of the
    /// thread that started it.
    pub fn start(spec: Spec, output: Output) -> Self {
        let (wish, wished) = watch::channel(Wish::Run);
        let name = spec.name;
        let task = tokio::task::spawn_local(keep(spec, wished, output));
        Self { name, wish, task }
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Asks it to stop; [`Role::stopped`] waits for it.
    pub fn stop(&self) {
        self.wish.send_if_modified(|wish| std::mem::replace(wish, (*wish).max(Wish::Stop)) < Wish::Stop);
    }

    pub fn hasten(&self) {
        self.wish.send_replace(Wish::Hasten);
    }

    /// Ends once the role's process has, after [`Role::stop`].
    pub async fn stopped(&mut self) {
        let _ = (&mut self.task).await;
    }
}

async fn keep(spec: Spec, mut wish: watch::Receiver<Wish>, output: Output) {
    let mut log = RoleLog::new(spec.name, spec.log.clone(), output);
    let mut pause = FIRST_PAUSE;
    let mut endings = 0;
    while *wish.borrow() == Wish::Run {
        let started = Instant::now();
        let reason = match spawn(&spec, &log) {
            Err(error) => format!("could not be started: {error}"),
            Ok(mut child) => {
                let ended = tokio::select! {
                    ended = child.wait() => ended,
                    () = log.watch() => unreachable!("a log is watched without end"),
                    () = wanted(&mut wish, Wish::Stop) => {
                        end(&mut child, &spec, &mut wish).await;
                        log.catch_up();
                        return;
                    }
                };
                log.catch_up();
                ended.map_or_else(|error| error.to_string(), how)
            }
        };
        if started.elapsed() > SETTLED {
            pause = FIRST_PAUSE;
            endings = 0;
        }
        endings += 1;
        let name = spec.name;
        match endings {
            1..KEEPS_ENDING => output.note(format!("{name} {reason}; it is started again")),
            KEEPS_ENDING => {
                output.note(format!("{name} keeps ending: it {reason}. The end of {}:", spec.log.display()));
                for line in log.last_lines(12) {
                    output.note(format!("  {line}"));
                }
                output.note("It is started again every now and then, without a further word.");
            }
            _ => {}
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = wanted(&mut wish, Wish::Stop) => return,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn spawn(spec: &Spec, log: &RoleLog) -> io::Result<Child> {
    Command::new(&spec.heddle)
        .arg(spec.name)
        .arg("--data")
        .arg(&spec.data)
        .args(["--parent", &std::process::id().to_string()])
        // The owner's way into the database is not theirs.
        .env_remove("HEDDLE_DATABASE_URL")
        .env_remove("HEDDLE_API_KEY")
        // Ctrl-C is for `up`, which stops them in order.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.open()?)
        .spawn()
}

/// Asks it to end; waits for its grace, or until it is hastened.
async fn end(child: &mut Child, spec: &Spec, wish: &mut watch::Receiver<Wish>) {
    let signal = |signal| {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended just now.
            let _ = kill_process(pid, signal);
        }
    };
    signal(Signal::TERM);
    tokio::select! {
        ended = timeout(spec.grace, child.wait()) => {
            if ended.is_ok() {
                return;
            }
            tracing::warn!(role = spec.name, "did not end in time; killed");
        }
        () = wanted(wish, Wish::Hasten) => {}
    }
    let _ = child.kill().await;
}

async fn wanted(wish: &mut watch::Receiver<Wish>, least: Wish) {
    if wish.wait_for(|wish| *wish >= least).await.is_err() {
        // Nobody is left to wish for anything.
        std::future::pending().await
    }
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".into(),
    }
}

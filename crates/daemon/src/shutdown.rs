//! Ending a process in good order.

use std::fmt;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Told to everyone who has work to bring to an end. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everyone to end. Cannot be taken back; again it is a no-op.
    pub fn begin(&self) {
        self.0.cancel();
    }

    pub fn has_begun(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Ends when the shutdown begins; at once if it has. Safe to drop.
    pub async fn begun(&self) {
        self.0.cancelled().await;
    }

    /// One that begins with this one, and can begin earlier alone.
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }
}

/// A signal that asks a process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// INT, as from Ctrl-C.
    Interrupt,
    /// TERM, as from a supervisor.
    Terminate,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        })
    }
}

#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

/// Takes INT and TERM from now on: they no longer end the process by themselves.
pub fn signals() -> io::Result<Signals> {
    Ok(Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
}

impl Signals {
    /// The next one; a second one usually means to end at once. Safe to drop:
    /// none is missed in between.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            Some(()) = self.interrupt.recv() => Asked::Interrupt,
            Some(()) = self.terminate.recv() => Asked::Terminate,
            // Neither stream ever ends.
            else => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{getpid, kill_process};

    #[tokio::test]
    async fn everyone_is_told_once() {
        let shutdown = Shutdown::new();
        let (clone, child) = (shutdown.clone(), shutdown.child());
        child.begin();
        assert!(!shutdown.has_begun());
        let child = shutdown.child();
        shutdown.begin();
        shutdown.begin();
        clone.begun().await;
        child.begun().await;
    }

    #[tokio::test]
    async fn signals_are_told_apart() {
        let mut signals = signals().unwrap();
        kill_process(getpid(), rustix::process::Signal::TERM).unwrap();
        assert_eq!(signals.next().await, Asked::Terminate);
        kill_process(getpid(), rustix::process::Signal::INT).unwrap();
        assert_eq!(signals.next().await.to_string(), "SIGINT");
    }
}

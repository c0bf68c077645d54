//! What the shim writes down about its program (`status.json`), and what it
//! means once that is compared with the processes that really live.

use std::io;

use jiff::Timestamp;
use model::program::{Exit, ProgramState};
use serde::{Deserialize, Serialize};

use crate::proctable::{Process, boot};

/// Written by the shim alone, under the program's lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The boot the processes below belong to.
    pub boot: String,
    pub shim: Process,
    #[serde(flatten)]
    pub phase: Phase,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Phase {
    Running {
        program: Process,
        started_at: Timestamp,
        /// How often it was started again since `start`.
        restarts: u32,
        /// The stop signal has been sent.
        stopping: bool,
    },
    /// It ended by itself and is started again after a pause.
    Restarting { last: Exit, restarts: u32 },
    /// Ended for good, and nothing of it is left.
    Ended { exit: Exit, at: Timestamp },
}

/// A status, held against the processes that live.
#[derive(Debug)]
pub enum Seen {
    Absent,
    /// The shim lives and vouches for the phase.
    Guarded {
        shim: Process,
        phase: Phase,
    },
    /// The shim was killed and the program lives on without it.
    Orphan {
        program: Process,
        restarts: u32,
    },
    /// The shim was killed and so is the program; what it had started may live.
    Lost,
    Ended(Exit),
}

impl Seen {
    pub fn of(status: Option<Status>) -> io::Result<Self> {
        let Some(Status { boot: then, shim, phase }) = status else { return Ok(Self::Absent) };
        let same_boot = then == boot()?;
        if same_boot && shim.alive()? {
            return Ok(Self::Guarded { shim, phase });
        }
        Ok(match phase {
            Phase::Ended { exit, .. } => Self::Ended(exit),
            // What ended in another boot was seen by nobody and has left nothing.
            _ if !same_boot => Self::Ended(Exit::Unknown),
            Phase::Running { program, restarts, .. } if program.alive()? => {
                Self::Orphan { program, restarts }
            }
            Phase::Running { .. } | Phase::Restarting { .. } => Self::Lost,
        })
    }

    pub fn state(&self) -> ProgramState {
        match self {
            Self::Absent => ProgramState::Absent,
            Self::Guarded { phase: Phase::Running { program, restarts, .. }, .. } => {
                ProgramState::Running { pid: program.pid, restarts: *restarts }
            }
            Self::Guarded { phase: Phase::Restarting { last, restarts }, .. } => {
                ProgramState::Restarting { last: *last, restarts: *restarts }
            }
            Self::Orphan { program, restarts } => {
                ProgramState::Running { pid: program.pid, restarts: *restarts }
            }
            Self::Lost => ProgramState::Ended(Exit::Unknown),
            Self::Guarded { phase: Phase::Ended { exit, .. }, .. } | Self::Ended(exit) => {
                ProgramState::Ended(*exit)
            }
        }
    }
}

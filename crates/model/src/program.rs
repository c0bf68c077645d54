//! A program to be run: what the crates that know PostgreSQL and Odoo ask for,
//! and what a driver of `runtime` carries out.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::InvalidName;

/// Names a program on one host: `odoo-<lineage>`, `cell-<lineage>`.
/// `^[a-z0-9][a-z0-9-]{0,79}$`, so that it can be a folder's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProgramId(String);

impl ProgramId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProgramId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let good = (1..=80).contains(&text.len())
            && !text.starts_with('-')
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !good {
            let why = "must be 1 to 80 characters of a-z, 0-9 and -".to_owned();
            return Err(InvalidName { what: "program", name: text.chars().take(100).collect(), why });
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for ProgramId {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<ProgramId> for String {
    fn from(id: ProgramId) -> String {
        id.0
    }
}

impl fmt::Display for ProgramId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The operating system's user and group a program runs as; only a driver that
/// runs as root can give one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
}

crate::written_enum! {
    /// What a driver does when a program ends without having been stopped.
    pub enum RestartPolicy {
        /// It was meant to end; its exit code is kept.
        Never = "never",
        /// It is started again, after a pause that grows while it keeps ending.
        Always = "always",
    }
}

crate::written_enum! {
    /// The signal that asks a program to end in good order.
    pub enum StopSignal {
        /// Odoo: finish requests under way, then end.
        Term = "TERM",
        /// PostgreSQL: a fast shutdown (roll back sessions, checkpoint, archive).
        Int = "INT",
    }
}

/// Everything a driver needs to run a program. Secrets never stand in `argv`
/// (any user can read it) and only reluctantly in `env`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramSpec {
    pub id: ProgramId,
    /// The program's absolute path, then its arguments.
    pub argv: Vec<String>,
    /// The whole environment; nothing is inherited.
    pub env: BTreeMap<String, String>,
    pub dir: PathBuf,
    /// None: the driver's own identity.
    pub identity: Option<Identity>,
    pub restart: RestartPolicy,
    pub stop_signal: StopSignal,
    /// How long after the stop signal the program is killed.
    pub grace: Duration,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    Code(i32),
    Signal(i32),
    /// The shim was killed as well, so nobody saw it end.
    Unknown,
}

impl Exit {
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::Unknown => f.write_str("an unknown end"),
        }
    }
}

/// What a driver sees of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProgramState {
    /// Never started here, or removed.
    Absent,
    Running {
        pid: u32,
        restarts: u32,
    },
    /// Ended and about to be started again.
    Restarting {
        last: Exit,
        restarts: u32,
    },
    Ended(Exit),
}

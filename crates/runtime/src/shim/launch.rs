//! The first process: starts the second one and waits for its verdict.

use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use super::{HELD, STAGE};

/// What the second process says on its standard output, in one line.
pub enum Verdict {
    Ready,
    Held,
    Failed(String),
}

impl Verdict {
    pub fn to_line(&self) -> String {
        match self {
            Self::Ready => "ready\n".to_owned(),
            Self::Held => "held\n".to_owned(),
            Self::Failed(why) => format!("failed {}\n", why.replace('\n', " ")),
        }
    }

    fn from_line(line: &str) -> Option<Self> {
        match line.trim_end() {
            "ready" => Some(Self::Ready),
            "held" => Some(Self::Held),
            other => other.strip_prefix("failed ").map(|why| Self::Failed(why.to_owned())),
        }
    }
}

pub fn launch() -> ExitCode {
    match verdict() {
        Ok(Verdict::Ready) => ExitCode::SUCCESS,
        Ok(Verdict::Held) => ExitCode::from(HELD),
        Ok(Verdict::Failed(why)) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("launch the shim: {error}");
            ExitCode::FAILURE
        }
    }
}

fn verdict() -> io::Result<Verdict> {
    let mut args = std::env::args_os();
    let name = args.next().unwrap_or_else(|| "heddle".into());
    // This very binary, even if its path has been given to a newer one since.
    let mut child = Command::new("/proc/self/exe")
        .arg0(name)
        .args(args)
        .env(STAGE, "serve")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut line = String::new();
    if let Some(out) = child.stdout.take() {
        // One line, not all: the shim lives on.
        BufReader::new(out).read_line(&mut line)?;
    }
    match Verdict::from_line(&line) {
        Some(Verdict::Ready) => Ok(Verdict::Ready),
        // Nothing of it, its lock included, is left when the caller hears of it.
        Some(other) => child.wait().map(|_| other),
        None => {
            let status = child.wait()?;
            Err(io::Error::other(format!("it ended before it had started the program ({status})")))
        }
    }
}

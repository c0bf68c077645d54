//! Asking for what must not be seen.

use std::io::{self, IsTerminal, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;

/// More is not what somebody types or pastes as a secret.
const LONGEST: u64 = 64 << 10;

/// The terminal's own way, given back when dropped.
struct Hidden(Termios);

impl Hidden {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        hidden.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// A line that is typed on the terminal, which does not show it.
pub async fn ask_hidden(question: &str) -> Result<String, Failure> {
    let failed = |error: io::Error| Failure::while_trying("read from the terminal", &error);
    let mut interrupted = signal(SignalKind::interrupt()).map_err(failed)?;
    let hidden = Hidden::new().map_err(failed)?;
    let _ = write!(io::stderr(), "{question} ");
    let _ = io::stderr().flush();
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|_| line)
    });
    let line = tokio::select! {
        line = read => line.map_err(io::Error::other).and_then(|line| line).map_err(failed)?,
        _ = interrupted.recv() => {
            // The reader cannot be woken: nothing but the process's end ends it.
            drop(hidden);
            eprintln!();
            std::process::exit(crate::exit::Exit::Interrupted.code().into());
        }
    };
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// What comes on standard input, or is asked for where that is a terminal;
/// without the newline at its end.
pub async fn read_secret(question: &str) -> Result<String, Failure> {
    if io::stdin().is_terminal() {
        return ask_hidden(question).await;
    }
    let mut bytes = Vec::new();
    io::stdin()
        .take(LONGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::while_trying("read standard input", &error))?;
    text(bytes, "what came on standard input")
}

/// A file's text, without the newline at its end.
pub fn read_file(path: &std::path::Path) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| Failure::while_trying(format!("read {}", path.display()), &error))?;
    text(bytes, &path.display().to_string())
}

fn text(bytes: Vec<u8>, what: &str) -> Result<String, Failure> {
    if bytes.len() as u64 > LONGEST {
        return Err(Failure::usage(format!("{what} is longer than 64 KiB")));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| {
        Failure::usage(format!("{what} is no UTF-8 text")).hint("write binary secrets as base64")
    })?;
    if text.ends_with('\n') {
        text.pop();
    }
    if text.ends_with('\r') {
        text.pop();
    }
    Ok(text)
}

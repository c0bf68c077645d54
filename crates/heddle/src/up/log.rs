//! The roles' log files. A role writes its own, so that it needs nobody to
//! read; `up` follows it, shows what a person should see, and keeps it small.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::output::Output;

const AGAIN: Duration = Duration::from_millis(250);
/// Larger, it is moved to `.1` and begun anew.
const LARGEST: u64 = 16 << 20;
/// What is kept of a line without an end.
const LONGEST_LINE: usize = 64 << 10;

pub struct RoleLog {
    role: &'static str,
    path: PathBuf,
    output: Output,
    /// How far it was read.
    offset: u64,
    unfinished: Vec<u8>,
}

impl RoleLog {
    pub fn new(role: &'static str, path: PathBuf, output: Output) -> Self {
        let offset = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        Self { role, path, output, offset, unfinished: Vec::new() }
    }

    /// For a role to write to. Appending: it goes on at the start when `up` has
    /// emptied the file.
    pub fn open(&self) -> io::Result<File> {
        OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)
    }

    /// Shows new warnings and errors as they come; without end.
    pub async fn watch(&mut self) {
        loop {
            tokio::time::sleep(AGAIN).await;
            self.catch_up();
        }
    }

    /// Shows what has come since.
    pub fn catch_up(&mut self) {
        match self.read_new() {
            Ok(lines) => {
                for line in lines.iter().filter(|line| is_worth_showing(line)) {
                    self.output.note(format!("{:<7} | {line}", self.role));
                }
            }
            Err(error) => tracing::debug!(%error, role = self.role, "its log cannot be read"),
        }
    }

    fn read_new(&mut self) -> io::Result<Vec<String>> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let length = file.metadata()?.len();
        if length < self.offset {
            self.offset = 0;
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut lines = Vec::new();
        let mut new = Vec::new();
        self.offset += file.take(LARGEST).read_to_end(&mut new)? as u64;
        for byte in new {
            if byte == b'\n' {
                lines.push(String::from_utf8_lossy(&self.unfinished).into_owned());
                self.unfinished.clear();
            } else if self.unfinished.len() < LONGEST_LINE {
                self.unfinished.push(byte);
            }
        }
        if self.offset > LARGEST {
            self.rotate()?;
        }
        Ok(lines)
    }

    /// By copying: the role goes on writing to the same file. What it writes
    /// between the two steps is lost.
    fn rotate(&mut self) -> io::Result<()> {
        let mut older = self.path.clone().into_os_string();
        older.push(".1");
        fs::copy(&self.path, older)?;
        OpenOptions::new().write(true).open(&self.path)?.set_len(0)?;
        self.offset = 0;
        Ok(())
    }

    pub fn last_lines(&self, count: usize) -> Vec<String> {
        let read = || -> io::Result<String> {
            let mut file = File::open(&self.path)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(64 << 10)))?;
            let mut tail = Vec::new();
            file.read_to_end(&mut tail)?;
            Ok(String::from_utf8_lossy(&tail).into_owned())
        };
        let text = read().unwrap_or_default();
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines[lines.len().saturating_sub(count)..].to_vec()
    }
}

/// In either log format.
fn is_worth_showing(line: &str) -> bool {
    [" WARN ", " ERROR ", "\"level\":\"WARN\"", "\"level\":\"ERROR\"", "panicked at"]
        .iter()
        .any(|mark| line.contains(mark))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn new_lines_are_read_once_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "of an earlier start\n").unwrap();
        let mut log = RoleLog::new("worker", path, Output { json: true });
        let mut role = log.open().unwrap();
        write!(role, "one\ntw").unwrap();
        assert_eq!(log.read_new().unwrap(), ["one"]);
        write!(role, "o\nthree\n").unwrap();
        assert_eq!(log.read_new().unwrap(), ["two", "three"]);
        log.rotate().unwrap();
        writeln!(role, "four").unwrap();
        assert_eq!(log.read_new().unwrap(), ["four"]);
        assert_eq!(log.last_lines(5), ["four"]);
    }

    #[test]
    fn only_warnings_and_errors_are_shown() {
        assert!(is_worth_showing("2026-11-21T11:35:51Z  WARN worker: slow"));
        assert!(is_worth_showing("{\"level\":\"ERROR\"}"));
        assert!(!is_worth_showing("2026-11-21T11:35:51Z  INFO worker: started"));
    }
}

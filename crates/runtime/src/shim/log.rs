//! The program's output on disk, rotated.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::tail::rotated;

/// How far a line without an end may go beyond a full file before it is cut.
const OVERHANG: u64 = 64 << 10;

pub struct Log {
    path: PathBuf,
    size: u64,
    kept: usize,
    file: File,
    written: u64,
    at_line_start: bool,
    /// Bytes that could not be written, to be admitted as soon as something can.
    lost: u64,
}

impl Log {
    /// Continues the log at `path`; a file is rotated at `size` bytes, `kept` files stay.
    pub fn open(path: &Path, size: u64, kept: usize) -> io::Result<Self> {
        let file = create(path)?;
        let written = file.metadata()?.len();
        let path = path.to_owned();
        // If the last run ended within a line, the next one shall not continue it.
        let mut log = Self { path, size, kept, file, written, at_line_start: true, lost: 0 };
        if written > 0 && !ends_with_newline(&log.path)? {
            log.put(b"\n");
        }
        Ok(log)
    }

    /// Writes output of the program. Never fails: a program must not stop
    /// because a disk is full. What is lost is counted and said later.
    /// Returns whether it went on in a new file.
    pub fn write(&mut self, mut bytes: &[u8]) -> bool {
        let mut rotated = false;
        while !bytes.is_empty() {
            let room = self.size.saturating_sub(self.written);
            if bytes.len() as u64 <= room {
                self.put(bytes);
                break;
            }
            let room = usize::try_from(room).unwrap_or(usize::MAX);
            // As many whole lines as fit; if none does, up to the end of the line at hand.
            let whole = bytes[..room].iter().rposition(|byte| *byte == b'\n');
            let cut = match whole {
                Some(at) => at + 1,
                None if self.at_line_start && self.written > 0 => 0,
                None => match bytes.iter().position(|byte| *byte == b'\n') {
                    Some(at) => at + 1,
                    None if self.written + (bytes.len() as u64) < self.size + OVERHANG => {
                        self.put(bytes);
                        break;
                    }
                    None => bytes.len(),
                },
            };
            let (now, later) = bytes.split_at(cut);
            self.put(now);
            self.rotate();
            rotated = true;
            bytes = later;
        }
        rotated
    }

    /// Writes a line of the shim's own.
    pub fn note(&mut self, text: &str) {
        let start = if self.at_line_start { "" } else { "\n" };
        self.write(format!("{start}[heddle] {text}\n").as_bytes());
    }

    fn put(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.lost > 0 {
            let start = if self.at_line_start { "" } else { "\n" };
            let admission = format!("{start}[heddle] {} bytes of output could not be written\n", self.lost);
            if self.file.write_all(admission.as_bytes()).is_ok() {
                self.written += admission.len() as u64;
                self.at_line_start = true;
                self.lost = 0;
            }
        }
        match self.file.write_all(bytes) {
            Ok(()) => {
                self.written += bytes.len() as u64;
                self.at_line_start = bytes.ends_with(b"\n");
            }
            Err(_) => {
                self.lost += bytes.len() as u64;
                // Part of it may be there.
                self.at_line_start = false;
            }
        }
    }

    fn rotate(&mut self) {
        for number in (1..self.kept).rev() {
            // What is missing need not be moved; what cannot be moved is overwritten or kept.
            let _ = fs::rename(rotated(&self.path, number - 1), rotated(&self.path, number));
        }
        // If no new file can be made, the old one goes on, under its new name.
        if let Ok(file) = create(&self.path) {
            self.file = file;
        }
        self.written = 0;
        self.at_line_start = true;
    }
}

impl AsFd for Log {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

fn ends_with_newline(path: &Path) -> io::Result<bool> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = File::open(path)?;
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(log: &Path, number: usize) -> String {
        fs::read_to_string(rotated(log, number)).unwrap_or_default()
    }

    #[test]
    fn files_end_with_whole_lines_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = Log::open(&path, 10, 3).unwrap();
        // Chunks as they come from a pipe: not at line ends.
        for chunk in ["one\ntw", "o\nthree\nfour\nfi", "ve\nsix\nseven\n", "eight\n"] {
            log.write(chunk.as_bytes());
        }
        let files: Vec<String> = (0..4).map(|number| read(&path, number)).collect();
        assert!(files[3].is_empty());
        assert!(files[..3].iter().all(|file| file.ends_with('\n')), "{files:?}");
        let whole = files[2].clone() + &files[1] + &files[0];
        assert!("one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\n".ends_with(&whole), "{files:?}");
        assert!(whole.lines().all(|line| {
            ["one", "two", "three", "four", "five", "six", "seven", "eight"].contains(&line)
        }));
    }

    #[test]
    fn a_line_without_an_end_is_cut_at_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = Log::open(&path, 100, 2).unwrap();
        for _ in 0..40 {
            log.write(&[b'x'; 8192]);
        }
        let sizes: Vec<usize> = (0..2).map(|number| read(&path, number).len()).collect();
        assert!(sizes.iter().all(|size| *size < 100 + (64 << 10) + 8192), "{sizes:?}");
    }

    #[test]
    fn a_new_run_starts_on_a_new_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        Log::open(&path, 1000, 2).unwrap().write(b"unfinished");
        let mut log = Log::open(&path, 1000, 2).unwrap();
        log.write(b"next");
        log.note("said");
        assert_eq!(read(&path, 0), "unfinished\nnext\n[heddle] said\n");
    }

    #[test]
    fn a_full_disk_is_admitted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = Log::open(&path, 1000, 2).unwrap();
        let good =
            std::mem::replace(&mut log.file, OpenOptions::new().write(true).open("/dev/full").unwrap());
        log.write(b"lost\n");
        log.file = good;
        log.write(b"kept\n");
        assert_eq!(read(&path, 0), "\n[heddle] 5 bytes of output could not be written\nkept\n");
    }
}

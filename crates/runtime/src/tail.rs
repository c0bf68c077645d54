//! The last lines of a rotated log.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::shim::KEPT_LOGS;

/// What is read at most, over all files.
const MOST: u64 = 1 << 20;

pub fn rotated(log: &Path, number: usize) -> PathBuf {
    match number {
        0 => log.to_owned(),
        _ => {
            let mut name = log.as_os_str().to_owned();
            name.push(format!(".{number}"));
            name.into()
        }
    }
}

/// At most `lines` lines and 1 MiB, oldest first.
pub fn tail(log: &Path, lines: usize) -> io::Result<Vec<String>> {
    // All are opened before any is read, and none twice: a rotation in between renames them.
    let mut files: Vec<(u64, File)> = Vec::new();
    for number in 0..KEPT_LOGS {
        match File::open(rotated(log, number)) {
            Ok(file) => {
                let inode = file.metadata()?.ino();
                if files.iter().all(|(known, _)| *known != inode) {
                    files.push((inode, file));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let mut newest_last: Vec<u8> = Vec::new();
    let mut cut = false;
    for (_, mut file) in files {
        let left = MOST - newest_last.len() as u64;
        let size = file.metadata()?.len();
        let skipped = size.saturating_sub(left);
        file.seek(SeekFrom::Start(skipped))?;
        let mut bytes = Vec::new();
        file.take(left).read_to_end(&mut bytes)?;
        bytes.append(&mut newest_last);
        newest_last = bytes;
        cut = skipped > 0;
        let found = newest_last.iter().filter(|byte| **byte == b'\n').count();
        if cut || found > lines || newest_last.len() as u64 >= MOST {
            break;
        }
    }
    if newest_last.is_empty() {
        return Ok(Vec::new());
    }
    let text = newest_last.strip_suffix(b"\n").unwrap_or(&newest_last);
    let mut all: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    if cut && all.len() > 1 {
        // Its beginning was not read.
        all.remove(0);
    }
    let from = all.len().saturating_sub(lines);
    Ok(all[from..].iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn lines_come_from_the_newest_files_first() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        assert_eq!(tail(&log, 10).unwrap(), Vec::<String>::new());
        fs::write(rotated(&log, 2), "a\nb\n").unwrap();
        fs::write(rotated(&log, 1), "c\nd\n").unwrap();
        fs::write(&log, "e\n\nunfinished").unwrap();
        assert_eq!(tail(&log, 4).unwrap(), ["d", "e", "", "unfinished"]);
        assert_eq!(tail(&log, 100).unwrap(), ["a", "b", "c", "d", "e", "", "unfinished"]);
        assert_eq!(tail(&log, 0).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_is_read_is_bounded_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let line = format!("{}\n", "x".repeat(99));
        fs::write(&log, line.repeat(30_000)).unwrap();
        let lines = tail(&log, usize::MAX).unwrap();
        assert!(lines.len() > 10_000 && lines.iter().map(|line| line.len() + 1).sum::<usize>() <= 1 << 20);
        assert!(lines.iter().all(|line| line.len() == 99));
        // One line without an end that is longer than all that may be read.
        fs::write(&log, "y".repeat(3 << 20)).unwrap();
        assert_eq!(tail(&log, 5).unwrap()[0].len(), 1 << 20);
    }
}

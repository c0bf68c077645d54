//! Copying a data directory that is in use: files come, go, grow and shrink
//! meanwhile; the WAL of the backup makes up for all of it.

use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::manifest::{FileEntry, Stored};
use crate::disk::FileError;
use crate::seal::Sealer;
use crate::store::Upload;
use crate::tree::{Folder, Kind, TreeError};

/// Folders that are kept empty: what is in them is of one running server only,
/// or comes from the repository's WAL.
const EMPTY: &[&str] = &[
    "pg_wal",
    "pg_dynshmem",
    "pg_notify",
    "pg_replslot",
    "pg_serial",
    "pg_snapshots",
    "pg_stat_tmp",
    "pg_subtrans",
];

/// Files at the top that are not the cluster's data.
const SKIPPED: &[&str] = &[
    "backup_label",
    "backup_label.old",
    "backup_manifest",
    "current_logfiles",
    "current_logfiles.tmp",
    "postgresql.auto.conf.tmp",
    "postmaster.opts",
    "postmaster.pid",
    "recovery.done",
    "recovery.signal",
    "standby.signal",
    "tablespace_map",
    "tablespace_map.old",
];

const CONTROL: &str = "global/pg_control";

/// PostgreSQL writes its control file in one block of this size.
const CONTROL_SIZE: usize = 8192;

/// No path in a data directory is deeper than `base/5/t3_16384`.
const DEPTH: usize = 6;

#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("{} is a link; tablespaces and other links are not backed up", .0.display())]
    Link(PathBuf),
    #[error("{} is neither a file nor a folder", .0.display())]
    Special(PathBuf),
    #[error("{} has a name that is not UTF-8", .0.display())]
    Name(PathBuf),
    #[error("the control file could not be read as a whole")]
    TornControl,
    #[error("the data directory is of a cluster with another system identifier ({found}, not {expected})")]
    WrongSystem { found: u64, expected: u64 },
    #[error("read the data directory")]
    Tree(#[from] TreeError),
    #[error("read {path}")]
    Read { path: String, source: io::Error },
    #[error("write the backup's data")]
    Write { source: io::Error },
    #[error(transparent)]
    File(#[from] FileError),
}

pub(super) struct Copied {
    pub data: Upload,
    pub stored: Stored,
    pub directories: Vec<String>,
    pub files: Vec<FileEntry>,
    pub size: u64,
    pub postgres: String,
}

/// Copies the data directory into a compressed tar. `progress` gets the bytes
/// read and the bytes expected.
pub(super) fn copy(
    data: &Folder,
    system_identifier: u64,
    object: Sealer<Upload>,
    progress: &dyn Fn(u64, u64),
) -> Result<Copied, CopyError> {
    let postgres = String::from_utf8_lossy(&data.read("PG_VERSION", 64)?).trim().to_owned();
    let mut listing = Listing::default();
    list(data, "", &mut listing)?;
    listing.files.sort_unstable();
    listing.directories.sort_unstable();
    let expected = listing.size;

    let mut tar = tar::Builder::new(object);
    let mut files = Vec::with_capacity(listing.files.len() + 1);
    let mut done = 0;
    for path in listing.files {
        let (file, stat) = match data.file_at(&path) {
            Ok(found) => found,
            Err(error) if error.is_missing() => continue,
            Err(error) if error.is_link() => return Err(CopyError::Link(data.path().join(path))),
            Err(error) => return Err(error.into()),
        };
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let mut source = Steady::new(file, size);
        append(&mut tar, &path, size, &mut source)?;
        if let Some(error) = source.error {
            return Err(CopyError::Read { path, source: error });
        }
        files.push(FileEntry { path, size, sha256: hex::encode(source.hash.finalize()) });
        done += size;
        progress(done, expected.max(done));
    }

    // The control file last: it must not be older than any file it speaks of.
    let control = read_control(data, system_identifier)?;
    append(&mut tar, CONTROL, control.len() as u64, &mut &control[..])?;
    let sha256 = hex::encode(Sha256::digest(&control));
    files.push(FileEntry { path: CONTROL.to_owned(), size: control.len() as u64, sha256 });
    done += control.len() as u64;

    let sealed = tar.into_inner().and_then(Sealer::finish).map_err(write)?;
    let stored = Stored { name: "data".to_owned(), size: sealed.stored };
    let data = sealed.inner;
    data.sync()?;
    progress(done, done);
    Ok(Copied { data, stored, directories: listing.directories, files, size: done, postgres })
}

fn write(source: io::Error) -> CopyError {
    CopyError::Write { source }
}

fn append<W: Write>(
    tar: &mut tar::Builder<W>,
    path: &str,
    size: u64,
    content: &mut dyn Read,
) -> Result<(), CopyError> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(size);
    header.set_mode(0o600);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    tar.append_data(&mut header, path, content).map_err(write)
}

#[derive(Default)]
struct Listing {
    directories: Vec<String>,
    files: Vec<String>,
    size: u64,
}

fn list(folder: &Folder, at: &str, listing: &mut Listing) -> Result<(), CopyError> {
    for entry in folder.entries()? {
        let Some(name) = entry.name else { return Err(CopyError::Name(folder.path().to_owned())) };
        let path = if at.is_empty() { name.clone() } else { format!("{at}/{name}") };
        if is_skipped(&path, &name) {
            continue;
        }
        let emptied = EMPTY.contains(&&*path);
        match entry.kind {
            // Where the WAL is does not matter: none of it is copied.
            Kind::Link if path == "pg_wal" => listing.directories.push(path),
            Kind::Link => return Err(CopyError::Link(folder.path().join(name))),
            Kind::Other => return Err(CopyError::Special(folder.path().join(name))),
            Kind::Folder if emptied => listing.directories.push(path),
            Kind::Folder => {
                let inner = match folder.folder(&name) {
                    Ok(inner) => inner,
                    // A database that was dropped meanwhile.
                    Err(error) if error.is_missing() => continue,
                    Err(error) => return Err(error.into()),
                };
                if path.matches('/').count() >= DEPTH {
                    return Err(CopyError::Special(inner.path().to_owned()));
                }
                list(&inner, &path, listing)?;
                listing.directories.push(path);
            }
            Kind::File if path == CONTROL => {}
            Kind::File => {
                if let Ok((_, stat)) = folder.file(&name) {
                    listing.size += u64::try_from(stat.st_size).unwrap_or(0);
                }
                listing.files.push(path);
            }
        }
    }
    Ok(())
}

fn is_skipped(path: &str, name: &str) -> bool {
    SKIPPED.contains(&path)
        || path == "heddle-recovery.conf"
        || path.ends_with(".new")
        || name.starts_with("pgsql_tmp")
        || name.starts_with("pg_internal.init")
}

/// The control file as one write of PostgreSQL left it, checked by its CRC.
fn read_control(data: &Folder, expected: u64) -> Result<Vec<u8>, CopyError> {
    for _ in 0..50 {
        let bytes = data.folder("global")?.read("pg_control", CONTROL_SIZE as u64)?;
        if bytes.len() == CONTROL_SIZE && has_valid_crc(&bytes) {
            let found = bytes.first_chunk().map_or(0, |id| u64::from_le_bytes(*id));
            if found != expected {
                return Err(CopyError::WrongSystem { found, expected });
            }
            return Ok(bytes);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(CopyError::TornControl)
}

/// Whether some aligned word is the CRC-32C of all that stands before it; where
/// it is depends on the version.
fn has_valid_crc(control: &[u8]) -> bool {
    let mut crc = 0;
    control[..512].chunks_exact(4).enumerate().any(|(place, word)| {
        let found = place >= 16 && word.first_chunk().map(|word| u32::from_le_bytes(*word)) == Some(crc);
        crc = crc32c::crc32c_append(crc, word);
        found
    })
}

/// Gives exactly as many bytes as a file had when it was opened, hashing them:
/// zeros for what it lost since, which replay puts right.
struct Steady {
    file: std::fs::File,
    at: u64,
    size: u64,
    hash: Sha256,
    /// Kept apart, so that it is not taken for a failed write.
    error: Option<io::Error>,
}

impl Steady {
    fn new(file: std::fs::File, size: u64) -> Self {
        Self { file, at: 0, size, hash: Sha256::new(), error: None }
    }
}

impl Read for Steady {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.size - self.at).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 || self.error.is_some() {
            return Ok(0);
        }
        let read = match self.file.read_at(&mut buffer[..wanted], self.at) {
            Ok(0) => {
                buffer[..wanted].fill(0);
                wanted
            }
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                self.error = Some(error);
                return Ok(0);
            }
        };
        self.at += read as u64;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_file_is_known_by_its_crc() {
        let mut control = vec![0_u8; CONTROL_SIZE];
        control[..8].copy_from_slice(&7_u64.to_le_bytes());
        control[8..12].copy_from_slice(&1300_u32.to_le_bytes());
        assert!(!has_valid_crc(&control));
        let crc = crc32c::crc32c(&control[..288]);
        control[288..292].copy_from_slice(&crc.to_le_bytes());
        assert!(has_valid_crc(&control));
        control[100] ^= 1;
        assert!(!has_valid_crc(&control));
    }

    #[test]
    fn a_file_that_shrank_is_filled_up() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abc").unwrap();
        io::Seek::rewind(&mut file).unwrap();
        let mut read = Vec::new();
        let mut steady = Steady::new(file, 6);
        steady.read_to_end(&mut read).unwrap();
        assert_eq!(read, b"abc\0\0\0");
        assert_eq!(steady.hash.finalize(), Sha256::digest(&read));
    }
}

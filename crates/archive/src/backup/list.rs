//! What of a data directory is backed up.

use std::time::Duration;

use super::copy::CopyError;
use crate::tree::{Folder, Kind};

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

pub(super) const CONTROL: &str = "global/pg_control";

/// PostgreSQL writes its control file in one block of this size.
const CONTROL_SIZE: usize = 8192;

/// No path in a data directory is deeper than `base/5/t3_16384`.
const DEPTH: usize = 6;

/// A data directory as it was seen. The control file is not in it.
#[derive(Default)]
pub(super) struct Listing {
    /// Parents first.
    pub directories: Vec<String>,
    pub files: Vec<Listed>,
    pub size: u64,
}

pub(super) struct Listed {
    pub path: String,
    pub size: u64,
}

pub(super) fn list(data: &Folder) -> Result<Listing, CopyError> {
    let mut listing = Listing::default();
    walk(data, "", &mut listing)?;
    listing.files.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    listing.directories.sort_unstable();
    Ok(listing)
}

fn walk(folder: &Folder, at: &str, listing: &mut Listing) -> Result<(), CopyError> {
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
                walk(&inner, &path, listing)?;
                listing.directories.push(path);
            }
            Kind::File if path == CONTROL => {}
            Kind::File => {
                // Gone or a link by now, it is met again when it is read.
                let size = folder.file(&name).map_or(0, |(_, stat)| u64::try_from(stat.st_size).unwrap_or(0));
                listing.size += size;
                listing.files.push(Listed { path, size });
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
pub(super) fn read_control(data: &Folder, expected: u64) -> Result<Vec<u8>, CopyError> {
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
}

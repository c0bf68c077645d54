//! A stopped cluster's control file: who it is, and giving it a new identity.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use model::lsn::{Lsn, SegmentSize, Timeline};
use model::program::Identity;

use crate::disk::{self, FileError, fault};
use crate::tool::{Tool, ToolError};
use crate::{Binaries, secret};

/// What a cluster was doing when its control file was last written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Stopped in good order: all its data is in its files.
    ShutDown,
    /// Stopped in good order during a recovery.
    ShutDownInRecovery,
    /// Running, or killed while it ran.
    InProduction,
    /// Recovering, or killed meanwhile.
    InArchiveRecovery,
    /// In PostgreSQL's words.
    Other(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlFile {
    pub system_identifier: u64,
    pub state: State,
    /// Of the latest checkpoint.
    pub timeline: Timeline,
    /// The latest checkpoint.
    pub checkpoint: Lsn,
    /// Where replay from the latest checkpoint starts.
    pub redo: Lsn,
    pub segment_size: SegmentSize,
    pub checksums: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum ControlFileError {
    #[error("read the control file")]
    Read(#[source] ToolError),
    #[error("the control file of {} is damaged: its checksum is wrong", .0.display())]
    Damaged(PathBuf),
    #[error("pg_controldata does not say the {0}")]
    Missing(&'static str),
    #[error("the cluster in {} was not shut down in good order", .0.display())]
    NotShutDown(PathBuf),
    #[error("the checksum in {} was not found: this version of PostgreSQL is not known", .0.display())]
    NoChecksum(PathBuf),
    #[error("the new identifier did not take in {}", .0.display())]
    NotTaken(PathBuf),
    #[error(transparent)]
    File(#[from] FileError),
}

#[derive(Debug, thiserror::Error)]
#[error("reset the WAL of {}", dir.display())]
pub struct ResetWalError {
    pub dir: PathBuf,
    pub source: ToolError,
}

/// Reads the control file, by PostgreSQL's own `pg_controldata`. Of a running
/// cluster it tells the latest checkpoint.
pub fn identify(bin: &Binaries, data_dir: &Path) -> Result<ControlFile, ControlFileError> {
    let text = Tool::new(&bin.program("pg_controldata"), None)
        .arg(data_dir)
        .succeed()
        .map_err(ControlFileError::Read)?;
    if text.contains("CRC checksum does not match") {
        return Err(ControlFileError::Damaged(data_dir.to_owned()));
    }
    parse(&text)
}

fn parse(text: &str) -> Result<ControlFile, ControlFileError> {
    fn value<'a>(text: &'a str, name: &'static str) -> Result<&'a str, ControlFileError> {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
            .ok_or(ControlFileError::Missing(name))
    }
    fn read<T: std::str::FromStr>(text: &str, name: &'static str) -> Result<T, ControlFileError> {
        value(text, name)?.parse().map_err(|_| ControlFileError::Missing(name))
    }
    let state = match value(text, "Database cluster state")? {
        "shut down" => State::ShutDown,
        "shut down in recovery" => State::ShutDownInRecovery,
        "in production" => State::InProduction,
        "in archive recovery" => State::InArchiveRecovery,
        other => State::Other(other.to_owned()),
    };
    Ok(ControlFile {
        system_identifier: read(text, "Database system identifier")?,
        state,
        timeline: Timeline(read(text, "Latest checkpoint's TimeLineID")?),
        checkpoint: read(text, "Latest checkpoint location")?,
        redo: read(text, "Latest checkpoint's REDO location")?,
        segment_size: SegmentSize(read(text, "Bytes per WAL segment")?),
        checksums: read::<u32>(text, "Data page checksum version")? != 0,
    })
}

/// A system identifier as `initdb` makes them: seconds, microseconds, and 12
/// bits that tell two of the same microsecond apart.
pub fn new_system_identifier() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut random = [0; 2];
    secret::fill(&mut random);
    now.as_secs() << 32 | u64::from(now.subsec_micros()) << 12 | u64::from(u16::from_ne_bytes(random) & 0xFFF)
}

/// Makes a copy of a stopped cluster a cluster of its own: PostgreSQL refuses
/// WAL that carries another identifier. The copy's WAL carries the old one, so
/// [`reset_wal`] must follow before it is started. May be repeated until then.
pub fn give_identifier(
    bin: &Binaries,
    data_dir: &Path,
    owner: Option<Identity>,
    new: u64,
) -> Result<(), ControlFileError> {
    let running = disk::exists(&data_dir.join("postmaster.pid"))?;
    if running || identify(bin, data_dir)?.state != State::ShutDown {
        return Err(ControlFileError::NotShutDown(data_dir.to_owned()));
    }
    let path = data_dir.join("global/pg_control");
    let mut bytes = fs::read(&path).map_err(fault("read", &path))?;
    let Some(at) = checksum_offset(&bytes) else {
        return Err(ControlFileError::NoChecksum(path));
    };
    bytes[..8].copy_from_slice(&new.to_ne_bytes());
    let checksum = crc32c::crc32c(&bytes[..at]);
    bytes[at..at + 4].copy_from_slice(&checksum.to_ne_bytes());
    disk::place(&path, &bytes, owner)?;
    disk::sync_folder(&data_dir.join("global"))?;
    // PostgreSQL's own program is the judge of what was written.
    if identify(bin, data_dir)?.system_identifier != new {
        return Err(ControlFileError::NotTaken(path));
    }
    Ok(())
}

/// Where the checksum of everything before it stands: its place differs between
/// versions (288 in PostgreSQL 15). None if there is not exactly one such place.
fn checksum_offset(bytes: &[u8]) -> Option<usize> {
    // The identifier, versions, state, time and checkpoint come first; the
    // structure fits into one disk sector.
    let mut places = (64..bytes.len().min(512).saturating_sub(3)).step_by(4).filter(|&at| {
        let standing: [u8; 4] = bytes[at..at + 4].try_into().expect("four bytes");
        crc32c::crc32c(&bytes[..at]) == u32::from_ne_bytes(standing)
    });
    places.next().filter(|_| places.next().is_none())
}

/// Starts a stopped cluster's WAL anew, at its next segment and on its timeline,
/// under its present identifier. Refused by `pg_resetwal` itself if the cluster
/// was not shut down in good order.
pub fn reset_wal(bin: &Binaries, data_dir: &Path, identity: Option<Identity>) -> Result<(), ResetWalError> {
    Tool::new(&bin.program("pg_resetwal"), identity)
        .arg("-D")
        .arg(data_dir)
        .succeed()
        .map(drop)
        .map_err(|source| ResetWalError { dir: data_dir.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_found_where_it_is_right() {
        let mut bytes: Vec<u8> = (0..=255).cycle().take(8192).collect();
        assert_eq!(checksum_offset(&bytes), None);
        let checksum = crc32c::crc32c(&bytes[..288]);
        bytes[288..292].copy_from_slice(&checksum.to_ne_bytes());
        assert_eq!(checksum_offset(&bytes), Some(288));
        bytes[0] ^= 1;
        assert_eq!(checksum_offset(&bytes), None);
        assert_eq!(checksum_offset(&[]), None);
    }

    #[test]
    fn identifiers_start_with_the_second_and_differ() {
        let (one, two) = (new_system_identifier(), new_system_identifier());
        assert_ne!(one, two);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert!((one >> 32).abs_diff(now) <= 1);
    }

    #[test]
    fn a_missing_line_is_named() {
        let error = parse("Database cluster state: shut down\n").unwrap_err();
        assert_eq!(error.to_string(), "pg_controldata does not say the Database system identifier");
    }
}

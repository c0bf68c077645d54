//! Base backups: taken online, given back as a data directory.

mod copy;
mod extract;
mod manifest;
mod take;

pub use extract::ExtractError;
pub(crate) use extract::check_data;
pub use manifest::{FileEntry, Manifest, Stored};
pub use take::{BackupError, BackupRequest};

/// What one read and one write moves.
const CHUNK: usize = 256 * 1024;

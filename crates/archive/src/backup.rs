//! Base backups: taken online, given back as a data directory.

mod copy;
mod extract;
mod list;
mod manifest;
mod page;
mod plan;
mod take;

pub use extract::ExtractError;
pub(crate) use extract::check_packs;
pub use manifest::{DamagedPage, FileEntry, Manifest, Pack, Part};
pub use take::{BackupError, BackupRequest};

/// The most content of a pack.
const PACK: u64 = 32 << 20;

/// What one read and one write moves.
const CHUNK: usize = 256 * 1024;

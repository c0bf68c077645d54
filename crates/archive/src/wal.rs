//! WAL in the repository: taken in, given back, waited for.

mod fetch;
pub(crate) mod header;
pub(crate) mod piece;
mod place;
mod push;
pub(crate) mod records;
mod take;
mod wait;

use model::lsn::SegmentSize;

pub use fetch::{FetchError, WalChain};
pub use place::PlacedWal;
pub(crate) use push::file_name;
pub use push::{PushError, Pushed};
pub use take::{TakeError, Taken};
pub use wait::WaitError;

/// The largest timeline history or backup label that is taken in.
pub(crate) const TEXT_LIMIT: usize = 1 << 20;

/// What the name of an unfinished segment ends with; those of its pieces go on.
pub(crate) const PARTIAL: &str = ".partial";

/// PostgreSQL's block in the WAL.
const PAGE: usize = 8192;

/// Bytes that a WAL file can have.
pub(crate) fn size_limit(size: SegmentSize) -> usize {
    TEXT_LIMIT.max(size.0 as usize)
}

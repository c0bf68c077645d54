//! WAL in the repository: taken in, given back, waited for.

mod fetch;
pub(crate) mod header;
mod place;
mod push;
pub(crate) mod records;
mod take;
mod wait;

use model::lsn::SegmentSize;

pub use fetch::{FetchError, WalChain};
pub use place::PlacedWal;
pub use push::{PushError, Pushed};
pub use take::{TakeError, Taken};
pub use wait::WaitError;

/// The largest timeline history or backup label that is taken in.
pub(crate) const TEXT_LIMIT: usize = 1 << 20;

/// PostgreSQL's block in the WAL.
const PAGE: usize = 8192;

/// Bytes that a WAL file can have.
pub(crate) fn size_limit(size: SegmentSize) -> usize {
    TEXT_LIMIT.max(size.0 as usize)
}

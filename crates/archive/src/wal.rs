//! WAL in the repository: taken in, given back, waited for.

mod fetch;
pub(crate) mod header;
mod push;
pub(crate) mod records;
mod take;
mod wait;

use std::io::{self, Read};
use std::path::Path;

use model::lsn::SegmentSize;

use crate::disk::{self, FileError, failed};

pub use fetch::{FetchError, WalChain};
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

fn compress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3)?;
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(Some(bytes.len() as u64))?;
    io::Write::write_all(&mut encoder, bytes)?;
    encoder.finish()
}

/// Reads back a file of at most `limit` bytes; None if it is missing. What does
/// not decompress to that is `InvalidData`.
pub(crate) fn read(path: &Path, limit: usize) -> Result<Option<Vec<u8>>, FileError> {
    // Incompressible content grows by very little.
    let Some(stored) = disk::read(path, limit as u64 + 64 * 1024)? else { return Ok(None) };
    let damaged = |error: io::Error| io::Error::new(io::ErrorKind::InvalidData, error);
    let mut bytes = Vec::new();
    let decoder =
        zstd::Decoder::with_buffer(&stored[..]).map_err(damaged).map_err(failed("decompress", path))?;
    let read = decoder.take(limit as u64 + 1).read_to_end(&mut bytes);
    read.map_err(damaged).map_err(failed("decompress", path))?;
    if bytes.len() > limit || bytes.is_empty() {
        return Err(failed("decompress", path)(io::ErrorKind::InvalidData.into()));
    }
    Ok(Some(bytes))
}

/// Whether an error means that the object itself is bad.
pub(crate) fn is_damage(error: &FileError) -> bool {
    matches!(error.source.kind(), io::ErrorKind::InvalidData | io::ErrorKind::FileTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_objects_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one.zst");
        let bytes: Vec<u8> = (0..60_000_u32).flat_map(|n| (n % 251).to_le_bytes()).collect();
        let good = compress(&bytes).unwrap();
        std::fs::write(&path, &good).unwrap();
        assert_eq!(read(&path, bytes.len()).unwrap().unwrap(), bytes);
        assert!(is_damage(&read(&path, bytes.len() - 1).unwrap_err()));
        for place in (0..good.len()).step_by(7) {
            let mut bad = good.clone();
            bad[place] ^= 0x10;
            std::fs::write(&path, &bad).unwrap();
            // A bit of the frame's header that says nothing may be lost.
            match read(&path, bytes.len()) {
                Ok(read) => assert_eq!(read.unwrap(), bytes, "byte {place}"),
                Err(error) => assert!(is_damage(&error), "{error:?}"),
            }
        }
        for length in 0..good.len() {
            std::fs::write(&path, &good[..length]).unwrap();
            assert!(is_damage(&read(&path, bytes.len()).unwrap_err()), "cut to {length}");
        }
    }
}

//! Which pieces of a data directory's files go into which pack.

use super::list::Listed;
use super::page::PAGE;

/// A piece of a file that is to be in a pack.
pub(super) struct Piece {
    pub file: usize,
    pub at: u64,
    /// None: the whole file, whatever its size is when it is opened.
    pub length: Option<u64>,
}

/// Which pieces of which files go together.
pub(super) fn plan(files: &[Listed], target: u64) -> Vec<Vec<Piece>> {
    let target = target / PAGE as u64 * PAGE as u64;
    let (mut packs, mut pack, mut room) = (Vec::new(), Vec::new(), target);
    for (file, listed) in files.iter().enumerate() {
        let mut at = 0;
        loop {
            if room == 0 {
                packs.push(std::mem::take(&mut pack));
                room = target;
            }
            let left = listed.size - at;
            if at == 0 && left <= room {
                pack.push(Piece { file, at, length: None });
                room -= left;
                break;
            }
            // Cut where a page ends.
            let length = left.min(room / PAGE as u64 * PAGE as u64);
            if length == 0 {
                room = 0;
                continue;
            }
            pack.push(Piece { file, at, length: Some(length) });
            room -= length;
            at += length;
            if at == listed.size {
                break;
            }
        }
    }
    if !pack.is_empty() {
        packs.push(pack);
    }
    packs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_byte_is_in_one_pack(sizes in prop::collection::vec(0_u64..200_000, 0..60)) {
            let target = 65_536;
            let files: Vec<_> =
                sizes.iter().enumerate().map(|(n, size)| Listed { path: n.to_string(), size: *size }).collect();
            let packs = plan(&files, target);
            let mut reached = vec![None; files.len()];
            for pack in &packs {
                let mut sum = 0;
                for piece in pack {
                    let length = piece.length.unwrap_or(files[piece.file].size);
                    prop_assert_eq!(reached[piece.file].unwrap_or(0), piece.at);
                    prop_assert_eq!(piece.at % PAGE as u64, 0);
                    reached[piece.file] = Some(piece.at + length);
                    sum += length;
                }
                prop_assert!(sum <= target && !pack.is_empty());
            }
            for (file, reached) in files.iter().zip(reached) {
                prop_assert_eq!(reached, Some(file.size));
            }
        }
    }
}

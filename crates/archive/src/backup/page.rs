//! The checksum of a data page, as PostgreSQL computes it.

use model::lsn::Lsn;

/// `BLCKSZ`
pub const PAGE: usize = 8192;

/// Blocks of a relation's file, before the next one begins.
const SEGMENT: u64 = 131_072;

const LANES: usize = 32;
const PRIME: u32 = 16_777_619;

/// `checksumBaseOffsets`
const OFFSETS: [u32; LANES] = [
    0x5B1F_36E9,
    0xB852_5960,
    0x02AB_50AA,
    0x1DE6_6D2A,
    0x79FF_467A,
    0x9BB9_F8A3,
    0x217E_7CD2,
    0x83E1_3D2C,
    0xF8D4_474F,
    0xE39E_B970,
    0x42C6_AE16,
    0x9932_16FA,
    0x7B09_3B5D,
    0x98DA_FF3C,
    0xF718_902A,
    0x0B1C_9CDB,
    0xE58F_764B,
    0x1876_36BC,
    0x5D7B_3BB1,
    0xE73D_E7DE,
    0x92BE_C979,
    0xCCA6_C0B2,
    0x304A_0979,
    0x85AA_43D4,
    0x7831_25BB,
    0x6CA8_EAA2,
    0xE407_EAC6,
    0x4B5C_FC3E,
    0x9FBF_8C76,
    0x15CA_20BE,
    0xF2CA_9FD3,
    0x959B_D756,
];

/// Where a relation's file begins in its relation, in blocks; None for files
/// that are not made of pages.
pub fn first_block(path: &str) -> Option<u64> {
    let (folder, name) = path.rsplit_once('/')?;
    if folder != "global" && folder.strip_prefix("base/").is_none_or(|oid| oid.contains('/')) {
        return None;
    }
    let (relation, segment) = match name.split_once('.') {
        Some((relation, segment)) => (relation, segment.parse::<u64>().ok()?),
        None => (name, 0),
    };
    let relation = match relation.split_once('_') {
        Some((relation, "fsm" | "vm" | "init")) => relation,
        Some(_) => return None,
        None => relation,
    };
    let number = !relation.is_empty() && relation.bytes().all(|byte| byte.is_ascii_digit());
    number.then_some(segment.saturating_mul(SEGMENT))
}

/// Whether every change of a page of the file is seen in its LSN. Those of free
/// space and visibility maps are not.
pub fn tells_changes(path: &str) -> bool {
    first_block(path).is_some() && !path.contains("_fsm") && !path.contains("_vm")
}

/// What a page's bytes tell about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// Never written.
    New,
    /// As its checksum says.
    Whole,
    /// Changed since `start`: the WAL has a copy of it.
    Later,
    Broken,
}

/// The LSN of the last change of a page.
pub fn lsn(page: &[u8]) -> Lsn {
    let word = |at: usize| {
        page.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |it| u32::from_le_bytes(*it))
    };
    Lsn(u64::from(word(0)) << 32 | u64::from(word(4)))
}

/// Whether it was only made room for: `pd_upper` is 0.
pub fn is_new(page: &[u8]) -> bool {
    page.get(14..16) == Some(&[0, 0])
}

/// Looks at a page that is at `block` of its relation.
pub fn look(page: &[u8], block: u64, start: Lsn) -> Page {
    let half = |at: usize| {
        page.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |it| u16::from_le_bytes(*it))
    };
    if is_new(page) {
        return if page.iter().all(|byte| *byte == 0) { Page::New } else { Page::Broken };
    }
    if lsn(page) >= start {
        return Page::Later;
    }
    if half(8) == checksum(page, block) { Page::Whole } else { Page::Broken }
}

fn checksum(page: &[u8], block: u64) -> u16 {
    let mut sums = OFFSETS;
    let mix = |sum: u32, value: u32| {
        let mixed = sum ^ value;
        mixed.wrapping_mul(PRIME) ^ (mixed >> 17)
    };
    for (row, bytes) in page.chunks_exact(4 * LANES).enumerate() {
        for (lane, word) in bytes.chunks_exact(4).enumerate() {
            let mut value = word.first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
            // The checksum's own field counts as zero: the low half of the third word.
            if row == 0 && lane == 2 {
                value &= 0xFFFF_0000;
            }
            sums[lane] = mix(sums[lane], value);
        }
    }
    for _ in 0..2 {
        for sum in &mut sums {
            *sum = mix(*sum, 0);
        }
    }
    let folded = sums.iter().fold(0, |folded, sum| folded ^ sum) ^ (block as u32);
    (folded % 65_535 + 1) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_relations_are_made_of_pages() {
        for (path, first) in [
            ("base/5/1259", 0),
            ("base/5/1259_fsm", 0),
            ("base/5/16400_init", 0),
            ("base/5/16400.2", 262_144),
            ("base/5/16400_vm.1", 131_072),
            ("global/1262", 0),
        ] {
            assert_eq!(first_block(path), Some(first), "{path}");
            assert_eq!(tells_changes(path), !path.contains("fsm") && !path.contains("vm"), "{path}");
        }
        for path in [
            "base/5/pg_filenode.map",
            "base/5/PG_VERSION",
            "base/5/t3_1234",
            "global/pg_control",
            "PG_VERSION",
            "pg_xact/0000",
            "base/5/1259_old",
            "base/5/1259.x",
            "base/5/6/1259",
        ] {
            assert_eq!(first_block(path), None, "{path}");
        }
    }
}

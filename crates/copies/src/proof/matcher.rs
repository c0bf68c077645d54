//! Many values at once, searched in bytes. Letters of ASCII are the same in
//! upper and lower case.

use std::collections::HashMap;

/// Values are at least so long: a look at eight bytes says whether any may
/// start here.
pub const SHORTEST: usize = 8;

/// More are not kept: past this, the answer is "too many".
pub const MOST_BYTES: usize = 1 << 30;

/// Bit 5 is what upper and lower case differ in.
const FOLD: u64 = 0x2020_2020_2020_2020;

/// Of a value's windows, so many are looked at for one that few others have.
const WINDOWS: usize = 24;

/// Values that share a window are compared one by one; past so many, another
/// window is looked for.
const CROWDED: usize = 4;

#[derive(Debug, Clone, Copy)]
struct Entry {
    value: u32,
    /// Where in the value the window is.
    at: u16,
}

#[derive(Debug, Default)]
pub struct Matcher {
    bytes: Vec<u8>,
    /// The end of each in `bytes`, and what it is of.
    values: Vec<(usize, u32)>,
    windows: HashMap<u64, Vec<Entry>>,
    /// By value, folded; so that each is kept once.
    known: HashMap<u128, u32>,
    bits: Vec<u64>,
    /// Values that found no room.
    pub left_out: u64,
}

impl Matcher {
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// `of` says what it is a value of. Too short ones and known ones are not
    /// added.
    pub fn add(&mut self, value: &[u8], of: u32) {
        let fingerprint = fingerprint(value);
        if value.len() < SHORTEST || self.known.contains_key(&fingerprint) {
            return;
        }
        if self.bytes.len() + value.len() > MOST_BYTES {
            self.left_out += 1;
            return;
        }
        let number = self.values.len() as u32;
        self.known.insert(fingerprint, number);
        let windows = value.windows(SHORTEST).take(WINDOWS).enumerate();
        let crowd = |window: &[u8]| self.windows.get(&folded(window)).map_or(0, Vec::len);
        let mut best = (usize::MAX, 0);
        for (at, window) in windows {
            let crowd = crowd(window);
            if crowd < best.0 {
                best = (crowd, at);
            }
            if crowd < CROWDED {
                break;
            }
        }
        let window = folded(&value[best.1..best.1 + SHORTEST]);
        self.windows.entry(window).or_default().push(Entry { value: number, at: best.1 as u16 });
        self.bytes.extend_from_slice(value);
        self.values.push((self.bytes.len(), of));
        self.bits.clear();
    }

    /// Called once between adding and finding.
    pub fn prepare(&mut self) {
        let size = (self.windows.len() * 16).next_power_of_two().max(1 << 12);
        self.bits = vec![0; size / 64];
        for window in self.windows.keys() {
            let bit = spread(*window) as usize & (size - 1);
            self.bits[bit / 64] |= 1 << (bit % 64);
        }
    }

    /// The number of this very value.
    pub fn number(&self, value: &[u8]) -> Option<u32> {
        self.known.get(&fingerprint(value)).copied()
    }

    pub fn value(&self, number: u32) -> &[u8] {
        let start = if number == 0 { 0 } else { self.values[number as usize - 1].0 };
        &self.bytes[start..self.values[number as usize].0]
    }

    /// What a value is of.
    pub fn of(&self, number: u32) -> u32 {
        self.values[number as usize].1
    }

    /// Every value in `text`, by its number; one that is there twice is told twice.
    pub fn find(&self, text: &[u8], mut found: impl FnMut(u32)) {
        let mask = (self.bits.len() * 64).wrapping_sub(1);
        if self.bits.is_empty() {
            return;
        }
        for (start, window) in text.windows(SHORTEST).enumerate() {
            let window = folded(window);
            let bit = spread(window) as usize & mask;
            if self.bits[bit / 64] >> (bit % 64) & 1 == 0 {
                continue;
            }
            for entry in self.windows.get(&window).into_iter().flatten() {
                let value = self.value(entry.value);
                let Some(from) = start.checked_sub(entry.at.into()) else { continue };
                if text.get(from..from + value.len()).is_some_and(|text| text.eq_ignore_ascii_case(value)) {
                    found(entry.value);
                }
            }
        }
    }
}

fn folded(window: &[u8]) -> u64 {
    window.first_chunk::<SHORTEST>().map_or(0, |bytes| u64::from_le_bytes(*bytes) | FOLD)
}

fn spread(window: u64) -> u64 {
    window.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
}

/// Two values with one fingerprint would count as one: with 128 bits that does
/// not happen by chance, and nobody gains by it.
fn fingerprint(value: &[u8]) -> u128 {
    use std::hash::{Hash, Hasher};
    let value = value.to_ascii_lowercase();
    let half = |salt: u8| {
        let mut hasher = std::hash::DefaultHasher::new();
        salt.hash(&mut hasher);
        value.hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(1) << 64 | half(2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matcher(values: &[&[u8]]) -> Matcher {
        let mut matcher = Matcher::default();
        for value in values {
            matcher.add(value, 0);
        }
        matcher.prepare();
        matcher
    }

    fn found(matcher: &Matcher, text: &[u8]) -> Vec<u32> {
        let mut found = Vec::new();
        matcher.find(text, |value| found.push(value));
        found.sort_unstable();
        found.dedup();
        found
    }

    #[test]
    fn values_are_found_wherever_they_are() {
        let matcher =
            matcher(&[b"Ada Lovelace", b"short", b"lovelace", b"ADA LOVELACE", b"https://acme.example/a"]);
        assert_eq!(matcher.len(), 3);
        assert_eq!(found(&matcher, b"xxADA lovelacexx"), [0, 1]);
        assert_eq!(found(&matcher, b"Ada Lovelac"), [0; 0]);
        assert_eq!(found(&matcher, b"https://acme.example/a"), [2]);
        assert_eq!(found(&matcher, b""), [0; 0]);
    }

    proptest! {
        #[test]
        fn it_finds_what_a_slow_search_finds(
            values in prop::collection::vec("[abAB]{8,14}", 0..12),
            text in "[abAB]{0,80}",
        ) {
            let bytes: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
            let matcher = matcher(&bytes);
            let lower = text.to_lowercase();
            let slow: Vec<u32> = (0..matcher.len() as u32)
                .filter(|&one| lower.contains(&String::from_utf8_lossy(matcher.value(one)).to_lowercase()))
                .collect();
            prop_assert_eq!(found(&matcher, text.as_bytes()), slow);
        }
    }
}

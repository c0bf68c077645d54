//! Positions in a write-ahead log, and the names of its files.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A byte position in a WAL, written `0/3000148` as PostgreSQL does.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

/// A PostgreSQL timeline (1 for a new cluster, one more after each recovery).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timeline(pub u32);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not {1}")]
pub struct InvalidPosition(String, &'static str);

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl fmt::Debug for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Lsn {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let parsed = text.split_once('/').and_then(|(high, low)| {
            let half = |digits: &str| {
                (digits.len() <= 8 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
                    .then(|| u32::from_str_radix(digits, 16).ok())
                    .flatten()
            };
            Some(u64::from(half(high)?) << 32 | u64::from(half(low)?))
        });
        parsed.map(Self).ok_or_else(|| InvalidPosition(text.to_owned(), "an LSN such as 0/3000148"))
    }
}

impl Serialize for Lsn {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lsn {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The size of a cluster's WAL segments in bytes: a power of two from 1 MiB to
/// 1 GiB. Cells use 1 MiB, so that an idle tenant's history stays small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SegmentSize(pub u32);

impl SegmentSize {
    pub const CELL: Self = Self(1 << 20);

    fn per_log_file(self) -> u64 {
        (1 << 32) / u64::from(self.0)
    }
}

/// The name of a whole WAL segment, such as `000000010000000000000003`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Segment {
    pub timeline: Timeline,
    /// The segment's number since the start of the WAL; its first byte is at
    /// this times the segment size.
    pub number: u64,
}

impl Segment {
    /// The segment that holds the byte at `lsn`.
    pub fn at(timeline: Timeline, lsn: Lsn, size: SegmentSize) -> Self {
        Self { timeline, number: lsn.0 / u64::from(size.0) }
    }

    /// The segment that holds the byte before `lsn`: the last one needed to
    /// reach it.
    pub fn before(timeline: Timeline, lsn: Lsn, size: SegmentSize) -> Self {
        Self::at(timeline, Lsn(lsn.0.saturating_sub(1)), size)
    }

    pub fn start(self, size: SegmentSize) -> Lsn {
        Lsn(self.number * u64::from(size.0))
    }

    pub fn end(self, size: SegmentSize) -> Lsn {
        Lsn((self.number + 1) * u64::from(size.0))
    }

    pub fn next(self) -> Self {
        Self { number: self.number + 1, ..self }
    }

    pub fn file_name(self, size: SegmentSize) -> String {
        let per = size.per_log_file();
        format!("{:08X}{:08X}{:08X}", self.timeline.0, self.number / per, self.number % per)
    }
}

/// A file that PostgreSQL archives or asks for. Anything else is refused, so a
/// name can never leave its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WalFile {
    Segment(Segment),
    /// `000000010000000000000003.partial`: the last, unfinished segment of a
    /// timeline.
    Partial(Segment),
    /// `000000010000000000000003.partial-00000000-00002148`: bytes of a segment
    /// that is still being written, from and up to these offsets. Only in a
    /// repository: PostgreSQL knows no such file.
    Piece(Segment, u32, u32),
    /// `00000002.history`: where a timeline left its parent.
    History(Timeline),
    /// `000000010000000000000003.00000028.backup`: written by a base backup.
    BackupLabel(Segment, u32),
}

impl WalFile {
    pub fn parse(name: &str, size: SegmentSize) -> Result<Self, InvalidPosition> {
        let fault = || InvalidPosition(name.chars().take(80).collect(), "the name of a WAL file");
        let hex = |digits: &str| {
            (digits.len() == 8 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F')))
                .then(|| u32::from_str_radix(digits, 16).ok())
                .flatten()
                .ok_or_else(fault)
        };
        if !name.is_ascii() {
            return Err(fault());
        }
        if let Some(digits) = name.strip_suffix(".history") {
            return Ok(Self::History(Timeline(hex(digits)?)));
        }
        let (head, tail) = name.split_at_checked(24).ok_or_else(fault)?;
        let (timeline, high, low) = (hex(&head[..8])?, hex(&head[8..16])?, hex(&head[16..])?);
        let per = size.per_log_file();
        if u64::from(low) >= per {
            return Err(fault());
        }
        let segment =
            Segment { timeline: Timeline(timeline), number: u64::from(high) * per + u64::from(low) };
        match tail.strip_prefix('.') {
            None if tail.is_empty() => Ok(Self::Segment(segment)),
            Some("partial") => Ok(Self::Partial(segment)),
            Some(rest) if rest.starts_with("partial-") => {
                let (from, to) = rest["partial-".len()..].split_once('-').ok_or_else(fault)?;
                let (from, to) = (hex(from)?, hex(to)?);
                (from < to && to <= size.0).then_some(Self::Piece(segment, from, to)).ok_or_else(fault)
            }
            Some(rest) => {
                let offset = rest.strip_suffix(".backup").ok_or_else(fault)?;
                Ok(Self::BackupLabel(segment, hex(offset)?))
            }
            None => Err(fault()),
        }
    }

    pub fn timeline(&self) -> Timeline {
        match self {
            Self::Segment(segment)
            | Self::Partial(segment)
            | Self::Piece(segment, ..)
            | Self::BackupLabel(segment, _) => segment.timeline,
            Self::History(timeline) => *timeline,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_read_as_they_are_written() {
        for text in ["0/0", "0/3000148", "16/B374D848"] {
            assert_eq!(text.parse::<Lsn>().unwrap().to_string(), text);
        }
        for bad in ["", "/", "0", "0/", "0/+1", "0/123456789", "g/0"] {
            bad.parse::<Lsn>().unwrap_err();
        }
    }

    #[test]
    fn segments_are_named_as_postgresql_names_them() {
        // SELECT pg_walfile_name('0/3000148') in a cluster with 1 MiB segments
        let lsn = "0/3000148".parse().unwrap();
        let segment = Segment::at(Timeline(1), lsn, SegmentSize::CELL);
        assert_eq!(segment.file_name(SegmentSize::CELL), "000000010000000000000030");
        assert_eq!(segment.file_name(SegmentSize::CELL).len(), 24);
        assert_eq!(segment.start(SegmentSize::CELL), Lsn(0x300_0000));
    }

    #[test]
    fn wal_files_are_told_apart() {
        let size = SegmentSize::CELL;
        let segment = Segment { timeline: Timeline(1), number: 0x30 };
        assert_eq!(WalFile::parse("000000010000000000000030", size), Ok(WalFile::Segment(segment)));
        assert_eq!(WalFile::parse("000000010000000000000030.partial", size), Ok(WalFile::Partial(segment)));
        assert_eq!(
            WalFile::parse("000000010000000000000030.00000028.backup", size),
            Ok(WalFile::BackupLabel(segment, 0x28))
        );
        assert_eq!(
            WalFile::parse("000000010000000000000030.partial-00002000-00100000", size),
            Ok(WalFile::Piece(segment, 0x2000, 1 << 20))
        );
        assert_eq!(WalFile::parse("00000002.history", size), Ok(WalFile::History(Timeline(2))));
        for bad in [
            "",
            "../etc/passwd",
            "00000001000000000000003",
            "00000001000000000000003g",
            "000000010000000000001000",
            "000000010000000000000030.x",
            "000000010000000000000030.partial-",
            "000000010000000000000030.partial-00002000",
            "000000010000000000000030.partial-00002000-00002000",
            "000000010000000000000030.partial-00002000-00100001",
            "000000010000000000000030.partial-00002000-00003000-00004000",
            "\u{e9}0000010000000000000030",
        ] {
            WalFile::parse(bad, size).unwrap_err();
        }
    }
}

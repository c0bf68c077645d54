//! What the first page of a WAL segment says about itself:
//! `XLogLongPageHeaderData`, little-endian.

use model::archive::Lineage;
use model::lsn::{Segment, SegmentSize, Timeline};

use super::PAGE;

/// Bytes of the long header.
pub const LENGTH: usize = 40;

/// `XLP_LONG_HEADER`
const LONG: u16 = 0x0002;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub timeline: Timeline,
    /// Where in the WAL the page believes to be.
    pub address: u64,
    pub system_identifier: u64,
    pub segment_size: u32,
}

impl Header {
    /// None if the bytes do not begin with a long page header.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let u16 = |at| Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        let u32 = |at| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        let u64 = |at| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        let (magic, info): (u16, u16) = (u16(0)?, u16(2)?);
        // 0xD110 is PostgreSQL 15; the number grows with each version.
        if magic >> 8 != 0xD1 || info & LONG == 0 {
            return None;
        }
        Some(Self {
            timeline: Timeline(u32(4)?),
            address: u64(8)?,
            system_identifier: u64(24)?,
            segment_size: u32(32)?,
        })
    }
}

/// Why a segment does not belong to a lineage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Foreign {
    NoHeader,
    System(u64),
    Other(String),
}

/// Checks that a segment's first page is of this lineage and at this place.
pub fn check(lineage: &Lineage, segment: Segment, bytes: &[u8]) -> Result<(), Foreign> {
    let header = Header::read(bytes).ok_or(Foreign::NoHeader)?;
    let size = lineage.segment_size;
    if header.system_identifier != lineage.system_identifier {
        return Err(Foreign::System(header.system_identifier));
    }
    if header.segment_size != size.0 {
        return Err(Foreign::Other(format!("has segments of {} bytes, not {}", header.segment_size, size.0)));
    }
    if header.address != segment.start(size).0 {
        return Err(Foreign::Other("begins at another place in the WAL than its name says".to_owned()));
    }
    // A lineage's first segment begins with its parent's bytes up to the fork.
    let first = lineage.parent.map(|fork| Segment::at(lineage.timeline, fork.lsn, size));
    let inherited = first == Some(segment) && header.timeline < lineage.timeline;
    if header.timeline != lineage.timeline && !inherited {
        return Err(Foreign::Other(format!(
            "is on timeline {}, not {}",
            header.timeline.0, lineage.timeline.0
        )));
    }
    Ok(())
}

/// How many of a segment's pages, from the first, carry their own address: the
/// written ones. What follows is empty or left over from a recycled file.
pub fn written_pages(segment: Segment, size: SegmentSize, bytes: &[u8]) -> usize {
    let start = segment.start(size).0;
    let carries_its_address = |(page, bytes): (usize, &[u8])| {
        bytes.get(8..).and_then(|rest| rest.first_chunk()).map(|address| u64::from_le_bytes(*address))
            == Some(start + (page * PAGE) as u64)
    };
    bytes.chunks(PAGE).enumerate().take_while(|page| carries_its_address(*page)).count()
}

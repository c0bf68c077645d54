//! Walking the records of whole segments: each one's CRC, and the link that it
//! holds to the one before it.
//!
//! This is what tells a segment of a sibling lineage from the right one: both
//! are of the same cluster, timeline and place, but what stands before it in
//! the WAL is another record.

use model::lsn::{Lsn, Segment, SegmentSize};

use super::PAGE;

const SHORT_HEADER: usize = 24;
const LONG_HEADER: usize = 40;
/// `SizeOfXLogRecord`, and where its CRC is in it.
const RECORD_HEADER: usize = 24;
const CRC_AT: usize = 20;

/// `XLP_FIRST_IS_CONTRECORD`, `XLP_LONG_HEADER`, `XLP_FIRST_IS_OVERWRITE_CONTRECORD`
const CONTINUES: u16 = 0x0001;
const LONG: u16 = 0x0002;
const OVERWRITES: u16 = 0x0008;

/// `XLOG_SWITCH` of the resource manager `RM_XLOG_ID`: the rest of its segment
/// is empty.
const SWITCH: (u8, u8) = (0, 0x40);

/// Where the records stop making sense, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken {
    pub at: Lsn,
    pub why: &'static str,
}

/// Takes whole segments in order. Begins anywhere: the end of a record that
/// began earlier is skipped.
#[derive(Debug, Default)]
pub struct Records {
    /// Where the last whole record began.
    before: Option<Lsn>,
    /// Whether what came before the next byte is known.
    joined: bool,
    open: Option<Open>,
}

/// A record that is being read.
#[derive(Debug)]
struct Open {
    left: usize,
    /// None: its beginning was not seen.
    seen: Option<Seen>,
}

#[derive(Debug)]
struct Seen {
    start: Lsn,
    header: Vec<u8>,
    /// Of what follows the header.
    crc: u32,
}

impl Records {
    /// Reads the segment that follows the last one. After a fault it begins
    /// anew with the next.
    pub fn read(&mut self, segment: Segment, size: SegmentSize, bytes: &[u8]) -> Result<(), Broken> {
        let read = self.walk(segment.start(size), bytes);
        if read.is_err() {
            *self = Self::default();
        }
        read
    }

    fn walk(&mut self, start: Lsn, bytes: &[u8]) -> Result<(), Broken> {
        let mut at = 0;
        while at < bytes.len() {
            let here = Lsn(start.0 + at as u64);
            if at % PAGE == 0 {
                at += self.page(here, &bytes[at..])?;
                continue;
            }
            let page_end = (at / PAGE + 1) * PAGE;
            if self.open.is_none() {
                let length = number(&bytes[at..]).ok_or(Broken { at: here, why: "is cut short" })?;
                if length < RECORD_HEADER {
                    return Err(Broken { at: here, why: "holds no record where one has to begin" });
                }
                let seen = Seen { start: here, header: Vec::with_capacity(RECORD_HEADER), crc: 0 };
                self.open = Some(Open { left: length, seen: Some(seen) });
            }
            let Some(open) = &mut self.open else { continue };
            let part = &bytes[at..page_end.min(bytes.len()).min(at + open.left)];
            open.left -= part.len();
            if let Some(seen) = &mut open.seen {
                let (header, body) = part.split_at(part.len().min(RECORD_HEADER - seen.header.len()));
                seen.header.extend_from_slice(header);
                seen.crc = crc32c::crc32c_append(seen.crc, body);
            }
            at = (at + part.len()).next_multiple_of(8);
            if open.left == 0
                && let Some(seen) = self.open.take().and_then(|open| open.seen)
                && self.end(&seen)? == SWITCH
            {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A page's header; returns its length.
    fn page(&mut self, here: Lsn, page: &[u8]) -> Result<usize, Broken> {
        let broken = |why| Err(Broken { at: here, why });
        let info = page.get(2..4).map_or(0, |info| u16::from_le_bytes([info[0], info[1]]));
        let address = page.get(8..16).and_then(|bytes| bytes.first_chunk()).map(|at| u64::from_le_bytes(*at));
        if address != Some(here.0) {
            return broken("holds a page of another place");
        }
        let rest = page.get(16..).and_then(number).unwrap_or(0);
        match &self.open {
            // What a crash cut off was given up, and this was written instead.
            Some(_) if info & OVERWRITES != 0 => (self.open, self.before) = (None, None),
            Some(open) if info & CONTINUES == 0 || rest != open.left => {
                return broken("does not go on with the record before it");
            }
            Some(_) => {}
            None if info & CONTINUES != 0 && self.joined => {
                return broken("goes on with a record that does not stand before it");
            }
            None if info & CONTINUES != 0 => self.open = Some(Open { left: rest, seen: None }),
            None => {}
        }
        self.joined = true;
        Ok(if info & LONG != 0 { LONG_HEADER } else { SHORT_HEADER })
    }

    /// Checks a record that was read to its end; returns what it is.
    fn end(&mut self, seen: &Seen) -> Result<(u8, u8), Broken> {
        let broken = |why| Err(Broken { at: seen.start, why });
        let (told, rest) = seen.header.split_at(CRC_AT);
        if number(rest) != Some(crc32c::crc32c_append(seen.crc, told) as usize) {
            return broken("holds a record that does not match its checksum");
        }
        let link = told[8..].first_chunk().map(|bytes| Lsn(u64::from_le_bytes(*bytes)));
        if self.before.is_some() && self.before != link {
            return broken("does not follow from the WAL before it");
        }
        self.before = Some(seen.start);
        Ok((told[17], told[16] & 0xF0))
    }
}

fn number(bytes: &[u8]) -> Option<usize> {
    bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes) as usize)
}

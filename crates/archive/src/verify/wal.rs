//! A lineage's WAL objects: each by itself, and each against what stands
//! before it.

use std::path::Path;

use daemon::telemetry::causes;
use model::archive::Lineage;
use model::lsn::{Segment, WalFile};

use super::{Check, FlawKind};
use crate::disk::FileError;
use crate::object::is_damage;
use crate::repository::TenantArchive;
use crate::wal::header::{self, Foreign};
use crate::wal::piece::{Chain, Range};
use crate::wal::records::Records;
use crate::wal::{file_name, size_limit};

/// The pieces of one segment, and the whole segment if that is there.
#[derive(Default)]
struct Streamed {
    segment: Option<Segment>,
    pieces: Vec<(Range, Vec<u8>)>,
    whole: Option<(Segment, Vec<u8>)>,
}

impl Streamed {
    fn of(&self) -> Option<Segment> {
        self.segment.or(self.whole.as_ref().map(|(segment, _)| *segment))
    }
}

impl Check<'_> {
    pub(super) fn check_wal(&self, archive: &TenantArchive, lineage: &Lineage) {
        let folder = archive.wal_folder(lineage.id);
        let objects = match self.store.walk(&folder) {
            Ok(objects) => objects,
            Err(error) => return self.unreadable(&error),
        };
        let mut records = Records::default();
        let mut last: Option<Segment> = None;
        let mut streamed = Streamed::default();
        // Names sort as the segments do.
        for (path, stored) in objects {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let file = WalFile::parse(name, lineage.segment_size).ok();
            // Others were found when the history was read.
            let Some(file) = file.filter(|file| file.timeline() == lineage.timeline) else { continue };
            let bytes = self.read_wal(archive, &path, &file, size_limit(lineage.segment_size));
            self.read_bytes(stored);
            let Some(bytes) = bytes else { continue };
            self.count(|found| found.wal += 1);
            if let WalFile::Piece(segment, from, to) = file {
                if streamed.of() != Some(segment) {
                    self.check_streamed(archive, lineage, &mut streamed, &mut records, &mut last);
                }
                if bytes.len() != (to - from) as usize {
                    let what = format!("has {} bytes, not {}", bytes.len(), to - from);
                    self.find(FlawKind::DamagedWal, &path, what);
                } else if streamed.whole.as_ref().is_some_and(|(whole, there)| {
                    *whole == segment && there[from as usize..to as usize] != bytes[..]
                }) {
                    self.find(FlawKind::DamagedWal, &path, "differs from the whole segment");
                } else {
                    streamed.segment = Some(segment);
                    streamed.pieces.push(((from, to), bytes));
                }
                continue;
            }
            self.check_streamed(archive, lineage, &mut streamed, &mut records, &mut last);
            match file {
                WalFile::Segment(segment) => {
                    if !self.check_header(lineage, segment, &path, &bytes) {
                        continue;
                    }
                    if last.is_none_or(|last| last.next() != segment) {
                        records = Records::default();
                    }
                    last = Some(segment);
                    if let Err(broken) = records.read(segment, lineage.segment_size, &bytes) {
                        let what = format!("at {} it {}", broken.at, broken.why);
                        self.find(FlawKind::DamagedWal, &path, what);
                    }
                    self.check_inherited(archive, lineage, segment, &path, &bytes);
                    streamed.whole = Some((segment, bytes));
                }
                WalFile::Partial(segment) => {
                    self.check_header(lineage, segment, &path, &bytes);
                }
                WalFile::Piece(..) => {}
                WalFile::History(_) => self.check_history(archive, lineage, &path, &bytes),
                WalFile::BackupLabel(..) => {}
            }
        }
        self.check_streamed(archive, lineage, &mut streamed, &mut records, &mut last);
    }

    /// Pieces by themselves are the segment as far as they go: one that is there
    /// to its end is looked at as a whole one is.
    fn check_streamed(
        &self,
        archive: &TenantArchive,
        lineage: &Lineage,
        streamed: &mut Streamed,
        records: &mut Records,
        last: &mut Option<Segment>,
    ) {
        let found = std::mem::take(streamed);
        let (Some(segment), None) = (found.segment, found.whole) else { return };
        let ranges: Vec<Range> = found.pieces.iter().map(|(range, _)| *range).collect();
        let chain = Chain::of(&ranges);
        let mut bytes = vec![0; lineage.segment_size.0 as usize];
        for ((from, to), piece) in &found.pieces {
            bytes[*from as usize..*to as usize].copy_from_slice(piece);
        }
        let Some(first) = chain.pieces.first() else { return };
        let first = WalFile::Piece(segment, first.0, first.1);
        let path = archive.wal_folder(lineage.id).join(file_name(&first, lineage.segment_size));
        if !self.check_header(lineage, segment, &path, &bytes) || chain.end != lineage.segment_size.0 {
            return;
        }
        if last.is_none_or(|last| last.next() != segment) {
            *records = Records::default();
        }
        *last = Some(segment);
        if let Err(broken) = records.read(segment, lineage.segment_size, &bytes) {
            self.find(FlawKind::DamagedWal, &path, format!("at {} it {}", broken.at, broken.why));
        }
        self.check_inherited(archive, lineage, segment, &path, &bytes);
    }

    /// None: it cannot be read, which is found, or it is an unfinished segment
    /// that was superseded just now.
    fn read_wal(
        &self,
        archive: &TenantArchive,
        path: &Path,
        file: &WalFile,
        limit: usize,
    ) -> Option<Vec<u8>> {
        match archive.read_object(path, limit) {
            Ok(Some(bytes)) => return Some(bytes),
            Ok(None) if matches!(file, WalFile::Partial(_) | WalFile::Piece(..)) => {}
            Ok(None) if archive.was_removed(path) => {}
            Ok(None) => self.find(FlawKind::MissingWal, path, "went away while it was to be read"),
            Err(error) if is_damage(&error) => self.find(FlawKind::DamagedWal, path, causes(&error)),
            Err(error) => self.unreadable(&error),
        }
        None
    }

    fn check_header(&self, lineage: &Lineage, segment: Segment, path: &Path, bytes: &[u8]) -> bool {
        if bytes.len() != lineage.segment_size.0 as usize {
            let what = format!("has {} bytes, not {}", bytes.len(), lineage.segment_size.0);
            self.find(FlawKind::DamagedWal, path, what);
            return false;
        }
        let Err(foreign) = header::check(lineage, segment, bytes) else { return true };
        let (kind, what) = match foreign {
            Foreign::NoHeader => (FlawKind::DamagedWal, "does not begin as a WAL segment does".to_owned()),
            Foreign::System(found) => (
                FlawKind::ForeignWal,
                format!("is of a cluster with system identifier {found}, not {}", lineage.system_identifier),
            ),
            Foreign::Other(why) => (FlawKind::ForeignWal, why),
        };
        self.find(kind, path, what);
        false
    }

    /// The segment that a lineage begins in starts with its parent's bytes.
    fn check_inherited(
        &self,
        archive: &TenantArchive,
        lineage: &Lineage,
        segment: Segment,
        path: &Path,
        bytes: &[u8],
    ) {
        let size = lineage.segment_size;
        let Some(fork) = lineage.parent else { return };
        if segment != Segment::at(lineage.timeline, fork.lsn, size) {
            return;
        }
        let shared = (fork.lsn.0 - segment.start(size).0) as usize;
        match self.parents_segment(archive, lineage, segment) {
            Ok(Some(parent)) if parent.get(..shared) != bytes.get(..shared) => {
                let what =
                    format!("does not begin with what its parent's has up to the fork at {}", fork.lsn);
                self.find(FlawKind::ForeignWal, path, what);
            }
            Ok(_) => {}
            Err(error) => self.unreadable(&error),
        }
    }

    /// The bytes of the parent's segment of the same place, if they are here
    /// and whole; what is wrong with them is found where they stand.
    fn parents_segment(
        &self,
        archive: &TenantArchive,
        lineage: &Lineage,
        segment: Segment,
    ) -> Result<Option<Vec<u8>>, FileError> {
        let size = lineage.segment_size;
        let Some(fork) = lineage.parent else { return Ok(None) };
        let Ok(Some(parent)) = archive.lineage(fork.lineage) else { return Ok(None) };
        let theirs = Segment { timeline: parent.timeline, ..segment };
        let whole = archive.wal_folder(parent.id).join(theirs.file_name(size));
        let whole = match archive.read_object(&whole, size.0 as usize) {
            Ok(whole) => whole,
            Err(error) if is_damage(&error) => None,
            Err(error) => return Err(error),
        };
        let found = match whole {
            Some(whole) => Some(whole),
            None => archive.read_unfinished(&parent, theirs).ok().flatten(),
        };
        Ok(found.filter(|bytes| header::check(&parent, theirs, bytes).is_ok()))
    }

    fn check_history(&self, archive: &TenantArchive, lineage: &Lineage, path: &Path, bytes: &[u8]) {
        match archive.tells_fork(lineage, bytes) {
            Ok(true) => {}
            Ok(false) => {
                let what = match lineage.parent {
                    Some(fork) => {
                        format!("does not end with the fork at {} that its lineage's record names", fork.lsn)
                    }
                    None => "is the history of a lineage that has no parent".to_owned(),
                };
                self.find(FlawKind::WrongHistory, path, what);
            }
            Err(error) => self.find(FlawKind::WrongHistory, path, causes(&error)),
        }
    }
}

//! Pieces of a segment that is still being written: what makes the last second
//! durable. A chain of them from the segment's start is the segment, as far as
//! it goes.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use daemon::fault;
use model::LineageId;
use model::archive::Lineage;
use model::lsn::{Segment, WalFile};

use super::fetch::FetchError;
use super::header;
use super::push::{PushError, Pushed, file_name};
use crate::disk::{FileError, Linked};
use crate::object::is_damage;
use crate::repository::TenantArchive;

/// From and up to which offsets of their segment.
pub(crate) type Range = (u32, u32);

/// The pieces that there are of each segment.
pub(crate) type Pieces = BTreeMap<Segment, Vec<Range>>;

/// Pieces that follow each other without a gap, from their segment's start.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Chain {
    pub pieces: Vec<Range>,
    pub end: u32,
    /// The end of the furthest piece that there is: beyond `end` if one in
    /// between is gone.
    pub furthest: u32,
}

impl Chain {
    /// The longest one. Pieces may overlap: after a lost answer the same bytes
    /// are written once more, with others behind them.
    pub fn of(pieces: &[Range]) -> Self {
        let furthest = pieces.iter().map(|(_, to)| *to).max().unwrap_or(0);
        let mut chain = Self { furthest, ..Self::default() };
        while let Some(next) = pieces
            .iter()
            .filter(|(from, to)| *from <= chain.end && *to > chain.end)
            .max_by_key(|(from, to)| (*to, *from))
        {
            chain.pieces.push(*next);
            chain.end = next.1;
        }
        chain
    }

    pub fn is_broken(&self) -> bool {
        self.end < self.furthest
    }
}

impl TenantArchive {
    /// The pieces among the names of a lineage's WAL folder, by segment.
    pub(crate) fn pieces_in(lineage: &Lineage, names: &[String]) -> Pieces {
        let mut pieces = Pieces::new();
        for name in names {
            if let Ok(WalFile::Piece(segment, from, to)) = WalFile::parse(name, lineage.segment_size)
                && segment.timeline == lineage.timeline
            {
                pieces.entry(segment).or_default().push((from, to));
            }
        }
        pieces
    }

    /// Stores bytes of a segment that is still being written, durably.
    pub(crate) fn put_piece(
        &self,
        lineage: &Lineage,
        segment: Segment,
        from: u32,
        bytes: &[u8],
    ) -> Result<Pushed, PushError> {
        let to = u32::try_from(bytes.len()).ok().and_then(|length| from.checked_add(length));
        let to = to.filter(|to| from < *to && *to <= lineage.segment_size.0);
        let to = to.ok_or_else(|| PushError::WrongPlace {
            name: segment.file_name(lineage.segment_size),
            why: "has no room for so much".to_owned(),
        })?;
        let name = file_name(&WalFile::Piece(segment, from, to), lineage.segment_size);
        if from == 0 && bytes.len() >= header::LENGTH {
            header::check(lineage, segment, bytes).map_err(|foreign| foreign.refuse(lineage, &name))?;
        }
        let path = self.wal_folder(lineage.id).join(&name);
        let mut upload = self.write_object(&path, bytes)?;
        fault::point("archive.stream.written");
        let pushed = match upload.place()? {
            Linked::New => Pushed::Stored,
            Linked::Taken => match self.read_object(&path, bytes.len()) {
                Ok(Some(there)) if there == bytes => Pushed::AlreadyThere,
                Ok(_) => return Err(PushError::Different { name }),
                Err(source) if is_damage(&source) => return Err(PushError::Damaged { name, source }),
                Err(error) => return Err(error.into()),
            },
        };
        fault::point("archive.stream.linked");
        self.inner.store.settle_parent(&path)?;
        Ok(pushed)
    }

    /// What the chain of `segment` holds; None if there is none. Several pieces
    /// are read at once. One that is gone meanwhile was superseded: nothing.
    pub(crate) fn read_pieces(
        &self,
        lineage: &Lineage,
        segment: Segment,
    ) -> Result<Option<Vec<u8>>, FetchError> {
        let prefix = segment.file_name(lineage.segment_size);
        let mut names = self.inner.store.names(&self.wal_folder(lineage.id))?;
        names.retain(|name| name.starts_with(&prefix));
        let pieces = Self::pieces_in(lineage, &names).remove(&segment).unwrap_or_default();
        let chain = Chain::of(&pieces);
        if chain.end == 0 {
            return Ok(None);
        }
        let whole = Mutex::new(vec![0; chain.end as usize]);
        let (next, gone) = (AtomicUsize::new(0), Mutex::new(false));
        let work = || -> Result<(), FetchError> {
            while let Some(piece) = chain.pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
                match self.read_piece(lineage, segment, *piece)? {
                    Some(bytes) => {
                        let mut whole = whole.lock().unwrap_or_else(PoisonError::into_inner);
                        whole[piece.0 as usize..piece.1 as usize].copy_from_slice(&bytes);
                    }
                    None => *gone.lock().unwrap_or_else(PoisonError::into_inner) = true,
                }
            }
            Ok(())
        };
        thread::scope(|scope| {
            let width = self.inner.store.width().min(chain.pieces.len());
            let threads: Vec<_> = (0..width).map(|_| scope.spawn(work)).collect();
            let ended =
                threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
            ended.collect::<Vec<_>>().into_iter().collect::<Result<(), _>>()
        })?;
        let gone = gone.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok((!gone).then(|| whole.into_inner().unwrap_or_else(PoisonError::into_inner)))
    }

    /// None: it is not there.
    pub(crate) fn read_piece(
        &self,
        lineage: &Lineage,
        segment: Segment,
        (from, to): Range,
    ) -> Result<Option<Vec<u8>>, FetchError> {
        let name = file_name(&WalFile::Piece(segment, from, to), lineage.segment_size);
        match self.read_object(&self.wal_folder(lineage.id).join(&name), (to - from) as usize) {
            Ok(Some(bytes)) if bytes.len() != (to - from) as usize => {
                Err(FetchError::Damaged { name, source: None })
            }
            Ok(found) => Ok(found),
            Err(source) if is_damage(&source) => Err(FetchError::Damaged { name, source: Some(source) }),
            Err(error) => Err(error.into()),
        }
    }

    /// A segment that was never finished, as far as it is known, with nothing
    /// after it: what was taken from a stopped cell, and over it the chain. The
    /// cell may have run on after the one was taken.
    pub(crate) fn read_unfinished(
        &self,
        lineage: &Lineage,
        segment: Segment,
    ) -> Result<Option<Vec<u8>>, FetchError> {
        let size = lineage.segment_size.0 as usize;
        let name = file_name(&WalFile::Partial(segment), lineage.segment_size);
        let taken = match self.read_object(&self.wal_folder(lineage.id).join(&name), size) {
            Ok(Some(bytes)) if bytes.len() != size => return Err(FetchError::Damaged { name, source: None }),
            Ok(taken) => taken,
            Err(source) if is_damage(&source) => {
                return Err(FetchError::Damaged { name, source: Some(source) });
            }
            Err(error) => return Err(error.into()),
        };
        let chain = self.read_pieces(lineage, segment)?;
        if taken.is_none() && chain.is_none() {
            return Ok(None);
        }
        let mut bytes = taken.unwrap_or_else(|| vec![0; size]);
        if let Some(chain) = chain {
            bytes[..chain.len()].copy_from_slice(&chain);
        }
        Ok(Some(bytes))
    }

    /// Removes the pieces of segments that are there as a whole, which is made
    /// durable first; what is left of `pieces`.
    pub(crate) fn drop_pieces(&self, lineage: &Lineage, pieces: Pieces) -> Result<Pieces, FileError> {
        let (store, folder) = (&self.inner.store, self.wal_folder(lineage.id));
        let mut left = Pieces::new();
        let mut gone = Vec::new();
        for (segment, ranges) in pieces {
            match store.exists(&folder.join(segment.file_name(lineage.segment_size)))? {
                true => gone.extend(ranges.into_iter().map(|(from, to)| WalFile::Piece(segment, from, to))),
                false => drop(left.insert(segment, ranges)),
            }
        }
        if gone.is_empty() {
            return Ok(left);
        }
        self.settle_wal(lineage.id)?;
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            let work = || -> Result<(), FileError> {
                while let Some(piece) = gone.get(next.fetch_add(1, Ordering::Relaxed)) {
                    store.remove(&folder.join(file_name(piece, lineage.segment_size)))?;
                    fault::point("archive.stream.removed");
                }
                Ok(())
            };
            let threads: Vec<_> = (0..store.width().min(gone.len())).map(|_| scope.spawn(work)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect::<Vec<_>>()
                .into_iter()
                .collect::<Result<(), _>>()
        })?;
        Ok(left)
    }

    /// What a receiver that begins finds of its lineage.
    pub(crate) fn look_at_pieces(&self, id: LineageId) -> Result<(Option<Segment>, Pieces), FetchError> {
        let lineage = self.lineage(id)?.ok_or(FetchError::UnknownLineage(id))?;
        let names = self.inner.store.names(&self.wal_folder(id))?;
        let whole = names.iter().rev().find_map(|name| match WalFile::parse(name, lineage.segment_size) {
            Ok(WalFile::Segment(segment)) if segment.timeline == lineage.timeline => Some(segment),
            _ => None,
        });
        let pieces = self.drop_pieces(&lineage, Self::pieces_in(&lineage, &names))?;
        Ok((whole, pieces))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_chain_is_found() {
        let of = |pieces: &[Range]| {
            let chain = Chain::of(pieces);
            (chain.pieces, chain.end, chain.furthest)
        };
        assert_eq!(of(&[]), (vec![], 0, 0));
        assert_eq!(of(&[(0, 10), (10, 25)]), (vec![(0, 10), (10, 25)], 25, 25));
        // Written again after a lost answer, and then further.
        assert_eq!(of(&[(0, 10), (0, 30), (10, 20), (25, 40)]), (vec![(0, 30), (25, 40)], 40, 40));
        // One is gone.
        assert_eq!(of(&[(0, 10), (20, 30)]), (vec![(0, 10)], 10, 30));
        assert_eq!(of(&[(5, 10)]), (vec![], 0, 10));
        assert!(Chain::of(&[(0, 10), (20, 30)]).is_broken() && !Chain::of(&[(0, 10)]).is_broken());
    }
}

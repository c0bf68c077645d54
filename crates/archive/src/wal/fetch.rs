//! Giving WAL files back to a recovery.

use std::sync::Arc;

use model::LineageId;
use model::archive::Lineage;
use model::lsn::{Lsn, Segment, SegmentSize, Timeline, WalFile};
use model::restore::Plan;

use super::TEXT_LIMIT;
use super::header;
use super::push::file_name;
use crate::disk::FileError;
use crate::object::is_damage;
use crate::record::RecordError;
use crate::repository::TenantArchive;

/// How often a segment that is not there is looked for.
const LOOKS: usize = 2;

#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("the plan reads no WAL")]
    EmptyPlan,
    #[error("lineage {0} is not in the repository")]
    UnknownLineage(LineageId),
    #[error("{name} is missing from the repository")]
    Missing { name: String },
    #[error("{name} in the repository is damaged")]
    Damaged { name: String, source: Option<FileError> },
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    File(#[from] FileError),
}

/// The WAL that one plan may read, and no more: neither a parent's beyond its
/// fork nor what came after the plan was made. Cheap to clone.
#[derive(Debug, Clone)]
pub struct WalChain {
    links: Arc<[Link]>,
    /// The forks on the way to the source, oldest first.
    forks: Arc<[(Timeline, Lsn)]>,
}

#[derive(Debug)]
struct Link {
    lineage: Arc<Lineage>,
    from: Segment,
    /// Exclusive.
    until: Segment,
    /// The segment, if it is in the range, that may be an unfinished one.
    last: Option<Segment>,
}

impl WalChain {
    /// Every segment of it, in the order of replay, and their size.
    pub(super) fn segments(&self) -> (Vec<Segment>, SegmentSize) {
        let mut segments = Vec::new();
        for link in self.links.iter() {
            let mut segment = link.from;
            while segment < link.until {
                segments.push(segment);
                segment = segment.next();
            }
        }
        let size = self.links.first().map_or(SegmentSize::CELL, |link| link.lineage.segment_size);
        (segments, size)
    }
}

impl TenantArchive {
    /// What `plan` may read.
    pub async fn chain(&self, plan: Plan) -> Result<WalChain, FetchError> {
        self.blocking(move |archive| archive.read_chain(&plan)).await
    }

    fn read_chain(&self, plan: &Plan) -> Result<WalChain, FetchError> {
        let find = |id| self.lineage(id)?.ok_or(FetchError::UnknownLineage(id));
        let mut links = Vec::with_capacity(plan.wal.len());
        for (place, range) in plan.wal.iter().enumerate() {
            let lineage = find(range.lineage)?;
            let (timeline, size) = (lineage.timeline, lineage.segment_size);
            let from = Segment::at(timeline, range.from, size);
            // The segment that holds a fork is the child's.
            let (until, last) = if place + 1 < plan.wal.len() {
                (Segment::at(timeline, range.to, size), None)
            } else {
                let last = Segment::before(timeline, range.to, size);
                (last.next(), Some(last))
            };
            links.push(Link { lineage, from, until, last });
        }
        let mut forks = Vec::new();
        let mut child = links.last().ok_or(FetchError::EmptyPlan)?.lineage.clone();
        while let Some(fork) = child.parent {
            let parent = find(fork.lineage)?;
            if parent.timeline >= child.timeline {
                return Err(FetchError::UnknownLineage(parent.id));
            }
            forks.push((parent.timeline, fork.lsn));
            child = parent;
        }
        forks.reverse();
        Ok(WalChain { links: links.into(), forks: forks.into() })
    }

    /// A file that a recovery asks for. None: the chain does not have it, which
    /// is how a recovery finds its end. A file that the plan counts on and that
    /// is not there is an error.
    pub async fn fetch_wal(&self, chain: &WalChain, name: &str) -> Result<Option<Vec<u8>>, FetchError> {
        let (chain, name) = (chain.clone(), name.to_owned());
        self.blocking(move |archive| archive.fetch(&chain, &name)).await
    }

    pub(crate) fn fetch(&self, chain: &WalChain, name: &str) -> Result<Option<Vec<u8>>, FetchError> {
        let Some(source) = chain.links.last() else { return Ok(None) };
        match WalFile::parse(name, source.lineage.segment_size) {
            Ok(WalFile::Segment(segment)) => self.fetch_segment(chain, segment),
            Ok(WalFile::History(timeline)) if timeline == source.lineage.timeline => {
                self.fetch_history(chain, &source.lineage)
            }
            _ => Ok(None),
        }
    }

    fn fetch_segment(&self, chain: &WalChain, segment: Segment) -> Result<Option<Vec<u8>>, FetchError> {
        let of_timeline = |link: &&Link| link.lineage.timeline == segment.timeline;
        let Some(link) = chain.links.iter().find(of_timeline) else { return Ok(None) };
        if segment < link.from || segment >= link.until {
            return Ok(None);
        }
        let (lineage, is_last) = (&link.lineage, link.last == Some(segment));
        // One that is unfinished may become whole while it is read.
        for _ in 0..LOOKS {
            if let Some(whole) = self.read_segment(lineage, segment)? {
                return Ok(Some(whole));
            }
            let size = lineage.segment_size.0 as usize;
            let found = match is_last {
                true => self.read_unfinished(lineage, segment)?,
                false => self.read_pieces(lineage, segment)?.filter(|chain| chain.len() == size),
            };
            if let Some(bytes) = found {
                let name = || file_name(&WalFile::Partial(segment), lineage.segment_size);
                return match header::check(lineage, segment, &bytes) {
                    Ok(()) => Ok(Some(bytes)),
                    Err(_) => Err(FetchError::Damaged { name: name(), source: None }),
                };
            }
        }
        Err(FetchError::Missing { name: segment.file_name(lineage.segment_size) })
    }

    /// A whole segment.
    fn read_segment(&self, lineage: &Lineage, segment: Segment) -> Result<Option<Vec<u8>>, FetchError> {
        let (name, limit) = (segment.file_name(lineage.segment_size), lineage.segment_size.0 as usize);
        match self.read_object(&self.wal_folder(lineage.id).join(&name), limit) {
            Ok(Some(bytes)) if bytes.len() == limit && header::check(lineage, segment, &bytes).is_ok() => {
                Ok(Some(bytes))
            }
            Ok(Some(_)) => Err(FetchError::Damaged { name, source: None }),
            Ok(None) => Ok(None),
            Err(source) if is_damage(&source) => Err(FetchError::Damaged { name, source: Some(source) }),
            Err(error) => Err(error.into()),
        }
    }

    /// The source's timeline history; written from the lineages' records if its
    /// cell died before it archived its own.
    fn fetch_history(&self, chain: &WalChain, source: &Lineage) -> Result<Option<Vec<u8>>, FetchError> {
        if chain.forks.is_empty() {
            return Ok(None);
        }
        let name = file_name(&WalFile::History(source.timeline), source.segment_size);
        let written = || {
            let line = |(timeline, lsn): &(Timeline, Lsn)| format!("{}\t{lsn}\trestored\n", timeline.0);
            chain.forks.iter().map(line).collect::<String>().into_bytes()
        };
        match self.read_object(&self.wal_folder(source.id).join(&name), TEXT_LIMIT) {
            Ok(archived) => Ok(Some(archived.unwrap_or_else(written))),
            Err(source) if is_damage(&source) => Err(FetchError::Damaged { name, source: Some(source) }),
            Err(error) => Err(error.into()),
        }
    }
}

//! Taking WAL files in.

use std::sync::{Arc, PoisonError};

use daemon::fault;
use model::LineageId;
use model::archive::Lineage;
use model::lsn::{Segment, SegmentSize, WalFile};

use super::header::{self, Foreign, written_pages};
use super::{PAGE, PARTIAL, TEXT_LIMIT};
use crate::disk::{FileError, Linked};
use crate::object::is_damage;
use crate::record::RecordError;
use crate::repository::TenantArchive;

/// How a file came to be in the repository. It is durable in each case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    Stored,
    /// Equal content was there.
    AlreadyThere,
    /// The parent's last segment, cut at the fork: the lineage's own first
    /// segment begins with the same bytes, so it is not stored.
    NotNeeded,
}

#[derive(Debug, thiserror::Error)]
pub enum PushError {
    #[error("lineage {0} is not in the repository")]
    UnknownLineage(LineageId),
    #[error("{name} is in the repository with different content")]
    Different { name: String },
    #[error("{name} belongs to a cluster with another system identifier ({found}, not {expected})")]
    WrongSystem { name: String, found: u64, expected: u64 },
    #[error("{name} does not belong here: it {why}")]
    WrongPlace { name: String, why: String },
    #[error("{name} in the repository is damaged")]
    Damaged { name: String, source: FileError },
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    File(#[from] FileError),
}

impl TenantArchive {
    /// Takes in a file that the lineage's own cell archives. On success it is
    /// durable.
    pub async fn push_wal(
        &self,
        lineage: LineageId,
        file: WalFile,
        bytes: Vec<u8>,
    ) -> Result<Pushed, PushError> {
        self.blocking(move |archive| archive.push(lineage, &file, &bytes)).await
    }

    pub(crate) fn push(&self, id: LineageId, file: &WalFile, bytes: &[u8]) -> Result<Pushed, PushError> {
        let lineage = self.lineage(id)?.ok_or(PushError::UnknownLineage(id))?;
        let size = lineage.segment_size;
        let name = file_name(file, size);
        let place = |why: &str| PushError::WrongPlace { name: name.clone(), why: why.to_owned() };
        let pushed = match file {
            WalFile::Segment(segment) => {
                check(&lineage, *segment, &name, bytes)?;
                if segment.timeline != lineage.timeline {
                    return Err(place("is not on the lineage's timeline"));
                }
                let pushed = self.store(id, &name, bytes)?;
                // The whole segment is durable, and says all that the partial did.
                self.drop_partial(id, &name)?;
                pushed
            }
            WalFile::Partial(segment) => {
                let fork = lineage.parent.filter(|_| segment.timeline < lineage.timeline);
                let Some(fork) = fork else {
                    return Err(place("is unfinished; unfinished segments are taken from a stopped cell"));
                };
                if segment.number != Segment::at(segment.timeline, fork.lsn, size).number {
                    return Err(place("is not the segment that the lineage began in"));
                }
                let of_parent = Lineage { timeline: segment.timeline, parent: None, ..(*lineage).clone() };
                // Its first page can be from before an earlier fork.
                match header::check(&of_parent, *segment, bytes) {
                    Err(Foreign::System(found)) => {
                        return Err(PushError::WrongSystem {
                            name,
                            found,
                            expected: lineage.system_identifier,
                        });
                    }
                    _ => return Ok(Pushed::NotNeeded),
                }
            }
            WalFile::Piece(..) => return Err(place("is a piece of a segment, which no cluster archives")),
            WalFile::History(_) | WalFile::BackupLabel(..) => {
                if file.timeline() != lineage.timeline {
                    return Err(place("is not of the lineage's timeline"));
                }
                if bytes.is_empty() || bytes.len() > TEXT_LIMIT {
                    return Err(place("has an impossible size"));
                }
                if matches!(file, WalFile::History(_)) && !self.tells_fork(&lineage, bytes)? {
                    return Err(place("names another fork than the lineage's record"));
                }
                self.store(id, &name, bytes)?
            }
        };
        self.inner.arrived();
        Ok(pushed)
    }

    /// Whether a timeline history ends with the lineage's own fork. Siblings
    /// have the same timeline and system identifier, but left elsewhere.
    pub(crate) fn tells_fork(&self, lineage: &Lineage, history: &[u8]) -> Result<bool, PushError> {
        let Some(fork) = lineage.parent else { return Ok(false) };
        let parent = self.lineage(fork.lineage)?.ok_or(PushError::UnknownLineage(fork.lineage))?;
        let text = String::from_utf8_lossy(history);
        let last = text.lines().map(str::trim).rfind(|line| !line.is_empty() && !line.starts_with('#'));
        let mut fields = last.unwrap_or_default().split_whitespace();
        let (timeline, lsn) = (fields.next(), fields.next());
        Ok(timeline.and_then(|text| text.parse().ok()) == Some(parent.timeline.0)
            && lsn.and_then(|text| text.parse().ok()) == Some(fork.lsn))
    }

    /// Removes the unfinished segment that a whole one supersedes. It can be
    /// there only if the cell was stopped once, which is known from a look.
    fn drop_partial(&self, lineage: LineageId, name: &str) -> Result<(), FileError> {
        let mut partials = self.shared.partials.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match partials.get_mut(&lineage) {
            Some(known) => known,
            None => {
                let mut names = self.inner.store.names(&self.wal_folder(lineage))?;
                names.retain(|name| name.ends_with(PARTIAL));
                partials.entry(lineage).or_insert_with(|| names.into_iter().collect())
            }
        };
        let partial = format!("{name}{PARTIAL}");
        if known.contains(&partial) {
            self.inner.store.remove(&self.wal_folder(lineage).join(&partial))?;
            known.remove(&partial);
        }
        Ok(())
    }

    /// Stores an immutable WAL object, durably.
    pub(super) fn store(&self, lineage: LineageId, name: &str, bytes: &[u8]) -> Result<Pushed, PushError> {
        let path = self.wal_folder(lineage).join(name);
        let mut upload = self.write_object(&path, bytes)?;
        fault::point("archive.push.written");
        let pushed = match upload.place()? {
            Linked::New => Pushed::Stored,
            Linked::Taken => {
                drop(upload);
                match self.read_object(&path, bytes.len().max(TEXT_LIMIT)) {
                    Ok(Some(there)) if there == bytes => Pushed::AlreadyThere,
                    Ok(_) => return Err(PushError::Different { name: name.to_owned() }),
                    Err(source) if is_damage(&source) => {
                        return Err(PushError::Damaged { name: name.to_owned(), source });
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        };
        fault::point("archive.push.linked");
        self.inner.store.settle_parent(&path)?;
        Ok(pushed)
    }

    /// Takes in the unfinished last segment of a stopped cell. It may replace
    /// one that it continues.
    pub(crate) fn push_partial(
        &self,
        id: LineageId,
        segment: Segment,
        bytes: &[u8],
    ) -> Result<Pushed, PushError> {
        let lineage = self.lineage(id)?.ok_or(PushError::UnknownLineage(id))?;
        let size = lineage.segment_size;
        let name = file_name(&WalFile::Partial(segment), size);
        check(&lineage, segment, &name, bytes)?;
        let path = self.wal_folder(id).join(&name);
        let _replacing = self.shared.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        match self.read_object(&path, size.0 as usize) {
            Ok(Some(there)) if there == bytes => {
                self.inner.store.settle_parent(&path)?;
                return Ok(Pushed::AlreadyThere);
            }
            Ok(Some(there)) => {
                let (old, new) = (written_pages(segment, size, &there), written_pages(segment, size, bytes));
                let finished = old.saturating_sub(1) * PAGE;
                if new < old || there[..finished] != bytes[..finished] {
                    return Err(PushError::Different { name });
                }
            }
            Ok(None) => {}
            // A damaged partial says nothing; the cell's own file does.
            Err(error) if is_damage(&error) => {}
            Err(error) => return Err(error.into()),
        }
        self.write_object(&path, bytes)?.replace()?;
        let mut partials = self.shared.partials.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = partials.get_mut(&id) {
            known.insert(name);
        }
        drop(partials);
        self.inner.arrived();
        Ok(Pushed::Stored)
    }
}

fn check(lineage: &Arc<Lineage>, segment: Segment, name: &str, bytes: &[u8]) -> Result<(), PushError> {
    let name = || name.to_owned();
    if bytes.len() != lineage.segment_size.0 as usize {
        let why = format!("has {} bytes, not {}", bytes.len(), lineage.segment_size.0);
        return Err(PushError::WrongPlace { name: name(), why });
    }
    header::check(lineage, segment, bytes).map_err(|foreign| foreign.refuse(lineage, &name()))
}

impl Foreign {
    pub(super) fn refuse(self, lineage: &Lineage, name: &str) -> PushError {
        let name = name.to_owned();
        match self {
            Self::System(found) => {
                PushError::WrongSystem { name, found, expected: lineage.system_identifier }
            }
            Self::NoHeader => {
                PushError::WrongPlace { name, why: "does not begin as a WAL segment does".to_owned() }
            }
            Self::Other(why) => PushError::WrongPlace { name, why },
        }
    }
}

pub(crate) fn file_name(file: &WalFile, size: SegmentSize) -> String {
    match file {
        WalFile::Segment(segment) => segment.file_name(size),
        WalFile::Partial(segment) => format!("{}{PARTIAL}", segment.file_name(size)),
        WalFile::Piece(segment, from, to) => {
            format!("{}{PARTIAL}-{from:08X}-{to:08X}", segment.file_name(size))
        }
        WalFile::History(timeline) => format!("{:08X}.history", timeline.0),
        WalFile::BackupLabel(segment, offset) => {
            format!("{}.{offset:08X}.backup", segment.file_name(size))
        }
    }
}

#[cfg(test)]
mod tests {
    use model::TenantId;
    use model::lsn::Timeline;

    use super::*;
    use crate::Repository;

    /// A segment of which `pages` are written, each with `fill`.
    fn partial(lineage: &Lineage, segment: Segment, pages: usize, fill: u8) -> Vec<u8> {
        let size = lineage.segment_size;
        let mut bytes = vec![0; size.0 as usize];
        for (page, bytes) in bytes.chunks_mut(PAGE).enumerate() {
            // The rest is left from an older segment.
            let from = if page < pages { segment.start(size).0 } else { 0 };
            bytes.fill(fill);
            bytes[..8].copy_from_slice(&[0x10, 0xD1, 2, 0, lineage.timeline.0 as u8, 0, 0, 0]);
            bytes[8..16].copy_from_slice(&(from + (page * PAGE) as u64).to_le_bytes());
            bytes[24..32].copy_from_slice(&lineage.system_identifier.to_le_bytes());
            bytes[32..36].copy_from_slice(&size.0.to_le_bytes());
        }
        bytes
    }

    #[tokio::test]
    async fn a_partial_is_replaced_only_by_one_that_continues_it() {
        let folder = tempfile::tempdir().unwrap();
        let keys = crate::KeyFile::at(folder.path().join("key"));
        keys.make().unwrap();
        let repository = Repository::open_or_create(folder.path().join("repository"), keys).unwrap();
        let archive = repository.tenant(TenantId::new());
        let lineage = Lineage {
            id: LineageId::new(),
            tenant: archive.tenant(),
            parent: None,
            timeline: Timeline(1),
            system_identifier: 77,
            segment_size: SegmentSize::CELL,
            database: "acme".into(),
        };
        archive.put_lineage(lineage.clone()).await.unwrap();
        let segment = Segment { timeline: Timeline(1), number: 9 };
        let push = |bytes: &[u8]| archive.push_partial(lineage.id, segment, bytes);
        let first = partial(&lineage, segment, 3, 1);
        assert_eq!(push(&first).unwrap(), Pushed::Stored);
        assert_eq!(push(&first).unwrap(), Pushed::AlreadyThere);
        // The page that was being written goes on, and more follow.
        let mut longer = partial(&lineage, segment, 5, 1);
        longer[2 * PAGE + 4000..3 * PAGE].fill(2);
        assert_eq!(push(&longer).unwrap(), Pushed::Stored);
        for other in [first, partial(&lineage, segment, 6, 3), partial(&lineage, segment, 4, 1)] {
            assert!(matches!(push(&other), Err(PushError::Different { .. })));
        }
        push(&partial(&lineage, Segment { number: 10, ..segment }, 3, 1)).unwrap_err();

        let held = archive.history().await.unwrap().history.lineages.remove(0);
        assert_eq!((held.partial, held.segments.len()), (Some(segment), 0));
        // The whole segment takes its place.
        let whole = partial(&lineage, segment, 128, 1);
        archive.push_wal(lineage.id, WalFile::Segment(segment), whole).await.unwrap();
        let held = archive.history().await.unwrap().history.lineages.remove(0);
        assert_eq!((held.partial, &held.segments[..]), (None, &[segment][..]));
        let names = archive.inner.store.names(&archive.wal_folder(lineage.id)).unwrap();
        assert_eq!(names, ["000000010000000000000009"]);
    }
}

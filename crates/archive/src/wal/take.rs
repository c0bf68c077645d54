//! Taking a stopped cell's WAL that was never archived.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use model::LineageId;
use model::lsn::{Lsn, Segment, WalFile};

use super::TEXT_LIMIT;
use super::header::{self, LENGTH};
use super::push::{PushError, Pushed};
use crate::disk::FileError;
use crate::record::{PutError, RecordError};
use crate::repository::TenantArchive;
use crate::tree::{Folder, TreeError};

/// What was taken, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// Whole segments and timeline histories that had not been archived.
    pub files: Vec<String>,
    /// The unfinished last segment, if there is one.
    pub partial: Option<String>,
    /// How far the repository's WAL of the lineage now surely goes.
    pub reaches: Lsn,
}

#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    #[error("lineage {0} is not in the repository")]
    UnknownLineage(LineageId),
    #[error("the cell in {} is running; stop it before its WAL is taken", .0.display())]
    Running(PathBuf),
    #[error("read the cell's WAL")]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Push(#[from] PushError),
    #[error(transparent)]
    Put(#[from] PutError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    File(#[from] FileError),
}

impl TenantArchive {
    /// Takes from a stopped cell what its lineage's repository does not have.
    /// Nothing in the data directory is changed; a second call takes nothing
    /// new.
    pub async fn take_pg_wal(&self, lineage: LineageId, data_dir: &Path) -> Result<Taken, TakeError> {
        let data_dir = data_dir.to_owned();
        self.blocking(move |archive| archive.take(lineage, &data_dir)).await
    }

    fn take(&self, id: LineageId, data_dir: &Path) -> Result<Taken, TakeError> {
        let lineage = self.lineage(id)?.ok_or(TakeError::UnknownLineage(id))?;
        let size = lineage.segment_size;
        let data = Folder::open(data_dir)?;
        if is_running(&data, data_dir)? {
            return Err(TakeError::Running(data_dir.to_owned()));
        }
        let pg_wal = data.folder("pg_wal")?;
        let marked: HashSet<String> = match pg_wal.folder("archive_status") {
            Ok(status) => status.names()?.into_iter().collect(),
            Err(error) if error.is_missing() => HashSet::new(),
            Err(error) => return Err(error.into()),
        };
        let finished = |name: &str| {
            marked.contains(&format!("{name}.ready")) || marked.contains(&format!("{name}.done"))
        };

        let mut taken = Taken::default();
        let mut begun: Vec<Segment> = Vec::new();
        for name in pg_wal.names()? {
            match WalFile::parse(&name, size) {
                Ok(WalFile::Segment(segment)) if segment.timeline == lineage.timeline => {
                    // Files for future segments are made ahead; they hold
                    // nothing, or what they held under an older name.
                    let first = pg_wal.read_start(&name, LENGTH)?;
                    if header::check(&lineage, segment, &first).is_ok() {
                        begun.push(segment);
                    }
                }
                Ok(file @ WalFile::History(timeline)) if timeline == lineage.timeline => {
                    let bytes = pg_wal.read(&name, TEXT_LIMIT as u64)?;
                    if self.push(id, &file, &bytes)? == Pushed::Stored {
                        taken.files.push(name);
                    }
                }
                _ => {}
            }
        }
        begun.sort_unstable();
        taken.reaches = lineage.parent.map_or(Lsn(0), |fork| fork.lsn);
        for segment in &begun {
            let name = segment.file_name(size);
            let is_last = begun.last() == Some(segment);
            if is_last && !finished(&name) {
                let bytes = pg_wal.read(&name, u64::from(size.0))?;
                self.push_partial(id, *segment, &bytes)?;
                taken.partial = Some(name);
                // Where in it the WAL ends only a recovery can tell.
                taken.reaches = Lsn(segment.start(size).0 + 1);
                break;
            }
            if !self.inner.store.exists(&self.wal_folder(id).join(&name))? {
                let bytes = pg_wal.read(&name, u64::from(size.0))?;
                self.push(id, &WalFile::Segment(*segment), &bytes)?;
                taken.files.push(name);
            }
            taken.reaches = segment.end(size);
        }
        // Also what was there before is acknowledged now.
        self.settle_wal(id)?;
        self.put_reached(id, taken.reaches)?;
        Ok(taken)
    }
}

/// Whether the process that `postmaster.pid` names works in this directory. A
/// killed one leaves the file behind, and its number may be another's by now.
fn is_running(data: &Folder, data_dir: &Path) -> Result<bool, TreeError> {
    let text = match data.read("postmaster.pid", 4096) {
        Ok(text) => text,
        Err(error) if error.is_missing() => return Ok(false),
        Err(error) => return Err(error),
    };
    let text = String::from_utf8_lossy(&text);
    let Some(pid) = text.lines().next().and_then(|line| line.trim().parse::<u32>().ok()) else {
        return Ok(false);
    };
    let works_in = std::fs::read_link(format!("/proc/{pid}/cwd")).ok();
    Ok(works_in.is_some() && works_in == data_dir.canonicalize().ok())
}

//! What is said of a snapshot after it was taken: `marks/<snapshot>`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use daemon::fault;
use jiff::Timestamp;
use model::SnapshotId;
use model::retention::Mark;
use serde::{Deserialize, Serialize};

use crate::record::{PutError, RecordError};
use crate::repository::TenantArchive;

/// `marks/<snapshot>`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotMark {
    pub snapshot: SnapshotId,
    #[serde(default)]
    pub pinned: bool,
    /// None: when the retention window has passed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum MarkError {
    #[error("snapshot {0} is being removed just now, since it was past its expiry")]
    BeingRemoved(SnapshotId),
    #[error(transparent)]
    Put(#[from] PutError),
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl TenantArchive {
    pub(crate) fn mark_path(&self, snapshot: SnapshotId) -> PathBuf {
        self.folder().join("marks").join(snapshot.to_string())
    }

    /// Writes what is to be kept of a snapshot, in the place of what was said
    /// before; durable on return. Before the snapshot itself, for a new one.
    pub async fn put_mark(&self, mark: SnapshotMark) -> Result<(), MarkError> {
        self.blocking(move |archive| archive.mark(&mark)).await
    }

    fn mark(&self, mark: &SnapshotMark) -> Result<(), MarkError> {
        let path = self.mark_path(mark.snapshot);
        if self.read_record::<SnapshotMark>(&path)?.as_ref() == Some(mark) {
            return Ok(());
        }
        self.replace_record(&path, mark)?;
        fault::point("archive.mark.written");
        // Whoever removes looks at the marks once more after having said what
        // goes; what was said before this is found here.
        let name = format!("snapshots/{}", mark.snapshot);
        match self.is_being_removed(&[name])? {
            true => Err(MarkError::BeingRemoved(mark.snapshot)),
            false => Ok(()),
        }
    }

    /// All marks, as they stand in the repository.
    pub async fn marks(&self) -> Result<Vec<SnapshotMark>, RecordError> {
        self.blocking(Self::read_marks).await
    }

    pub(crate) fn read_marks(&self) -> Result<Vec<SnapshotMark>, RecordError> {
        let folder = self.folder().join("marks");
        let mut marks = Vec::new();
        for name in self.inner.store.names(&folder)? {
            let path = folder.join(&name);
            match self.read_record::<SnapshotMark>(&path)? {
                Some(mark) if mark.snapshot.to_string() == name => marks.push(mark),
                Some(_) => return Err(RecordError::Misplaced(path)),
                // Removed since it was listed.
                None => {}
            }
        }
        Ok(marks)
    }
}

pub(crate) fn for_retention(marks: &[SnapshotMark]) -> BTreeMap<SnapshotId, Mark> {
    let mark = |mark: &SnapshotMark| Mark { pinned: mark.pinned, expires_at: mark.expires_at };
    marks.iter().map(|it| (it.snapshot, mark(it))).collect()
}

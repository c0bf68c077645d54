//! What a repository holds of a tenant's history.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::lsn::{Lsn, Segment, SegmentSize, Timeline};
use crate::{BackupId, LineageId, SnapshotId, TenantId};

/// One line of a tenant's history: a cluster's life from its first write to
/// its fence. Every restore starts a new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    pub id: LineageId,
    pub tenant: TenantId,
    /// None for the lineage the tenant was provisioned with.
    pub parent: Option<Fork>,
    /// The timeline that this lineage's own WAL is on.
    pub timeline: Timeline,
    pub system_identifier: u64,
    pub segment_size: SegmentSize,
    pub database: String,
}

/// Where a lineage left its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fork {
    pub lineage: LineageId,
    /// The end of the parent's WAL that the child shares.
    pub lsn: Lsn,
}

/// From when on a lineage was what its tenant served; until the next
/// activation of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activation {
    pub lineage: LineageId,
    pub at: Timestamp,
}

/// A base backup that is whole and durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    pub id: BackupId,
    pub lineage: LineageId,
    /// Where replay starts.
    pub start: Lsn,
    /// What replay must have passed before the copy is consistent.
    pub stop: Lsn,
    pub stopped_at: Timestamp,
    /// Bytes of the data directory, and of what is stored.
    pub size: u64,
    pub stored: u64,
}

/// A named point whose WAL and files are durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotPoint {
    pub id: SnapshotId,
    pub lineage: LineageId,
    pub name: String,
    /// The name of the point in the WAL.
    pub restore_point: String,
    /// The end of the point's record.
    pub lsn: Lsn,
    /// No later than the point.
    pub at: Timestamp,
}

impl SnapshotPoint {
    /// A restore point's name: another for each attempt, since one that a killed
    /// attempt wrote stays in the WAL and stands for an earlier state.
    pub fn restore_point(id: SnapshotId, attempt: i32) -> String {
        format!("heddle-{id}-{attempt}")
    }
}

/// A lineage with what the repository holds of its WAL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineageHistory {
    pub lineage: Lineage,
    /// Whole segments in the repository, on the lineage's own timeline, in order.
    pub segments: Vec<Segment>,
    /// An unfinished last segment taken from a cell that died.
    pub partial: Option<Segment>,
    /// A position that the lineage's WAL is known to have reached: recorded
    /// when a stopped cell's WAL was taken, or what whoever plans has just seen
    /// a live cell switch to. None: nothing beyond the backups, snapshots and
    /// forks is known.
    pub reaches: Option<Lsn>,
}

/// Everything a restore is planned from; all of it is in the repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    pub lineages: Vec<LineageHistory>,
    pub activations: Vec<Activation>,
    pub backups: Vec<Backup>,
    pub snapshots: Vec<SnapshotPoint>,
}

impl History {
    pub fn lineage(&self, id: LineageId) -> Option<&LineageHistory> {
        self.lineages.iter().find(|held| held.lineage.id == id)
    }

    /// Notes that a lineage's WAL has reached `lsn`, so that a restore which
    /// finds less is refused. Does nothing for a lineage that is not here.
    pub fn note_reached(&mut self, id: LineageId, lsn: Lsn) {
        if let Some(held) = self.lineages.iter_mut().find(|held| held.lineage.id == id) {
            held.reaches = held.reaches.max(Some(lsn));
        }
    }
}

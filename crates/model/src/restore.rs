//! Planning a restore: which base backup, which WAL of which lineages, and
//! where replay ends. Planned purely; executed with no choices left.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::lsn::{Lsn, SegmentSize, Timeline};
use crate::{BackupId, LineageId, SnapshotId};

pub(crate) mod plan;
#[cfg(test)]
pub(crate) mod simulation;
#[cfg(test)]
mod tests;

pub use plan::{PlanError, earliest, plan, plan_backup, plan_latest, plan_lsn};

crate::written_enum! {
    pub enum RestoreState {
        /// Its plan is being made.
        Planning = "planning",
        /// Waits for a yes.
        Planned = "planned",
        /// The new cluster is being made beside the serving one.
        Materialising = "materialising",
        /// The new cluster is checked, the old one is being stopped and fenced.
        Switching = "switching",
        /// The tenant points at the new cluster; its Odoo is being started.
        Switched = "switched",
        /// Served from the new cluster; the old one is kept until retention drops it.
        Succeeded = "succeeded",
        /// Ended with a reason; the tenant serves what it served before.
        Failed = "failed",
    }
}

impl RestoreState {
    pub fn may_become(self, next: Self) -> bool {
        use RestoreState::{Failed, Materialising, Planned, Planning, Succeeded, Switched, Switching};
        matches!(
            (self, next),
            (Planning, Planned | Failed)
                | (Planned, Materialising | Failed)
                | (Materialising, Switching | Failed)
                | (Switching, Switched | Failed)
                | (Switched, Succeeded)
                | (Failed, Materialising)
        )
    }
}

/// What a tenant is to be given back as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    Snapshot(SnapshotId),
    /// What the tenant served at this time, whichever lineage that was.
    Time(Timestamp),
}

/// Where replay ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// At a restore point, named in the WAL.
    Name { name: String, lsn: Lsn },
    /// Before the first commit after this time; at `Plan::end` where there is none.
    Time(Timestamp),
    /// Before the first record that begins at this position or after it; at
    /// `Plan::end` where there is none.
    Lsn(Lsn),
    /// As soon as the backup is consistent.
    Consistent,
    /// At the end of the WAL, which must reach `Plan::end`.
    End,
}

/// A stretch of one lineage's WAL that replay reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalRange {
    pub lineage: LineageId,
    pub timeline: Timeline,
    pub from: Lsn,
    /// The lineage's fork towards the target, whose segment is the child's; for
    /// the last range, the end of the last segment that may be read, which can
    /// be an unfinished one.
    pub to: Lsn,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The lineage that is restored from: what the tenant served then.
    pub source: LineageId,
    pub backup: BackupId,
    /// From the backup's lineage to the source, oldest first, without a gap.
    pub wal: Vec<WalRange>,
    pub stop: Stop,
    /// How far the proven WAL of `source` goes.
    pub end: Lsn,
}

impl Plan {
    /// Whether replay that ended at `lsn` has read all of the proven WAL. The
    /// last record may be one that was never finished, so replay may end up to
    /// a segment before the end.
    pub fn reached(&self, lsn: Lsn, size: SegmentSize) -> bool {
        lsn.0.saturating_add(u64::from(size.0)) > self.end.0
    }
}

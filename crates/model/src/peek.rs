//! Peeks: a tenant's state at some point, to be read by people for a while. The
//! cluster that holds it is nobody's history: it archives nothing, and no
//! lineage begins with it.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::archive::History;
use crate::lsn::Lsn;
use crate::restore::{Plan, PlanError, Target, plan_latest, plan_lsn};
use crate::{SnapshotId, restore};

crate::written_enum! {
    pub enum PeekState {
        /// Its run makes it, or waits; set as it is asked for.
        Opening = "opening",
        /// It can be connected to; set by its worker's report.
        Open = "open",
        /// Its time is over, somebody has ended it, or its tenant was archived;
        /// its worker is about to remove it.
        Ending = "ending",
        /// Nothing is left of it; set by its worker's report.
        Ended = "ended",
        /// Its run has not made it.
        Failed = "failed",
    }
}

impl PeekState {
    pub fn may_become(self, next: Self) -> bool {
        use PeekState::{Ended, Ending, Failed, Open, Opening};
        matches!((self, next), (Opening, Open | Failed) | (Open, Ending | Ended) | (Ending, Ended))
    }

    /// Takes one of the places that a tenant has for peeks.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Opening | Self::Open | Self::Ending)
    }
}

/// Which state is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    Snapshot(SnapshotId),
    /// What the tenant served at this time, whichever lineage that was.
    Time(Timestamp),
    /// A position of the lineage that the tenant serves now.
    Lsn(Lsn),
    /// The newest that is durable.
    Latest,
}

/// How long one lasts unless something else is asked for, and at most.
pub const LASTS: Duration = Duration::from_secs(60 * 60);
pub const SHORTEST: Duration = Duration::from_secs(10);
pub const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// So many a tenant has at once.
pub const MOST_A_TENANT: usize = 3;

/// The role that reads it.
pub const ROLE: &str = "heddle_peek";

/// How it is made. Of the points, only times have to be within the window.
pub fn plan(history: &History, point: Point, now: Timestamp, retention: Duration) -> Result<Plan, PlanError> {
    match point {
        Point::Snapshot(snapshot) => restore::plan(history, Target::Snapshot(snapshot), now, retention),
        Point::Time(at) => restore::plan(history, Target::Time(at), now, retention),
        Point::Lsn(lsn) => plan_lsn(history, lsn),
        Point::Latest => plan_latest(history, now),
    }
}

/// Whether the repository surely holds all that was written up to the point, so
/// that the serving cell need not be asked for what it has not archived yet.
pub fn is_covered(history: &History, point: Point) -> bool {
    let serving = history.activations.iter().max_by_key(|activation| activation.at);
    match point {
        Point::Snapshot(_) => true,
        // A later cell was served since then, before which the earlier one's
        // last WAL was taken; or a later snapshot is proven whole. (A backup's
        // time is later than its last WAL by a moment.)
        Point::Time(at) => serving.is_some_and(|serving| {
            let mut own = history.snapshots.iter().filter(|point| point.lineage == serving.lineage);
            serving.at > at || own.any(|point| point.at > at)
        }),
        Point::Lsn(lsn) => plan_lsn(history, lsn).is_ok(),
        Point::Latest => false,
    }
}

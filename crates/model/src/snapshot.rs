//! Snapshots: named points in a tenant's history.

crate::written_enum! {
    pub enum SnapshotState {
        /// Its run is queued or under way.
        Creating = "creating",
        /// Its WAL and its files are durable in the repository.
        Ready = "ready",
        /// A restore to it is under way.
        Restoring = "restoring",
        /// Its run ended without the proof; it cannot be restored to.
        Failed = "failed",
        /// Past its expiry or its tenant's retention window.
        Expired = "expired",
    }
}

impl SnapshotState {
    pub fn may_become(self, next: Self) -> bool {
        use SnapshotState::{Creating, Expired, Failed, Ready, Restoring};
        matches!(
            (self, next),
            (Creating, Ready | Failed)
                | (Ready, Restoring | Expired)
                | (Restoring, Ready)
                | (Failed, Expired)
        )
    }
}

crate::written_enum! {
    pub enum SnapshotKind {
        /// Taken by Heddle itself, before it changes something.
        Auto = "auto",
        Manual = "manual",
        /// Taken before an AI agent works.
        PreAi = "pre_ai",
    }
}

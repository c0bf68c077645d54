//! PostgreSQL instances.

crate::written_enum! {
    /// How many tenants a cluster holds. Nothing but the cell strategy may
    /// assume that a cluster is its tenant's own.
    pub enum ClusterKind {
        Cell = "cell",
    }
}

crate::written_enum! {
    pub enum ClusterState {
        /// Recorded by the run that makes it; not yet fit to serve.
        Creating = "creating",
        /// Serves, or may be switched to.
        Ready = "ready",
        /// Stopped for good by a restore: it must never accept a write again.
        Fenced = "fenced",
        /// Its files are gone; retention dropped it, or the run that made it failed.
        Dropped = "dropped",
    }
}

impl ClusterState {
    pub fn may_become(self, next: Self) -> bool {
        use ClusterState::{Creating, Dropped, Fenced, Ready};
        matches!(
            (self, next),
            (Creating, Ready | Dropped) | (Ready, Fenced | Dropped) | (Fenced, Ready | Dropped)
        )
    }
}

//! Projects, environments and builds.

crate::written_enum! {
    pub enum Stage {
        /// One a project.
        Production = "production",
        Staging = "staging",
        Development = "development",
    }
}

crate::written_enum! {
    pub enum BuildState {
        /// Its run is queued or under way.
        Building = "building",
        /// Its template is on the worker's host; tenants can be made from it.
        Ready = "ready",
        /// Its run ended without a template; the run says why.
        Failed = "failed",
    }
}

impl BuildState {
    pub fn may_become(self, next: Self) -> bool {
        use BuildState::{Building, Failed, Ready};
        matches!((self, next), (Building, Ready | Failed) | (Failed, Building))
    }
}

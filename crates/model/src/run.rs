//! Runs: queued units of work. Everything slow is a run.

crate::written_enum! {
    pub enum RunState {
        /// Waits for a worker; set by whoever asked, and again when a lease expires.
        Queued = "queued",
        /// Held by a worker under a lease.
        Running = "running",
        Succeeded = "succeeded",
        /// Ended with a reason; `retry` queues it again.
        Failed = "failed",
        Cancelled = "cancelled",
    }
}

impl RunState {
    pub fn may_become(self, next: Self) -> bool {
        use RunState::{Cancelled, Failed, Queued, Running, Succeeded};
        matches!(
            (self, next),
            (Queued, Running | Cancelled | Failed)
                | (Running, Succeeded | Failed | Cancelled | Queued)
                | (Failed | Cancelled, Queued)
        )
    }

    pub fn ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

crate::written_enum! {
    pub enum RunKind {
        /// Check an Odoo tree and initialise a template from it.
        Build = "build",
        /// Make a tenant from its build's template.
        Provision = "provision",
        Backup = "backup",
        Snapshot = "snapshot",
        /// Find out how a restore would go; changes nothing.
        PlanRestore = "plan_restore",
        Restore = "restore",
        /// Drop what retention no longer keeps.
        Expire = "expire",
    }
}

crate::written_enum! {
    pub enum Level {
        Debug = "debug",
        Info = "info",
        Warning = "warning",
        Error = "error",
    }
}

/// A run that lost its worker this many times is not tried again: it may be
/// what kills them.
pub const MAX_ATTEMPTS: i32 = 3;

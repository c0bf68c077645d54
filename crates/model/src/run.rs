//! Runs: queued units of work. Everything slow is a run.

crate::written_enum! {
    pub enum RunState {
        /// Waits for other runs, or for an approval; set as it is queued or retried.
        Waiting = "waiting",
        /// Waits for a worker; set by whoever asked, when nothing else is waited
        /// for, when a lease expires, and by a failure that is tried again.
        Queued = "queued",
        /// Held by a worker under a lease.
        Running = "running",
        Succeeded = "succeeded",
        /// Ended with a reason; `retry` queues it again.
        Failed = "failed",
        /// Somebody ended it, or a run that it waited for has not succeeded.
        Cancelled = "cancelled",
        /// Tried as often as it may be, or lost its worker too often; `retry`
        /// queues it again.
        Dead = "dead",
    }
}

impl RunState {
    pub fn may_become(self, next: Self) -> bool {
        use RunState::{Cancelled, Dead, Failed, Queued, Running, Succeeded, Waiting};
        matches!(
            (self, next),
            (Waiting, Queued | Cancelled)
                | (Queued, Running | Cancelled)
                | (Running, Succeeded | Failed | Cancelled | Dead | Queued)
                | (Failed | Cancelled | Dead, Queued | Waiting)
        )
    }

    pub fn ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::Dead)
    }

    /// Ended, and not well: it can be tried again.
    pub fn may_be_retried(self) -> bool {
        matches!(self, Self::Failed | Self::Cancelled | Self::Dead)
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
        /// Make a tenant's state readable for a while, beside what is served.
        Peek = "peek",
        /// Drop what retention no longer keeps.
        Expire = "expire",
        /// Destroy an archived tenant's key, and remove all that there is of it.
        Shred = "shred",
        /// Prove that the queue and a worker work; does nothing else.
        Probe = "probe",
    }
}

impl RunKind {
    /// What kind of worker it is for.
    pub fn worker(self) -> WorkerKind {
        match self {
            Self::Build => WorkerKind::Build,
            Self::Provision | Self::PlanRestore | Self::Restore | Self::Peek => WorkerKind::Deploy,
            Self::Backup | Self::Snapshot | Self::Expire | Self::Shred => WorkerKind::Backup,
            Self::Probe => WorkerKind::Test,
        }
    }

    /// Whether it goes on beside other runs of its tenant: it reads the
    /// repository, and changes nothing that they act on.
    pub fn is_beside(self) -> bool {
        self == Self::Peek
    }

    /// Whether nothing but the run itself moves as it goes on.
    pub fn stands_alone(self) -> bool {
        self == Self::Probe
    }
}

crate::written_enum! {
    /// What a worker is made for.
    pub enum WorkerKind {
        Build = "build",
        /// Making, restoring and looking into tenants.
        Deploy = "deploy",
        /// Backups, snapshots, and dropping what is not kept.
        Backup = "backup",
        Test = "test",
    }
}

crate::written_enum! {
    /// Which of the queued runs are claimed first. Runs of development
    /// environments come after all others, whatever their priority.
    pub enum Priority {
        High = "high",
        Normal = "normal",
        /// What nobody waits for.
        Low = "low",
    }
}

crate::written_enum! {
    pub enum Approval {
        /// None was asked for.
        None = "none",
        /// The run waits for it.
        Pending = "pending",
        Granted = "granted",
        Refused = "refused",
    }
}

crate::written_enum! {
    /// Why a worker is told to stop a run.
    pub enum Stop {
        /// Somebody asked for it.
        Cancel = "cancel",
        /// It takes longer than its kind may.
        Deadline = "deadline",
    }
}

crate::written_enum! {
    /// Why a run is taken from its worker.
    pub enum Loss {
        /// The worker was not heard of in time.
        Expired = "expired",
        /// It was, and never said that it had begun.
        Unbegun = "unbegun",
        /// It had begun, and said nothing more.
        Silent = "silent",
        /// It was told to stop at its deadline and did not.
        Overdue = "overdue",
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
pub const MAX_LOSSES: i32 = 3;

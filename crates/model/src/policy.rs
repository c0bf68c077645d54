//! Policies: which acts take the approval of others.

crate::written_enum! {
    /// What can be made to wait for an approval. The first four are kinds of
    /// runs, and it is the run that waits; the others are refused until they
    /// have been approved, and then asked for again.
    pub enum Act {
        Restore = "restore",
        Snapshot = "snapshot",
        /// Make a tenant.
        Provision = "provision",
        /// Read a tenant's database as it was.
        Peek = "peek",
        ArchiveTenant = "archive_tenant",
        /// Destroy an archived tenant's key.
        ShredTenant = "shred_tenant",
        DestroyEnvironment = "destroy_environment",
        /// Set or remove a secret.
        SetSecret = "set_secret",
        /// Change which acts take an approval. Of a whole project only.
        ChangePolicy = "change_policy",
    }
}

crate::written_enum! {
    pub enum ApprovalState {
        /// Waits for people; set when it is asked for.
        Pending = "pending",
        /// As many as were needed have approved; set by the last of them.
        Granted = "granted",
        /// One has refused; set by them.
        Refused = "refused",
        /// Not decided in time; set by control's reconciler.
        Expired = "expired",
        /// Its run was cancelled before it was decided; set along with that.
        Withdrawn = "withdrawn",
    }
}

crate::written_enum! {
    /// What one person says.
    pub enum Decision {
        Approve = "approve",
        Refuse = "refuse",
    }
}

/// Seconds after which what was asked and not decided ends, unless a policy
/// says otherwise.
pub const EXPIRES_AFTER: i32 = 24 * 60 * 60;

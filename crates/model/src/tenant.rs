//! Tenants: one customer's Odoo.

crate::written_enum! {
    pub enum TenantState {
        /// Recorded; set by control on creation, and again when a provision fails.
        Draft = "draft",
        /// A provision run is queued or under way; set by control as it queues it.
        Provisioning = "provisioning",
        /// Serves; set when the provision run has seen Odoo's login form.
        Active = "active",
        /// Visitors get a page that says so; its Odoo is stopped, its history kept.
        Suspended = "suspended",
        /// Out of service for good; kept until retention drops it.
        Archived = "archived",
    }
}

impl TenantState {
    pub fn may_become(self, next: Self) -> bool {
        use TenantState::{Active, Archived, Draft, Provisioning, Suspended};
        matches!(
            (self, next),
            (Draft, Provisioning | Archived)
                | (Provisioning, Active | Draft)
                | (Active, Suspended | Archived)
                | (Suspended, Active | Archived)
        )
    }
}

crate::written_enum! {
    pub enum Tier {
        Basic = "basic",
        Pro = "pro",
        Enterprise = "enterprise",
    }
}

crate::written_enum! {
    /// What the worker last saw of an active tenant's Odoo.
    pub enum Serving {
        /// Being started, or restored.
        Starting = "starting",
        /// Its login form was seen.
        Serving = "serving",
        /// It keeps ending or does not answer.
        Failing = "failing",
        /// Stopped on purpose: suspended or archived.
        Stopped = "stopped",
    }
}

/// What a tenant may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub users: i32,
    pub storage_bytes: i64,
    pub ai_operations_per_day: i32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { users: 10, storage_bytes: 5 << 30, ai_operations_per_day: 100 }
    }
}

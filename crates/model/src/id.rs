use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id, ordered by time of making (UUID version 7).
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }
    )*};
}

ids! {
    ProjectId
    EnvironmentId
    TenantId
    /// A build: an Odoo tree and the modules its template was initialised with.
    BuildId
    ClusterId
    /// A tenant's database in a cluster; the tenant points at the one it serves.
    TenantDatabaseId
    /// One line of a tenant's history. See [`crate::archive::Lineage`].
    LineageId
    RunId
    BackupId
    SnapshotId
    RestoreId
    PeekId
    WorkerId
    UserId
    ApiKeyId
    ScheduleId
    MaintenanceWindowId
    AlertId
    ApprovalId
    DataKeyId
    PolicyId
    SecretId
}

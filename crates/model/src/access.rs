//! What people and keys may do.

crate::written_enum! {
    /// What a role, a grant or a key's scope lets its holder do.
    pub enum Permission {
        /// See a project and all that is in it.
        Read = "read",
        /// Snapshots, restores and runs of what is not production.
        Test = "test",
        /// Builds; environments and tenants that are not production.
        Develop = "develop",
        /// All of that with production.
        Operate = "operate",
        /// Members, keys, secrets, schedules, policies.
        Administer = "administer",
        /// Make and unmake owners.
        Own = "own",
    }
}

crate::written_enum! {
    /// What a member of a project is there. From the one who may do most to the
    /// one who may do least.
    pub enum Role {
        Owner = "owner",
        Admin = "admin",
        Developer = "developer",
        Tester = "tester",
        Viewer = "viewer",
    }
}

impl Role {
    /// The same as `ops.roles` holds; a test compares them.
    pub fn permissions(self) -> &'static [Permission] {
        let most = match self {
            Self::Owner => 6,
            Self::Admin => 5,
            Self::Developer => 3,
            Self::Tester => 2,
            Self::Viewer => 1,
        };
        &Permission::ALL[..most]
    }

    /// The roles that have a permission.
    pub fn having(permission: Permission) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |role| role.permissions().contains(&permission))
    }
}

impl Permission {
    /// Those that can be given for one environment beyond somebody's role.
    pub const GRANTED: &[Self] = &[Self::Test, Self::Develop, Self::Operate];
}

//! Those who try, and what they try it on: a small model of who may do what,
//! apart from the schema's.

use model::access::Permission::{Develop, Operate, Own, Read, Test};
use model::access::{Permission, Role};
use serde_json::Value;

/// A row, and whose it is, by names.
#[derive(Debug)]
pub struct Row {
    pub key: String,
    pub json: Value,
    pub project: Option<String>,
    pub stage: Option<String>,
    pub tenant: Option<String>,
    pub worker: Option<String>,
    /// The worker that holds the row's run.
    pub holder: Option<String>,
    pub login: Option<String>,
    /// The key that asked, by its name.
    pub key_name: Option<String>,
}

impl Row {
    pub fn text(&self, column: &str) -> &str {
        self.json[column].as_str().unwrap_or_default()
    }

    pub fn production(&self) -> bool {
        self.stage.as_deref() == Some("production")
    }
}

/// Who tries.
pub struct Who {
    pub name: &'static str,
    pub kind: Kind,
    /// Roles by project; of a user, or of a key's.
    pub roles: &'static [(&'static str, Role)],
    pub operator: bool,
    /// Production of alpha may be operated beyond the role.
    pub granted: bool,
}

pub enum Kind {
    Nobody,
    User,
    Key {
        of: Option<&'static str>,
        project: Option<&'static str>,
        scopes: &'static [Permission],
    },
    /// Disabled, expired, revoked.
    Dead {
        key: bool,
    },
    Worker,
}

const ALPHA_OWNER: &[(&str, Role)] = &[("alpha", Role::Owner)];

pub fn everybody() -> Vec<Who> {
    let user = |name, roles| Who { name, kind: Kind::User, roles, operator: false, granted: false };
    let key = |name, of, project, scopes, roles| Who {
        name,
        kind: Kind::Key { of, project, scopes },
        roles,
        operator: false,
        granted: false,
    };
    let worker = |name| Who { name, kind: Kind::Worker, roles: &[], operator: false, granted: false };
    let dead = |name, key| Who { kind: Kind::Dead { key }, ..user(name, ALPHA_OWNER) };
    vec![
        Who { kind: Kind::Nobody, ..user("nobody", &[]) },
        user("stranger", &[]),
        user("viewer", &[("alpha", Role::Viewer)]),
        user("tester", &[("alpha", Role::Tester)]),
        Who { granted: true, ..user("granted", &[("alpha", Role::Tester)]) },
        user("developer", &[("alpha", Role::Developer)]),
        user("admin", &[("alpha", Role::Admin)]),
        user("owner", ALPHA_OWNER),
        user("beta-owner", &[("beta", Role::Owner)]),
        user("both", &[("alpha", Role::Owner), ("beta", Role::Owner)]),
        Who { operator: true, ..user("operator", &[]) },
        dead("disabled", false),
        key("reading", Some("owner"), None, &[Read], ALPHA_OWNER),
        key("developing", Some("owner"), None, &[Read, Test, Develop], ALPHA_OWNER),
        key(
            "of-beta",
            Some("both"),
            Some("beta"),
            Permission::ALL,
            &[("alpha", Role::Owner), ("beta", Role::Owner)],
        ),
        dead("expired", true),
        dead("revoked", true),
        dead("of-the-disabled", true),
        Who { operator: true, ..key("operating", Some("operator"), None, &[Read, Test], &[]) },
        Who { operator: true, ..key("installation", None, None, Permission::ALL, &[]) },
        worker("holder"),
        worker("host"),
        worker("idle"),
    ]
}

impl Who {
    pub fn is_worker(&self) -> bool {
        matches!(self.kind, Kind::Worker)
    }

    pub fn is_key(&self) -> bool {
        matches!(self.kind, Kind::Key { .. } | Kind::Dead { key: true })
    }

    /// The login of whom it acts for, if it acts at all.
    pub fn acts_for(&self) -> Option<String> {
        match self.kind {
            Kind::User => Some(self.name.to_owned()),
            Kind::Key { of, .. } => of.map(str::to_owned),
            _ => None,
        }
    }

    /// How far a key reaches.
    fn scope(&self, permission: Permission, project: &str) -> bool {
        match self.kind {
            Kind::User => true,
            Kind::Key { project: bound, scopes, .. } => {
                scopes.contains(&permission) && bound.is_none_or(|bound| bound == project)
            }
            _ => false,
        }
    }

    fn may_there(&self, permission: Permission, project: &str) -> bool {
        let role = self.roles.iter().find(|(of, _)| *of == project);
        let has = self.operator || role.is_some_and(|(_, role)| role.permissions().contains(&permission));
        has && self.scope(permission, project)
    }

    pub fn may_in_project(&self, permission: Permission, row: &Row) -> bool {
        row.project.as_deref().is_some_and(|project| self.may_there(permission, project))
    }

    pub fn may(&self, permission: Permission, row: &Row) -> bool {
        let needed = match permission {
            Test | Develop if row.production() => Operate,
            other => other,
        };
        let granted = self.granted
            && row.production()
            && row.project.as_deref() == Some("alpha")
            && matches!(permission, Test | Develop | Operate);
        granted || self.may_in_project(needed, row)
    }

    pub fn has_a_project(&self) -> bool {
        ["alpha", "beta"].iter().any(|project| self.may_there(Read, project))
    }

    pub fn is_operator(&self) -> bool {
        let everything = match self.kind {
            Kind::User => true,
            Kind::Key { project, scopes, .. } => project.is_none() && scopes.contains(&Own),
            _ => false,
        };
        self.operator && everything
    }

    /// Whether somebody is a member of a project that this one sees.
    pub fn shares_a_project(&self, row: &Row) -> bool {
        let login = row.login.as_deref().unwrap_or_default();
        let members: &[(&str, &[&str])] = &[
            ("alpha", &["viewer", "tester", "developer", "admin", "owner", "granted", "disabled", "both"]),
            ("beta", &["both", "beta-viewer", "beta-owner"]),
        ];
        members.iter().any(|(project, logins)| logins.contains(&login) && self.may_there(Read, project))
    }

    /// Whether a new key like this row would reach no further.
    pub fn reaches(&self, row: &Row) -> bool {
        let Kind::Key { project, scopes, .. } = self.kind else { return true };
        let wanted = row.json["scopes"].as_array().expect("a key has scopes");
        let narrower = wanted.iter().all(|wanted| scopes.iter().any(|scope| wanted == scope.as_str()));
        narrower && project.is_none_or(|bound| row.project.as_deref() == Some(bound))
    }

    pub fn holds_tenant(&self, row: &Row) -> bool {
        self.name == "holder" && row.tenant.as_deref() == Some("alpha-staging")
    }

    pub fn hosts_tenant(&self, row: &Row) -> bool {
        let hosted = match self.name {
            "holder" => "alpha-",
            "host" => "beta-",
            _ => return false,
        };
        row.tenant.as_deref().is_some_and(|tenant| tenant.starts_with(hosted))
    }

    /// Of a build: its run is the one it holds.
    pub fn holds_build(&self, row: &Row) -> bool {
        self.name == "holder" && row.project.as_deref() == Some("alpha") && row.text("state") == "building"
    }

    /// Whether it has tenants of the row's project.
    pub fn works_in(&self, row: &Row) -> bool {
        let project = row.project.as_deref();
        (self.name == "holder" && project == Some("alpha"))
            || (self.name == "host" && project == Some("beta"))
    }
}

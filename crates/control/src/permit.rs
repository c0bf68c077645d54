//! Clear answers to what the database would refuse. Its policies decide; what
//! is asked here first is only asked so that the refusal says what is missing
//! and who can give it.

use database::{On, Role};
use model::access::{Permission, Role as Member};
use model::{EnvironmentId, ProjectId};

use crate::{Control, Kind, Refusal, Requester, Result};

impl Control {
    /// Refuses those who lack a permission in a project. `what` goes on after
    /// "you may not".
    pub(crate) async fn permit(
        &self,
        on: &impl On,
        project: ProjectId,
        name: &str,
        permission: Permission,
        what: &str,
    ) -> Result<()> {
        if on.claims().role != Role::User || database::access::in_project(on, project, permission).await? {
            return Ok(());
        }
        self.refuse(name, permission, what).await
    }

    /// The same for an environment (`PROJECT/NAME`), where production asks for more.
    pub(crate) async fn permit_in(
        &self,
        on: &impl On,
        environment: EnvironmentId,
        name: &str,
        permission: Permission,
        what: &str,
    ) -> Result<()> {
        if on.claims().role != Role::User {
            return Ok(());
        }
        match database::access::in_environment(on, environment, permission).await? {
            Some(found) if found.may => Ok(()),
            Some(found) if found.production => self.refuse(name, Permission::Operate, what).await,
            _ => self.refuse(name, permission, what).await,
        }
    }

    /// Refuses those who do not run the installation.
    pub(crate) async fn permit_operator(&self, on: &impl On, what: &str) -> Result<()> {
        if on.claims().role != Role::User || database::access::is_operator(on).await? {
            return Ok(());
        }
        self.refused(what).await;
        let hint = match self.requester() {
            Requester::ApiKey(_) => "use an operator's key that has every scope and is bound to no project",
            _ => "an operator can do it, or make you one: `heddle user operator LOGIN`",
        };
        Err(Refusal::new(Kind::Forbidden, format!("you may not {what}: that takes an operator"))
            .hint(hint)
            .into())
    }

    async fn refuse(&self, name: &str, permission: Permission, what: &str) -> Result<()> {
        self.refused(what).await;
        let detail = format!("you may not {what}: that takes the permission `{permission}` in {name}");
        let roles: Vec<&str> = Member::having(permission).map(Member::as_str).collect();
        let project = name.split('/').next().unwrap_or(name);
        let mut hint = format!(
            "the {} {} it; an owner or admin of {project} gives roles (`heddle member set {project} LOGIN ROLE`)",
            either(&roles),
            if roles.len() == 1 { "role has" } else { "roles have" },
        );
        if let Requester::ApiKey(_) = self.requester() {
            hint.push_str(&format!("; the key itself needs the scope {permission}"));
        }
        Err(Refusal::new(Kind::Forbidden, detail).hint(hint).into())
    }

    /// Every attempt that was refused comes through here. `what` is what was tried.
    pub(crate) async fn refused(&self, what: &str) {
        refused(&self.claims, what);
    }
}

/// Notes that something was looked for that is there, but not for the caller.
pub(crate) async fn missed(on: &impl On, kind: &str, name: &str) -> Result<()> {
    if on.claims().role == Role::User && database::access::is_elsewhere(on, kind, name).await? {
        refused(on.claims(), &format!("look at the {kind} {name}"));
    }
    Ok(())
}

fn refused(claims: &database::Claims, what: &str) {
    tracing::info!(
        user = claims.user.map(tracing::field::display),
        key = claims.key.map(tracing::field::display),
        address = claims.address,
        request_id = claims.request,
        "refused to {what}"
    );
}

fn either(roles: &[&str]) -> String {
    match roles {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

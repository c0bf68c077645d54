//! Clear answers to what the database would refuse. Its policies decide; what
//! is asked here first is only asked so that the refusal says what is missing
//! and who can give it.

use std::collections::BTreeSet;

use database::{On, Role};
use model::access::{Permission, Role as Member};
use model::run::RunKind;
use model::{EnvironmentId, ProjectId};
use protocol::api::Run;

use crate::{Control, Kind, Refusal, Requester, Result};

/// What may be done, for pages that offer no more than that. Nothing is decided
/// here: whoever tries all the same is refused where it is done.
impl Control {
    /// Whether whoever acts has a permission in a project (its name or id).
    pub async fn may(&self, project: &str, permission: Permission) -> Result<bool> {
        let database = self.database().await?;
        match database::project::find(&database, project).await? {
            None => Ok(false),
            Some(_) if database.claims().role != Role::User => Ok(true),
            Some(found) => Ok(database::access::in_project(&database, found.id, permission).await?),
        }
    }

    /// The names of the projects in which whoever acts has a permission.
    pub async fn projects_where(&self, permission: Permission) -> Result<BTreeSet<String>> {
        let database = self.database().await?;
        let asked = (database.claims().role == Role::User).then_some(permission);
        Ok(database::access::projects(&database, asked).await?.into_iter().collect())
    }

    /// Whether it has one in an environment (`PROJECT/NAME` or id).
    pub async fn may_in(&self, environment: &str, permission: Permission) -> Result<bool> {
        let database = self.database().await?;
        match database::environment::find(&database, environment).await? {
            None => Ok(false),
            Some(_) if database.claims().role != Role::User => Ok(true),
            Some(found) => {
                let may = database::access::in_environment(&database, found.id, permission).await?;
                Ok(may.is_some_and(|may| may.may))
            }
        }
    }

    /// Whether whoever acts may cancel a run, or try it again.
    pub async fn may_steer(&self, run: &Run) -> Result<bool> {
        let permission = match run.kind {
            RunKind::Build | RunKind::Provision | RunKind::Peek => Permission::Develop,
            RunKind::Shred => Permission::Administer,
            RunKind::Expire => return Ok(self.claims.role != Role::User),
            _ => Permission::Test,
        };
        match (&run.project, &run.environment) {
            (Some(project), Some(name)) => self.may_in(&format!("{project}/{name}"), permission).await,
            (Some(project), None) => self.may(project, permission).await,
            (None, _) => Ok(false),
        }
    }

    /// Whether whoever acts runs the installation.
    pub async fn is_operator(&self) -> Result<bool> {
        let database = self.database().await?;
        Ok(database.claims().role != Role::User || database::access::is_operator(&database).await?)
    }
}

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
        self.refuse(on, &project.to_string(), name, permission, what).await
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
            Some(found) if found.production => {
                self.refuse(on, &environment.to_string(), name, Permission::Operate, what).await
            }
            _ => self.refuse(on, &environment.to_string(), name, permission, what).await,
        }
    }

    /// Refuses those who do not run the installation.
    pub(crate) async fn permit_operator(&self, on: &impl On, what: &str) -> Result<()> {
        if on.claims().role != Role::User || database::access::is_operator(on).await? {
            return Ok(());
        }
        refused(on, what, None).await;
        let hint = match self.requester() {
            Requester::ApiKey(_) => "use an operator's key that has every scope and is bound to no project",
            _ => "an operator can do it, or make you one: `heddle user operator LOGIN`",
        };
        Err(Refusal::new(Kind::Forbidden, format!("you may not {what}: that takes an operator"))
            .hint(hint)
            .into())
    }

    async fn refuse(
        &self,
        on: &impl On,
        target: &str,
        name: &str,
        permission: Permission,
        what: &str,
    ) -> Result<()> {
        refused(on, what, Some(target)).await;
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
}

/// Notes that something was looked for that is there, but not for the caller.
pub(crate) async fn missed(on: &impl On, kind: &str, name: &str) -> Result<()> {
    if on.claims().role == Role::User {
        refused(on, &format!("look at the {kind} {name}"), Some(name)).await;
    }
    Ok(())
}

/// Every attempt that was refused comes through here, and into the audit: what
/// was tried, on what. What does not exist was nobody's to refuse.
pub(crate) async fn refused(on: &impl On, what: &str, target: Option<&str>) {
    match database::audit::refuse(on, what, target).await {
        Ok(recorded) => tracing::debug!(recorded, request_id = on.claims().request, "refused to {what}"),
        // The answer stays what it is.
        Err(error) => {
            tracing::error!(%error, request_id = on.claims().request, "record that it was refused to {what}")
        }
    }
}

fn either(roles: &[&str]) -> String {
    match roles {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

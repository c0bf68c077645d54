//! Who may do what in a project.

use database::On;
use model::UserId;
use model::access::{Permission, Role};
use protocol::api::Page;
use protocol::people::{Grant, Member, SetMember};

use crate::{Control, Error, Kind, Refusal, Result, Slice};

impl Control {
    /// A project's, by login.
    pub async fn members(&self, project: &str, slice: &Slice<String>) -> Result<Page<Member>> {
        let database = self.database().await?;
        let project = crate::project::find(&database, project).await?;
        let after = slice.after.as_deref();
        let members = database::member::list(&database, project.id, after, slice.rows()).await?;
        let members: Vec<Member> = members.into_iter().map(shown).collect();
        Ok(slice.page(members, |member| member.login.clone()))
    }

    pub async fn member(&self, project: &str, login: &str) -> Result<Member> {
        let database = self.database().await?;
        let project = crate::project::find(&database, project).await?;
        let user = named(&database, &project, login).await?;
        find(&database, &project, user, login).await.map(shown)
    }

    /// Makes somebody a member, or gives a member another role; with `expected`
    /// only if that is still their version. Only owners make owners, and a
    /// project that has one keeps one.
    pub async fn set_member(
        &self,
        project: &str,
        login: &str,
        set: SetMember,
        expected: Option<i64>,
    ) -> Result<Member> {
        let database = self.database().await?;
        let project = crate::project::find(&database, project).await?;
        self.permit_members(&database, &project).await?;
        let user = database::user::by_login(&database, login).await?.ok_or_else(|| nobody(login))?;
        let before = database::member::find(&database, project.id, user).await?;
        if set.role == Role::Owner || before.as_ref().is_some_and(|before| before.role == Role::Owner) {
            self.permit_owners(&database, &project).await?;
        }
        if expected.is_some() && before.is_none() {
            return Err(no_member(&project.name, login));
        }
        let changed = database::member::set(&database, project.id, user, set.role, expected).await;
        if !changed.map_err(|error| last_owner(error, &project.name))? {
            return Err(changed_meanwhile(&project.name, login));
        }
        find(&database, &project, user, login).await.map(shown)
    }

    /// Ends a membership, and what was granted with it.
    pub async fn remove_member(&self, project: &str, login: &str, expected: Option<i64>) -> Result<()> {
        let database = self.database().await?;
        let project = crate::project::find(&database, project).await?;
        self.permit_members(&database, &project).await?;
        let user = named(&database, &project, login).await?;
        let before = find(&database, &project, user, login).await?;
        if before.role == Role::Owner {
            self.permit_owners(&database, &project).await?;
        }
        let removed = database::member::remove(&database, project.id, user, expected).await;
        if !removed.map_err(|error| last_owner(error, &project.name))? {
            return Err(changed_meanwhile(&project.name, login));
        }
        Ok(())
    }

    /// Lets a member do something in one environment (`PROJECT/NAME`) beyond
    /// their role, or no longer.
    pub async fn set_grant(
        &self,
        environment: &str,
        login: &str,
        permission: Permission,
        granted: bool,
    ) -> Result<Member> {
        let database = self.database().await?;
        let environment = crate::environment::find(&database, environment).await?;
        let project = crate::project::find(&database, &environment.project).await?;
        self.permit_members(&database, &project).await?;
        if !Permission::GRANTED.contains(&permission) {
            let detail = format!("{permission} is not granted for one environment");
            return Err(Refusal::invalid(detail)
                .hint("test, develop and operate are; a role gives the others")
                .into());
        }
        let user = named(&database, &project, login).await?;
        find(&database, &project, user, login).await?;
        if granted {
            database::member::grant(&database, environment.id, user, permission).await?;
        } else {
            database::member::withdraw(&database, environment.id, user, permission).await?;
        }
        find(&database, &project, user, login).await.map(shown)
    }

    async fn permit_members(&self, on: &impl On, project: &database::project::Project) -> Result<()> {
        let what = format!("change the members of {}", project.name);
        self.permit(on, project.id, &project.name, Permission::Administer, &what).await
    }

    async fn permit_owners(&self, on: &impl On, project: &database::project::Project) -> Result<()> {
        let what = format!("make and unmake owners of {}", project.name);
        self.permit(on, project.id, &project.name, Permission::Own, &what).await
    }
}

/// The user behind a member's login; whoever may not make members sees only
/// those who are.
async fn named(on: &impl On, project: &database::project::Project, login: &str) -> Result<UserId> {
    let seen = database::user::get(on, login).await?;
    seen.map(|user| user.id).ok_or_else(|| no_member(&project.name, login))
}

async fn find(
    on: &impl On,
    project: &database::project::Project,
    user: UserId,
    login: &str,
) -> Result<database::member::Member> {
    let found = database::member::find(on, project.id, user).await?;
    found.ok_or_else(|| no_member(&project.name, login))
}

fn no_member(project: &str, login: &str) -> Error {
    Refusal::new(Kind::NotFound, format!("{login} is no member of {project}"))
        .hint(format!("`heddle member list {project}` shows them"))
        .into()
}

fn changed_meanwhile(project: &str, login: &str) -> Error {
    Refusal::new(Kind::Changed, format!("{login} was changed in {project} by somebody else"))
        .hint("look at the member again, and decide anew")
        .into()
}

fn nobody(login: &str) -> Error {
    Refusal::not_found("user", login).hint("an operator makes users: `heddle user create LOGIN`").into()
}

fn last_owner(error: database::Error, project: &str) -> Error {
    if error.constraint() == Some("project_members_last_owner") {
        return Refusal::wrong_state(format!("{project} would be left without an owner"))
            .hint("make somebody else an owner first")
            .into();
    }
    error.into()
}

fn shown(member: database::member::Member) -> Member {
    let grant = |(environment, permission)| Grant { environment, permission };
    Member {
        login: member.login,
        role: member.role,
        granted: member.granted.into_iter().map(grant).collect(),
        disabled: member.disabled,
        version: member.version,
        created_at: member.created_at,
    }
}

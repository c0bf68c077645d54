//! Who may do what in a project.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use control::{Kind, Slice};
use model::access::{Permission, Role};
use model::project::Stage;
use protocol::api::Environment;
use protocol::people::{Member, SetMember};
use serde::Deserialize;

use super::list::{Of, address, piece, projects};
use super::session::{Bound, Posted, Turned, Visitor};
use super::{Frame, Notice, html, html_with, show};
use crate::WebState;
use crate::extract::{Path, Query};
use crate::failure::{Answer, Failure};

#[derive(Template)]
#[template(path = "members.html")]
struct MembersPage {
    frame: Frame,
    projects: Vec<String>,
    /// Nothing where there is no project.
    project: String,
    members: Vec<Member>,
    next: Option<String>,
    /// The names of environments that are production.
    production: Vec<String>,
    rights: Rights,
    form: Added,
    notice: Option<Notice>,
}

/// What the visitor may do here.
#[derive(Debug, Clone, Copy, Default)]
struct Rights {
    administer: bool,
    own: bool,
}

impl Rights {
    async fn look(state: &WebState, project: &str) -> Answer<Self> {
        Ok(Self {
            administer: state.control.may(project, Permission::Administer).await?,
            own: state.control.may(project, Permission::Own).await?,
        })
    }

    /// Only owners make and unmake owners.
    fn over(self, role: Role) -> bool {
        self.administer && (self.own || role != Role::Owner)
    }

    fn roles(self) -> impl Iterator<Item = Role> {
        Role::ALL.iter().copied().filter(move |role| self.over(*role))
    }
}

impl MembersPage {
    async fn load(
        state: &WebState,
        frame: Frame,
        of: Of,
        form: Added,
        notice: Option<Notice>,
    ) -> Answer<Self> {
        let control = &state.control;
        let projects = projects(control).await?;
        let project = match of.project.is_empty() {
            true => projects.first().cloned().unwrap_or_default(),
            false => of.project,
        };
        let (mut members, mut next, mut production) = (Vec::new(), None, Vec::new());
        let mut rights = Rights::default();
        if !project.is_empty() {
            let page = control.members(&project, &piece(of.after.as_deref())?).await?;
            (members, next) = (page.items, page.next);
            let environments = control.environments(Some(&project), &Slice::first()).await?.items;
            let in_production = environments.into_iter().filter(|one| one.stage == Stage::Production);
            production = in_production.map(|one| one.name).collect();
            rights = Rights::look(state, &project).await?;
        }
        let next = next.map(|next| address("/members", &[("project", &project), ("after", &next)]));
        Ok(Self { frame, projects, project, members, next, production, rights, form, notice })
    }

    fn filter_action(&self) -> &'static str {
        "/members"
    }

    /// What a member may do in production: by their role, or granted.
    fn in_production(&self, member: &Member) -> String {
        if member.role.permissions().contains(&Permission::Operate) {
            return "by role".into();
        }
        let granted = member.granted.iter().filter(|grant| {
            grant.permission == Permission::Operate && self.production.contains(&grant.environment)
        });
        granted.map(|grant| grant.environment.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// `GET /members`
pub(crate) async fn list(Bound(state): Bound, visitor: Visitor, Query(of): Query<Of>) -> Answer<Response> {
    html(&MembersPage::load(&state, visitor.frame("/members"), of, Added::default(), None).await?)
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Added {
    login: String,
    #[serde(default)]
    role: String,
}

/// `POST /projects/{project}/members`. Whoever is a member already keeps their
/// role: it is changed on their own page, where it is seen.
pub(crate) async fn add(
    Bound(state): Bound,
    Path(project): Path<String>,
    posted: Posted<Added>,
) -> Result<Response, Turned> {
    let frame = posted.frame("/members");
    let mut form = posted.form;
    form.login = form.login.trim().to_lowercase();
    match added(&state, &project, &form).await {
        Ok(()) => Ok(Redirect::to(&address("/members", &[("project", &project)])).into_response()),
        Err(mut failure) => {
            // Of a login that nobody has, the form is told.
            if failure.status == StatusCode::NOT_FOUND {
                failure.status = StatusCode::UNPROCESSABLE_ENTITY;
            }
            let (status, notice) = Notice::of(failure)?;
            let of = Of { project, after: None };
            Ok(html_with(status, &MembersPage::load(&state, frame, of, form, Some(notice)).await?)?)
        }
    }
}

async fn added(state: &WebState, project: &str, form: &Added) -> Answer<()> {
    let role = form.role.parse::<Role>().map_err(|error| Failure::invalid(error.to_string()))?;
    if state.control.member(project, &form.login).await.is_ok() {
        let detail = format!("{} is a member of {project} already", form.login);
        return Err(Failure::new(StatusCode::CONFLICT, Kind::Taken.as_str(), detail)
            .hint("Open their page to change their role."));
    }
    state.control.set_member(project, &form.login, SetMember { role }, None).await?;
    Ok(())
}

#[derive(Template)]
#[template(path = "member.html")]
struct MemberPage {
    frame: Frame,
    project: String,
    member: Member,
    environments: Vec<Environment>,
    rights: Rights,
    notice: Option<Notice>,
}

impl MemberPage {
    async fn load(
        state: &WebState,
        frame: Frame,
        project: &str,
        login: &str,
        notice: Option<Notice>,
    ) -> Answer<Self> {
        let control = &state.control;
        let member = control.member(project, login).await?;
        let environments = control.environments(Some(project), &Slice::first()).await?.items;
        let rights = Rights::look(state, project).await?;
        Ok(Self { frame, project: project.to_owned(), member, environments, rights, notice })
    }

    fn may_change(&self) -> bool {
        self.rights.over(self.member.role)
    }

    fn own(&self) -> bool {
        self.member.login == self.frame.login
    }

    fn path(&self) -> String {
        path(&self.project, &self.member.login)
    }
}

fn path(project: &str, login: &str) -> String {
    address(&format!("/projects/{project}/members/{login}"), &[])
}

/// `GET /projects/{project}/members/{login}`
pub(crate) async fn page(
    Bound(state): Bound,
    visitor: Visitor,
    Path((project, login)): Path<(String, String)>,
) -> Answer<Response> {
    html(&MemberPage::load(&state, visitor.frame("/members"), &project, &login, None).await?)
}

/// Back to the member as they are now, with what was refused.
async fn after_change(
    state: &WebState,
    frame: Frame,
    project: &str,
    login: &str,
    changed: Result<(), Failure>,
) -> Result<Response, Turned> {
    let Err(failure) = changed else {
        return Ok(Redirect::to(&path(project, login)).into_response());
    };
    let (status, notice) = Notice::of(failure)?;
    Ok(html_with(status, &MemberPage::load(state, frame, project, login, Some(notice)).await?)?)
}

#[derive(Deserialize)]
pub(crate) struct NewRole {
    role: String,
    version: String,
}

/// `POST /projects/{project}/members/{login}/role`
pub(crate) async fn set_role(
    Bound(state): Bound,
    Path((project, login)): Path<(String, String)>,
    posted: Posted<NewRole>,
) -> Result<Response, Turned> {
    let NewRole { role, version } = &posted.form;
    let changed = async {
        let role = role.parse::<Role>().map_err(|error| Failure::invalid(error.to_string()))?;
        let version = super::version(version)?;
        state.control.set_member(&project, &login, SetMember { role }, Some(version)).await?;
        Ok(())
    };
    let changed = changed.await;
    after_change(&state, posted.frame("/members"), &project, &login, changed).await
}

#[derive(Deserialize)]
pub(crate) struct Granting {
    environment: String,
    permission: String,
}

async fn set_grant(
    state: &WebState,
    (project, login): &(String, String),
    posted: Posted<Granting>,
    granted: bool,
) -> Result<Response, Turned> {
    let Granting { environment, permission } = &posted.form;
    let changed = async {
        let permission =
            permission.parse::<Permission>().map_err(|error| Failure::invalid(error.to_string()))?;
        let environment = format!("{project}/{environment}");
        state.control.set_grant(&environment, login, permission, granted).await?;
        Ok(())
    };
    let changed = changed.await;
    after_change(state, posted.frame("/members"), project, login, changed).await
}

/// `POST /projects/{project}/members/{login}/grant`
pub(crate) async fn grant(
    Bound(state): Bound,
    Path(whom): Path<(String, String)>,
    posted: Posted<Granting>,
) -> Result<Response, Turned> {
    set_grant(&state, &whom, posted, true).await
}

/// `POST /projects/{project}/members/{login}/withdraw`
pub(crate) async fn withdraw(
    Bound(state): Bound,
    Path(whom): Path<(String, String)>,
    posted: Posted<Granting>,
) -> Result<Response, Turned> {
    set_grant(&state, &whom, posted, false).await
}

#[derive(Deserialize)]
pub(crate) struct Seen {
    version: String,
}

/// `POST /projects/{project}/members/{login}/remove`
pub(crate) async fn remove(
    Bound(state): Bound,
    Path((project, login)): Path<(String, String)>,
    posted: Posted<Seen>,
) -> Result<Response, Turned> {
    let version = super::version(&posted.form.version)?;
    match state.control.remove_member(&project, &login, Some(version)).await {
        Ok(()) => Ok(Redirect::to(&address("/members", &[("project", &project)])).into_response()),
        Err(error) => {
            let frame = posted.frame("/members");
            after_change(&state, frame, &project, &login, Err(error.into())).await
        }
    }
}

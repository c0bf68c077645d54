//! Users: all for who runs the installation, for others those they work with.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use protocol::people::{NewUser, OneTimePassword, User};
use serde::Deserialize;

use super::list::{address, piece};
use super::session::{Bound, Nothing, Posted, Turned, Visitor};
use super::{Frame, Notice, html, html_with, show};
use crate::WebState;
use crate::extract::{Path, Query};
use crate::failure::Answer;

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Piece {
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "users.html")]
struct UsersPage {
    frame: Frame,
    users: Vec<User>,
    next: Option<String>,
    operator: bool,
    form: NewUserForm,
    notice: Option<Notice>,
}

impl UsersPage {
    async fn load(
        state: &WebState,
        frame: Frame,
        after: Option<&str>,
        form: NewUserForm,
        notice: Option<Notice>,
    ) -> Answer<Self> {
        let page = state.control.users(&piece(after)?).await?;
        let next = page.next.map(|next| address("/users", &[("after", &next)]));
        let operator = state.control.is_operator().await?;
        Ok(Self { frame, users: page.items, next, operator, form, notice })
    }
}

/// `GET /users`
pub(crate) async fn list(
    Bound(state): Bound,
    visitor: Visitor,
    Query(piece): Query<Piece>,
) -> Answer<Response> {
    let (frame, after) = (visitor.frame("/members"), piece.after);
    html(&UsersPage::load(&state, frame, after.as_deref(), NewUserForm::default(), None).await?)
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct NewUserForm {
    login: String,
    operator: Option<String>,
}

/// A one-time password, which is shown by this page and by no other.
#[derive(Template)]
#[template(path = "user_password.html")]
struct PasswordPage {
    frame: Frame,
    given: OneTimePassword,
    /// Made just now; otherwise given a new password.
    new: bool,
}

/// `POST /users`
pub(crate) async fn create(Bound(state): Bound, posted: Posted<NewUserForm>) -> Result<Response, Turned> {
    let frame = posted.frame("/members");
    let form = posted.form;
    let new = NewUser { login: form.login.trim().to_lowercase(), operator: form.operator.is_some() };
    match state.control.create_user(new).await {
        Ok(given) => Ok(html_with(StatusCode::CREATED, &PasswordPage { frame, given, new: true })?),
        Err(error) => {
            let (status, notice) = Notice::of(error.into())?;
            Ok(html_with(status, &UsersPage::load(&state, frame, None, form, Some(notice)).await?)?)
        }
    }
}

#[derive(Template)]
#[template(path = "user.html")]
struct UserPage {
    frame: Frame,
    user: User,
    operator: bool,
    notice: Option<Notice>,
}

impl UserPage {
    async fn load(state: &WebState, frame: Frame, login: &str, notice: Option<Notice>) -> Answer<Self> {
        let user = state.control.user(login).await?;
        Ok(Self { frame, user, operator: state.control.is_operator().await?, notice })
    }

    fn own(&self) -> bool {
        self.user.login == self.frame.login
    }
}

/// `GET /users/{login}`
pub(crate) async fn page(
    Bound(state): Bound,
    visitor: Visitor,
    Path(login): Path<String>,
) -> Answer<Response> {
    html(&UserPage::load(&state, visitor.frame("/members"), &login, None).await?)
}

async fn after_change(
    state: &WebState,
    frame: Frame,
    login: &str,
    changed: control::Result<User>,
) -> Result<Response, Turned> {
    let Err(error) = changed else {
        return Ok(Redirect::to(&format!("/users/{login}")).into_response());
    };
    let (status, notice) = Notice::of(error.into())?;
    Ok(html_with(status, &UserPage::load(state, frame, login, Some(notice)).await?)?)
}

/// `POST /users/{login}/disable`
pub(crate) async fn disable(
    Bound(state): Bound,
    Path(login): Path<String>,
    posted: Posted<Nothing>,
) -> Result<Response, Turned> {
    let changed = state.control.disable_user(&login).await;
    after_change(&state, posted.frame("/members"), &login, changed).await
}

/// `POST /users/{login}/enable`
pub(crate) async fn enable(
    Bound(state): Bound,
    Path(login): Path<String>,
    posted: Posted<Nothing>,
) -> Result<Response, Turned> {
    let changed = state.control.enable_user(&login).await;
    after_change(&state, posted.frame("/members"), &login, changed).await
}

#[derive(Deserialize)]
pub(crate) struct Operator {
    /// `yes` or `no`
    operator: String,
}

/// `POST /users/{login}/operator`
pub(crate) async fn operator(
    Bound(state): Bound,
    Path(login): Path<String>,
    posted: Posted<Operator>,
) -> Result<Response, Turned> {
    let changed = state.control.set_operator(&login, posted.form.operator == "yes").await;
    after_change(&state, posted.frame("/members"), &login, changed).await
}

/// `POST /users/{login}/one-time-password`
pub(crate) async fn one_time_password(
    Bound(state): Bound,
    Path(login): Path<String>,
    posted: Posted<Nothing>,
) -> Result<Response, Turned> {
    let frame = posted.frame("/members");
    match state.control.reset_password(&login).await {
        Ok(one_time_password) => {
            let given = OneTimePassword { login, one_time_password };
            Ok(html_with(StatusCode::OK, &PasswordPage { frame, given, new: false })?)
        }
        Err(error) => {
            let (status, notice) = Notice::of(error.into())?;
            Ok(html_with(status, &UserPage::load(&state, frame, &login, Some(notice)).await?)?)
        }
    }
}

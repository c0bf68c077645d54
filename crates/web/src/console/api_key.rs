//! API keys: the visitor's own, and those of projects they administer.

use std::collections::BTreeMap;

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::{SignedDuration, Timestamp};
use model::ApiKeyId;
use model::access::Permission;
use protocol::people::{ApiKey, CreatedApiKey, NewApiKey};
use serde::Deserialize;

use super::list::{Of, address, piece, projects};
use super::session::{Bound, Nothing, Posted, Turned, Visitor};
use super::{Frame, Notice, html, html_with, show};
use crate::WebState;
use crate::extract::{Path, Query};
use crate::failure::{Answer, Failure};

#[derive(Template)]
#[template(path = "keys.html")]
struct KeysPage {
    frame: Frame,
    projects: Vec<String>,
    project: String,
    keys: Vec<ApiKey>,
    next: Option<String>,
    now: Timestamp,
}

impl KeysPage {
    fn filter_action(&self) -> &'static str {
        "/keys"
    }
}

/// `GET /keys`
pub(crate) async fn list(Bound(state): Bound, visitor: Visitor, Query(of): Query<Of>) -> Answer<Response> {
    let control = &state.control;
    let page = control.api_keys(of.project(), &piece(of.after.as_deref())?).await?;
    let next = page.next.map(|next| address("/keys", &[("project", &of.project), ("after", &next)]));
    let (frame, projects) = (visitor.frame("/keys"), projects(control).await?);
    html(&KeysPage { frame, projects, project: of.project, keys: page.items, next, now: Timestamp::now() })
}

#[derive(Template)]
#[template(path = "key.html")]
struct KeyPage {
    frame: Frame,
    key: ApiKey,
    now: Timestamp,
}

/// `GET /keys/{key}`
pub(crate) async fn page(
    Bound(state): Bound,
    visitor: Visitor,
    Path(id): Path<ApiKeyId>,
) -> Answer<Response> {
    let key = state.control.api_key(id).await?;
    html(&KeyPage { frame: visitor.frame("/keys"), key, now: Timestamp::now() })
}

/// `POST /keys/{key}/revoke`. Whoever sees a key may revoke it.
pub(crate) async fn revoke(
    Bound(state): Bound,
    Path(id): Path<ApiKeyId>,
    _: Posted<Nothing>,
) -> Result<Response, Turned> {
    state.control.revoke_api_key(id).await.map_err(Failure::from)?;
    Ok(Redirect::to(&format!("/keys/{id}")).into_response())
}

/// For how long a new key is good: a word, what it says, and days.
const TERMS: [(&str, &str, Option<i64>); 5] = [
    ("week", "7 days", Some(7)),
    ("month", "30 days", Some(30)),
    ("quarter", "90 days", Some(90)),
    ("year", "a year", Some(365)),
    ("ever", "until it is revoked", None),
];

/// A new form's.
const USUAL: &str = "quarter";

#[derive(Debug, Default, Deserialize)]
pub(crate) struct NewKeyForm {
    name: String,
    #[serde(default)]
    project: String,
    #[serde(default)]
    term: String,
    /// A field for each permission that is ticked.
    #[serde(flatten)]
    scopes: BTreeMap<String, String>,
}

impl NewKeyForm {
    fn has(&self, permission: Permission) -> bool {
        self.scopes.contains_key(permission.as_str())
    }

    fn new_key(&self) -> Answer<NewApiKey> {
        let term = TERMS.iter().find(|(word, ..)| *word == self.term);
        let (_, _, days) = term.ok_or_else(|| Failure::invalid("the key's term is none of those offered"))?;
        let end = |days: i64| Timestamp::now().checked_add(SignedDuration::from_hours(24 * days));
        let expires_at = days.map(end).transpose().map_err(Failure::ours)?;
        Ok(NewApiKey {
            name: self.name.trim().to_owned(),
            project: Some(self.project.clone()).filter(|project| !project.is_empty()),
            scopes: Permission::ALL.iter().copied().filter(|one| self.has(*one)).collect(),
            expires_at,
        })
    }
}

#[derive(Template)]
#[template(path = "key_new.html")]
struct FormPage {
    frame: Frame,
    projects: Vec<String>,
    form: NewKeyForm,
    notice: Option<Notice>,
}

impl FormPage {
    async fn load(state: &WebState, frame: Frame, form: NewKeyForm, notice: Option<Notice>) -> Answer<Self> {
        Ok(Self { frame, projects: projects(&state.control).await?, form, notice })
    }

    /// Each term's word, what it says, and whether it is chosen.
    fn terms(&self) -> impl Iterator<Item = (&'static str, &'static str, bool)> {
        TERMS.iter().map(|(word, says, _)| (*word, *says, *word == self.form.term))
    }
}

/// `GET /new-key`
pub(crate) async fn form(Bound(state): Bound, visitor: Visitor) -> Answer<Response> {
    let form = NewKeyForm { term: USUAL.into(), ..Default::default() };
    html(&FormPage::load(&state, visitor.frame("/keys"), form, None).await?)
}

#[derive(Template)]
#[template(path = "key_created.html")]
struct CreatedPage {
    frame: Frame,
    created: CreatedApiKey,
}

/// `POST /new-key`: answers with the page itself, since the key in it cannot be
/// asked for again.
pub(crate) async fn create(Bound(state): Bound, posted: Posted<NewKeyForm>) -> Result<Response, Turned> {
    let frame = posted.frame("/keys");
    let created = match posted.form.new_key() {
        Ok(new) => state.control.create_key(new).await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    match created {
        Ok(created) => Ok(html_with(StatusCode::CREATED, &CreatedPage { frame, created })?),
        Err(mut failure) => {
            // A project that has gone meanwhile is the form's matter too.
            if failure.status == StatusCode::NOT_FOUND {
                failure.status = StatusCode::UNPROCESSABLE_ENTITY;
            }
            let (status, notice) = Notice::of(failure)?;
            Ok(html_with(status, &FormPage::load(&state, frame, posted.form, Some(notice)).await?)?)
        }
    }
}

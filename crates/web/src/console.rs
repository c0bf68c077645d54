//! The console: server-rendered pages. Every page works without its script,
//! which only keeps it fresh.

mod alert;
mod api_key;
mod approval;
mod assets;
mod audit;
mod list;
mod member;
mod nav;
mod policy;
mod restore;
mod run;
mod schedule;
mod session;
mod show;
mod status;
mod tenant;
mod tenants;
mod user;

use askama::Template;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use control::{Asked, Requester, Session};

use self::nav::Counts;
use crate::WebState;
use crate::failure::{Answer, Failure};

pub(crate) fn router() -> Router<WebState> {
    Router::new()
        .route("/", get(|| async { Redirect::to("/tenants") }))
        .route("/assets/{file}", get(assets::get))
        .route("/sign-in", get(session::form).post(session::sign_in))
        .route("/password", get(session::password_form).post(session::set_password))
        .route("/sign-out", post(session::sign_out))
        .route("/tenants", get(tenants::list))
        .route("/new-tenant", get(tenants::form).post(tenants::create))
        .route("/tenants/{tenant}", get(tenant::page))
        .route("/tenants/{tenant}/log", get(tenant::log))
        .route("/tenants/{tenant}/snapshots", post(tenant::create_snapshot))
        .route("/tenants/{tenant}/suspend", get(tenant::suspend_form).post(tenant::suspend))
        .route("/tenants/{tenant}/resume", post(tenant::resume))
        .route("/tenants/{tenant}/archive", get(tenant::archive_form).post(tenant::archive))
        .route("/tenants/{tenant}/restore", get(restore::form).post(restore::create))
        .route("/restores/{restore}", get(restore::page))
        .route("/restores/{restore}/confirm", post(restore::confirm))
        .route("/runs", get(run::list))
        .route("/runs/{run}", get(run::page))
        .route("/runs/{run}/cancel", post(run::cancel))
        .route("/runs/{run}/retry", post(run::retry))
        .route("/approvals", get(approval::list))
        .route("/approvals/{approval}", get(approval::page))
        .route("/approvals/{approval}/decide", post(approval::decide))
        .route("/policies", get(policy::list))
        .route("/members", get(member::list))
        .route("/projects/{project}/members", post(member::add))
        .route("/projects/{project}/members/{login}", get(member::page))
        .route("/projects/{project}/members/{login}/role", post(member::set_role))
        .route("/projects/{project}/members/{login}/grant", post(member::grant))
        .route("/projects/{project}/members/{login}/withdraw", post(member::withdraw))
        .route("/projects/{project}/members/{login}/remove", post(member::remove))
        .route("/users", get(user::list).post(user::create))
        .route("/users/{login}", get(user::page))
        .route("/users/{login}/disable", post(user::disable))
        .route("/users/{login}/enable", post(user::enable))
        .route("/users/{login}/operator", post(user::operator))
        .route("/users/{login}/one-time-password", post(user::one_time_password))
        .route("/keys", get(api_key::list))
        .route("/new-key", get(api_key::form).post(api_key::create))
        .route("/keys/{key}", get(api_key::page))
        .route("/keys/{key}/revoke", post(api_key::revoke))
        .route("/schedules", get(schedule::list))
        .route("/schedules/{project}/{schedule}", get(schedule::page))
        .route("/schedules/{project}/{schedule}/switch", post(schedule::switch))
        .route("/schedules/{project}/{schedule}/run", post(schedule::run))
        .route("/alerts", get(alert::list))
        .route("/alerts/{alert}/acknowledge", post(alert::acknowledge))
        .route("/audit", get(audit::list))
        .route("/audit/verify", get(|| async { Redirect::to("/audit") }).post(audit::verify))
        .route("/status", get(status::page))
        .route("/live/nav", get(nav::live))
        .route("/live/alerts", get(alert::live))
        .route("/live/approvals", get(approval::live))
        .route("/live/tenants", get(tenants::live))
        .route("/live/tenants/{tenant}", get(tenant::live))
        .route("/live/restores/{restore}", get(restore::live))
        .route("/live/runs", get(run::live_list))
        .route("/live/runs/{run}", get(run::live))
        .route("/live/status", get(status::live))
}

/// What stands around a page's content.
#[derive(Clone)]
pub(crate) struct Frame {
    pub login: String,
    /// Goes into every form.
    pub csrf: String,
    /// The part of the console the page belongs to: its path.
    pub section: &'static str,
    pub counts: Counts,
}

impl Frame {
    fn new(session: &Session, counts: Counts, section: &'static str) -> Self {
        Self { login: session.login.clone(), csrf: session.csrf.clone(), section, counts }
    }
}

/// A refusal as a page shows it, above the form that was refused.
pub(crate) struct Notice {
    pub detail: String,
    pub hint: Option<String>,
}

impl Notice {
    /// Only what the visitor can do something about; our own faults get the
    /// error page.
    fn of(failure: Failure) -> Answer<(StatusCode, Self)> {
        if failure.cause.is_some() || failure.status == StatusCode::NOT_FOUND {
            return Err(failure);
        }
        Ok((
            failure.status,
            Self { detail: sentence(&failure.detail), hint: failure.hint.as_deref().map(sentence) },
        ))
    }
}

/// Problems are written to stand anywhere; on a page they are sentences.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let mut sentence: String = letters.next().map(|first| first.to_uppercase().collect()).unwrap_or_default();
    sentence.push_str(letters.as_str());
    if !sentence.ends_with(['.', '!', '?']) {
        sentence.push('.');
    }
    sentence
}

fn html(template: &impl Template) -> Answer<Response> {
    Ok(Html(template.render()?).into_response())
}

fn html_with(status: StatusCode, template: &impl Template) -> Answer<Response> {
    Ok((status, Html(template.render()?)).into_response())
}

/// What the user asks for with a form; sent twice, it is asked once.
fn asked(session: &Session, once: &str) -> Asked {
    let asked = Asked::by(Requester::User(session.user));
    if (1..=100).contains(&once.len()) { asked.once(format!("console-{once}")) } else { asked }
}

/// A new form's own key.
fn once() -> String {
    uuid::Uuid::now_v7().to_string()
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    title: &'a str,
    detail: String,
    hint: Option<String>,
    status: u16,
    request_id: &'a str,
}

/// The page of a failure that no form can show.
pub(crate) fn error_page(failure: &Failure, request_id: &str) -> Response {
    let page = ErrorPage {
        title: failure.title(),
        detail: sentence(&failure.detail),
        hint: failure.hint.as_deref().map(sentence),
        status: failure.status.as_u16(),
        request_id,
    };
    match page.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => {
            tracing::error!(%error, "write the error page");
            failure.detail.clone().into_response()
        }
    }
}

/// The version in a form: of what the visitor has seen.
fn version(text: &str) -> Answer<i64> {
    text.parse().map_err(|_| {
        Failure::invalid("the form does not say which version it changes").hint("Open the page again.")
    })
}

async fn tenant_of(state: &WebState, name: &str) -> Answer<protocol::api::Tenant> {
    Ok(state.control.tenant(name).await?)
}

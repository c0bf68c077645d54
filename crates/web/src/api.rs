//! The REST API under `/api/v1`. Its shapes are `protocol::api`'s.

mod alert;
mod api_key;
mod approval;
mod audit;
mod build;
mod document;
mod environment;
mod list;
mod login;
mod maintenance_window;
mod member;
mod peek;
mod policy;
mod project;
mod restore;
mod run;
mod schedule;
mod secret;
mod snapshot;
mod status;
mod tenant;
mod user;
mod worker;

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{get, post, put};
use axum::{Router, middleware};
use protocol::api::Problem;
use utoipa::OpenApi;

use self::document::{Finish, Refused};
use crate::WebState;
use crate::extract::authenticate;

pub(crate) fn router(state: &WebState) -> Router<WebState> {
    Router::new()
        .route("/projects", get(project::list).post(project::create))
        .route("/projects/{project}", get(project::get))
        .route("/projects/{project}/members", get(member::list))
        .route(
            "/projects/{project}/members/{login}",
            get(member::get).put(member::set).delete(member::remove),
        )
        .route("/environments", get(environment::list).post(environment::create))
        .route("/environments/{project}/{environment}/destroy", post(environment::destroy))
        .route("/approvals", get(approval::list))
        .route("/approvals/{approval}", get(approval::get))
        .route("/approvals/{approval}/approve", post(approval::approve))
        .route("/approvals/{approval}/refuse", post(approval::refuse))
        .route("/policies", get(policy::list).post(policy::create))
        .route("/policies/{policy}", get(policy::get).put(policy::change).delete(policy::remove))
        .route("/environments/{project}/{environment}", get(environment::get).patch(environment::change))
        .route(
            "/environments/{project}/{environment}/grants/{login}/{permission}",
            put(member::grant).delete(member::withdraw),
        )
        .route("/keys", get(api_key::list).post(api_key::create))
        .route("/keys/{key}", get(api_key::get))
        .route("/keys/{key}/revoke", post(api_key::revoke))
        .route("/builds", get(build::list).post(build::create))
        .route("/builds/{build}", get(build::get))
        .route("/tenants", get(tenant::list).post(tenant::create))
        .route("/tenants/{tenant}", get(tenant::get).patch(tenant::change))
        .route("/tenants/{tenant}/suspend", post(tenant::suspend))
        .route("/tenants/{tenant}/resume", post(tenant::resume))
        .route("/tenants/{tenant}/archive", post(tenant::archive))
        .route("/tenants/{tenant}/shred", post(tenant::shred))
        .route("/tenants/{tenant}/log", get(tenant::log))
        .route("/tenants/{tenant}/snapshots", get(snapshot::list).post(snapshot::create))
        .route("/tenants/{tenant}/snapshots/{snapshot}", get(snapshot::get))
        .route("/tenants/{tenant}/snapshots/{snapshot}/pin", post(snapshot::pin))
        .route("/tenants/{tenant}/snapshots/{snapshot}/unpin", post(snapshot::unpin))
        .route("/tenants/{tenant}/peeks", get(peek::list).post(peek::create))
        .route("/tenants/{tenant}/peeks/{peek}", get(peek::get).delete(peek::end))
        .route("/tenants/{tenant}/restores", get(restore::list).post(restore::create))
        .route("/restores/{restore}", get(restore::get))
        .route("/restores/{restore}/confirm", post(restore::confirm))
        .route("/runs", get(run::list).post(run::queue))
        .route("/runs/{run}", get(run::get))
        .route("/runs/{run}/events", get(run::events))
        .route("/runs/{run}/stream", get(run::stream))
        .route("/runs/{run}/cancel", post(run::cancel))
        .route("/runs/{run}/retry", post(run::retry))
        .route("/runs/{run}/approval", get(approval::of_run))
        .route("/runs/{run}/approve", post(approval::approve_run))
        .route("/runs/{run}/refuse", post(approval::refuse_run))
        .route("/logout", post(login::logout))
        .route("/secrets", get(secret::list))
        .route("/secrets/{name}", put(secret::set).delete(secret::remove))
        .route("/alerts", get(alert::list))
        .route("/alerts/{alert}/acknowledge", post(alert::acknowledge))
        .route("/audit", get(audit::list))
        .route("/audit/blocks", get(audit::blocks))
        .route("/audit/chains", get(audit::chains))
        .route("/maintenance-windows", get(maintenance_window::list).post(maintenance_window::create))
        .route(
            "/maintenance-windows/{project}/{window}",
            get(maintenance_window::get).delete(maintenance_window::remove),
        )
        .route("/schedules", get(schedule::list).post(schedule::create))
        .route(
            "/schedules/{project}/{schedule}",
            get(schedule::get).patch(schedule::change).delete(schedule::remove),
        )
        .route("/schedules/{project}/{schedule}/next", get(schedule::next))
        .route("/schedules/{project}/{schedule}/run", post(schedule::run))
        .route("/status", get(status::get))
        .route("/users", get(user::list).post(user::create))
        .route("/users/{login}", get(user::get))
        .route("/users/{login}/disable", post(user::disable))
        .route("/users/{login}/enable", post(user::enable))
        .route("/users/{login}/one-time-password", post(user::one_time_password))
        .route("/users/{login}/operator", put(user::operator))
        .route("/workers/{worker}/drain", post(worker::drain))
        .fallback(crate::nothing_here)
        .layer(middleware::from_fn(document::known_parameters))
        .layer(middleware::from_fn(crate::refusal::record))
        .layer(middleware::from_fn_with_state(state.clone(), authenticate))
        // Who has no key yet.
        .route("/login", post(login::login))
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Heddle",
        description = "Hosts Odoo: projects, tenants, their snapshots and restores. Everything slow is a run; follow it to its end.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        project::list, project::create, project::get,
        environment::list, environment::create, environment::get, environment::change, environment::destroy,
        member::list, member::get, member::set, member::remove, member::grant, member::withdraw,
        user::list, user::create, user::get, user::disable, user::enable, user::one_time_password, user::operator,
        api_key::list, api_key::create, api_key::get, api_key::revoke,
        build::list, build::create, build::get,
        tenant::list, tenant::create, tenant::get, tenant::change, tenant::suspend, tenant::resume, tenant::archive, tenant::shred, tenant::log,
        snapshot::list, snapshot::create, snapshot::get, snapshot::pin, snapshot::unpin,
        peek::list, peek::create, peek::get, peek::end,
        restore::list, restore::create, restore::get, restore::confirm,
        approval::list, approval::get, approval::approve, approval::refuse,
        approval::of_run, approval::approve_run, approval::refuse_run,
        policy::list, policy::create, policy::get, policy::change, policy::remove,
        run::list, run::queue, run::get, run::events, run::stream, run::cancel, run::retry,
        secret::list, secret::set, secret::remove,
        login::login, login::logout,
        alert::list, alert::acknowledge,
        audit::list, audit::blocks, audit::chains,
        maintenance_window::list, maintenance_window::create, maintenance_window::get, maintenance_window::remove,
        schedule::list, schedule::create, schedule::get, schedule::change, schedule::remove, schedule::next,
        schedule::run,
        status::get,
        worker::drain,
    ),
    components(schemas(Problem)),
    security(("api_key" = [])),
    modifiers(&Finish)
)]
struct Document;

/// The API's OpenAPI 3.1 document, as `docs/reference/openapi.json` holds it.
pub fn openapi_json() -> String {
    let mut text = document::document().to_pretty_json().expect("the document has only string keys");
    text.push('\n');
    text
}

pub(crate) async fn document() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], openapi_json())
}

//! The REST API under `/api/v1`. Its shapes are `protocol::api`'s.

mod build;
mod document;
mod environment;
mod list;
mod project;
mod restore;
mod run;
mod secret;
mod snapshot;
mod status;
mod tenant;

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
        .route("/environments", get(environment::list).post(environment::create))
        .route("/environments/{project}/{environment}", get(environment::get))
        .route("/builds", get(build::list).post(build::create))
        .route("/builds/{build}", get(build::get))
        .route("/tenants", get(tenant::list).post(tenant::create))
        .route("/tenants/{tenant}", get(tenant::get))
        .route("/tenants/{tenant}/suspend", post(tenant::suspend))
        .route("/tenants/{tenant}/resume", post(tenant::resume))
        .route("/tenants/{tenant}/archive", post(tenant::archive))
        .route("/tenants/{tenant}/log", get(tenant::log))
        .route("/tenants/{tenant}/snapshots", get(snapshot::list).post(snapshot::create))
        .route("/tenants/{tenant}/snapshots/{snapshot}", get(snapshot::get))
        .route("/tenants/{tenant}/restores", get(restore::list).post(restore::create))
        .route("/restores/{restore}", get(restore::get))
        .route("/restores/{restore}/confirm", post(restore::confirm))
        .route("/runs", get(run::list))
        .route("/runs/{run}", get(run::get))
        .route("/runs/{run}/events", get(run::events))
        .route("/runs/{run}/stream", get(run::stream))
        .route("/runs/{run}/cancel", post(run::cancel))
        .route("/runs/{run}/retry", post(run::retry))
        .route("/secrets", get(secret::list))
        .route("/secrets/{name}", put(secret::set).delete(secret::remove))
        .route("/status", get(status::get))
        .fallback(crate::nothing_here)
        .layer(middleware::from_fn(document::known_parameters))
        .layer(middleware::from_fn_with_state(state.clone(), authenticate))
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
        environment::list, environment::create, environment::get,
        build::list, build::create, build::get,
        tenant::list, tenant::create, tenant::get, tenant::suspend, tenant::resume, tenant::archive, tenant::log,
        snapshot::list, snapshot::create, snapshot::get,
        restore::list, restore::create, restore::get, restore::confirm,
        run::list, run::get, run::events, run::stream, run::cancel, run::retry,
        secret::list, secret::set, secret::remove,
        status::get,
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

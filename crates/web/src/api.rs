//! The REST API under `/api/v1`. Its shapes are `protocol::api`'s.

mod approval;
mod build;
mod environment;
mod login;
mod policy;
mod project;
mod restore;
mod run;
mod secret;
mod snapshot;
mod status;
mod tenant;

use std::collections::BTreeMap;

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{get, post, put};
use axum::{Router, middleware};
use protocol::api::Problem;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, Modify, OpenApi, PartialSchema, ToSchema};

use crate::WebState;
use crate::extract::authenticate;

pub(crate) fn router(state: &WebState) -> Router<WebState> {
    Router::new()
        .route("/projects", get(project::list).post(project::create))
        .route("/projects/{project}", get(project::get))
        .route("/environments", get(environment::list).post(environment::create))
        .route("/environments/{project}/{environment}", get(environment::get))
        .route("/environments/{project}/{environment}/destroy", post(environment::destroy))
        .route("/approvals", get(approval::list))
        .route("/approvals/{approval}", get(approval::get))
        .route("/approvals/{approval}/approve", post(approval::approve))
        .route("/approvals/{approval}/refuse", post(approval::refuse))
        .route("/policies", get(policy::list).post(policy::create))
        .route("/policies/{policy}", get(policy::get).put(policy::change).delete(policy::remove))
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
        .route("/runs/{run}/approval", get(approval::of_run))
        .route("/runs/{run}/approve", post(approval::approve_run))
        .route("/runs/{run}/refuse", post(approval::refuse_run))
        .route("/logout", post(login::logout))
        .route("/secrets", get(secret::list))
        .route("/secrets/{name}", put(secret::set).delete(secret::remove))
        .route("/status", get(status::get))
        .fallback(crate::nothing_here)
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
        environment::list, environment::create, environment::get, environment::destroy,
        build::list, build::create, build::get,
        tenant::list, tenant::create, tenant::get, tenant::suspend, tenant::resume, tenant::archive, tenant::log,
        snapshot::list, snapshot::create, snapshot::get,
        restore::list, restore::create, restore::get, restore::confirm,
        run::list, run::get, run::events, run::stream, run::cancel, run::retry,
        approval::list, approval::get, approval::approve, approval::refuse,
        approval::of_run, approval::approve_run, approval::refuse_run,
        policy::list, policy::create, policy::get, policy::change, policy::remove,
        secret::list, secret::set, secret::remove,
        login::login, login::logout,
        status::get,
    ),
    components(schemas(Problem)),
    security(("api_key" = [])),
    modifiers(&Finish)
)]
struct Document;

struct Finish;

impl Modify for Finish {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let key = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("hk_…")
            .description(Some("An API key."))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("api_key", SecurityScheme::Http(key));
    }
}

/// How any request may be refused.
struct Refused;

impl IntoResponses for Refused {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let problem = |description: &str| {
            let content = Content::new(Some(Ref::from_schema_name(Problem::name())));
            RefOr::T(
                ResponseBuilder::new()
                    .description(description)
                    .content("application/problem+json", content)
                    .build(),
            )
        };
        let _ = Problem::schema;
        BTreeMap::from([
            (
                "4XX".to_owned(),
                problem("The request cannot be carried out; `detail` says why, `hint` what to do."),
            ),
            ("5XX".to_owned(), problem("Heddle failed; its log has the cause beside `request_id`.")),
        ])
    }
}

/// The API's OpenAPI 3.1 document, as `docs/reference/openapi.json` holds it.
pub fn openapi_json() -> String {
    let mut text = Document::openapi().to_pretty_json().expect("the document has only string keys");
    text.push('\n');
    text
}

pub(crate) async fn document() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], openapi_json())
}

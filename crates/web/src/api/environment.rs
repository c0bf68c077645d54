use axum::Json as Answered;
use axum::http::StatusCode;
use axum::response::Response;
use protocol::api::{ChangeEnvironment, DestroyEnvironment, Environment, NewEnvironment, Page};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Refused;
use super::list::Cut;
use crate::etag::{Edits, Seen, Versioned};
use crate::extract::{Acting, Asks, Json, Path, Query};
use crate::failure::Answer;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OfProject {
    /// Only this project's: its name or id.
    #[param(pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    pub project: Option<String>,
}

/// All environments, or one project's.
#[utoipa::path(get, path = "/api/v1/environments", tag = "environments", operation_id = "list_environments",
    params(OfProject, Cut), responses((status = 200, body = Page<Environment>), Refused))]
pub async fn list(
    Acting(control): Acting,
    Query(of): Query<OfProject>,
    Query(cut): Query<Cut>,
) -> Answer<Answered<Page<Environment>>> {
    Ok(Answered(control.environments(of.project.as_deref(), &cut.slice()?).await?))
}

/// Create an environment.
#[utoipa::path(post, path = "/api/v1/environments", tag = "environments", operation_id = "create_environment",
    params(("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,200}$",
        description = "Sent twice with it, it is carried out once")),
    request_body = NewEnvironment, responses((status = 201, body = Environment), Refused))]
pub async fn create(
    Acting(control): Acting,
    Asks(asked): Asks,
    Json(new): Json<NewEnvironment>,
) -> Answer<(StatusCode, Answered<Environment>)> {
    Ok((StatusCode::CREATED, Answered(control.create_environment(&asked, new).await?)))
}

/// One environment. Its ETag names its version.
#[utoipa::path(get, path = "/api/v1/environments/{project}/{environment}", tag = "environments",
    operation_id = "get_environment",
    params(("project" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "demo"),
        ("environment" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "production"),
        ("If-None-Match" = Option<String>, Header, description = "An ETag: answered with 304 where it is still so")),
    responses((status = 200, body = Environment, headers(("ETag" = String, description = "Its version, for `If-Match`"))),
        (status = 304, description = "It is as `If-None-Match` says."), Refused))]
pub async fn get(
    Acting(control): Acting,
    Path((project, environment)): Path<(String, String)>,
    seen: Seen,
) -> Answer<Response> {
    let environment = control.environment(&format!("{project}/{environment}")).await?;
    seen.answer(environment.version, &environment)
}

/// Give an environment another build, while it has no tenants.
#[utoipa::path(patch, path = "/api/v1/environments/{project}/{environment}", tag = "environments",
    operation_id = "change_environment",
    params(("project" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "demo"),
        ("environment" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "production"),
        ("If-Match" = String, Header, pattern = r#"^(\*|"[0-9]{1,18}(\.[0-9a-f]{1,64})?")$"#,
            description = "Its ETag as it was read, its version in quotes, or * for whatever is there")),
    request_body = ChangeEnvironment,
    responses((status = 200, body = Environment, headers(("ETag" = String, description = "Its version, for `If-Match`"))),
        Refused))]
pub async fn change(
    Acting(control): Acting,
    Path((project, environment)): Path<(String, String)>,
    Edits(version): Edits,
    Json(body): Json<ChangeEnvironment>,
) -> Answer<Versioned<Environment>> {
    let name = format!("{project}/{environment}");
    let environment = control.change_environment(&name, version, &body).await?;
    Ok(Versioned(environment.version, environment))
}

/// End an environment for good and archive its tenants; their histories are
/// kept until retention drops them.
#[utoipa::path(post, path = "/api/v1/environments/{project}/{environment}/destroy", tag = "environments",
    operation_id = "destroy_environment",
    params(("project" = String, Path), ("environment" = String, Path, description = "Its name")),
    request_body = DestroyEnvironment, responses((status = 200, body = Environment), Refused))]
pub async fn destroy(
    Acting(control): Acting,
    Path((project, environment)): Path<(String, String)>,
    Json(body): Json<DestroyEnvironment>,
) -> Answer<Answered<Environment>> {
    let environment = format!("{project}/{environment}");
    Ok(Answered(control.destroy_environment(&environment, body.confirm.as_deref()).await?))
}

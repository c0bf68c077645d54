use axum::Json as Answered;
use axum::http::StatusCode;
use protocol::api::{DestroyEnvironment, Environment, NewEnvironment, Page};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Refused;
use crate::extract::{Acting, Json, Path, Query};
use crate::failure::Answer;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OfProject {
    /// Only this project's.
    pub project: Option<String>,
}

/// All environments, or one project's.
#[utoipa::path(get, path = "/api/v1/environments", tag = "environments", operation_id = "list_environments",
    params(OfProject), responses((status = 200, body = Page<Environment>), Refused))]
pub async fn list(
    Acting(control): Acting,
    Query(of): Query<OfProject>,
) -> Answer<Answered<Page<Environment>>> {
    Ok(Answered(Page { items: control.environments(of.project.as_deref()).await? }))
}

/// Create an environment.
#[utoipa::path(post, path = "/api/v1/environments", tag = "environments", operation_id = "create_environment",
    request_body = NewEnvironment, responses((status = 201, body = Environment), Refused))]
pub async fn create(
    Acting(control): Acting,
    Json(new): Json<NewEnvironment>,
) -> Answer<(StatusCode, Answered<Environment>)> {
    Ok((StatusCode::CREATED, Answered(control.create_environment(new).await?)))
}

/// One environment.
#[utoipa::path(get, path = "/api/v1/environments/{project}/{environment}", tag = "environments",
    operation_id = "get_environment",
    params(("project" = String, Path), ("environment" = String, Path, description = "Its name")),
    responses((status = 200, body = Environment), Refused))]
pub async fn get(
    Acting(control): Acting,
    Path((project, environment)): Path<(String, String)>,
) -> Answer<Answered<Environment>> {
    Ok(Answered(control.environment(&format!("{project}/{environment}")).await?))
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

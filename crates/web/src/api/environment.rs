use axum::Json as Answered;
use axum::http::StatusCode;
use protocol::api::{Environment, NewEnvironment, Page};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Refused;
use super::list::Cut;
use crate::extract::{Acting, Json, Path, Query};
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
    params(("project" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "demo"),
        ("environment" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "production")),
    responses((status = 200, body = Environment), Refused))]
pub async fn get(
    Acting(control): Acting,
    Path((project, environment)): Path<(String, String)>,
) -> Answer<Answered<Environment>> {
    Ok(Answered(control.environment(&format!("{project}/{environment}")).await?))
}

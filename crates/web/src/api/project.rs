use axum::Json as Answered;
use axum::http::StatusCode;
use protocol::api::{NewProject, Page, Project};

use super::Refused;
use crate::extract::{Acting, Json, Path};
use crate::failure::Answer;

/// All projects, by name.
#[utoipa::path(get, path = "/api/v1/projects", tag = "projects", operation_id = "list_projects",
    responses((status = 200, body = Page<Project>), Refused))]
pub async fn list(Acting(control): Acting) -> Answer<Answered<Page<Project>>> {
    Ok(Answered(Page { items: control.projects().await? }))
}

/// Create a project.
#[utoipa::path(post, path = "/api/v1/projects", tag = "projects", operation_id = "create_project",
    request_body = NewProject, responses((status = 201, body = Project), Refused))]
pub async fn create(
    Acting(control): Acting,
    Json(new): Json<NewProject>,
) -> Answer<(StatusCode, Answered<Project>)> {
    Ok((StatusCode::CREATED, Answered(control.create_project(new).await?)))
}

/// One project.
#[utoipa::path(get, path = "/api/v1/projects/{project}", tag = "projects", operation_id = "get_project",
    params(("project" = String, Path, description = "Its name or id")),
    responses((status = 200, body = Project), Refused))]
pub async fn get(Acting(control): Acting, Path(project): Path<String>) -> Answer<Answered<Project>> {
    Ok(Answered(control.project(&project).await?))
}

use axum::Json as Answered;
use axum::http::StatusCode;
use protocol::api::{NewProject, Page, Project};

use super::Refused;
use super::list::Cut;
use crate::extract::{Acting, Asks, Json, Path, Query};
use crate::failure::Answer;

/// All projects, by name.
#[utoipa::path(get, path = "/api/v1/projects", tag = "projects", operation_id = "list_projects",
    params(Cut), responses((status = 200, body = Page<Project>), Refused))]
pub async fn list(Acting(control): Acting, Query(cut): Query<Cut>) -> Answer<Answered<Page<Project>>> {
    Ok(Answered(control.projects(&cut.slice()?).await?))
}

/// Create a project.
#[utoipa::path(post, path = "/api/v1/projects", tag = "projects", operation_id = "create_project",
    params(("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,200}$",
        description = "Sent twice with it, it is carried out once")),
    request_body = NewProject, responses((status = 201, body = Project), Refused))]
pub async fn create(
    Acting(control): Acting,
    Asks(asked): Asks,
    Json(new): Json<NewProject>,
) -> Answer<(StatusCode, Answered<Project>)> {
    Ok((StatusCode::CREATED, Answered(control.create_project(&asked, new).await?)))
}

/// One project.
#[utoipa::path(get, path = "/api/v1/projects/{project}", tag = "projects", operation_id = "get_project",
    params(("project" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "demo")),
    responses((status = 200, body = Project), Refused))]
pub async fn get(Acting(control): Acting, Path(project): Path<String>) -> Answer<Answered<Project>> {
    Ok(Answered(control.project(&project).await?))
}

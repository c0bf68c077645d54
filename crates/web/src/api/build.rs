use axum::Json as Answered;
use axum::extract::State;
use axum::http::StatusCode;
use model::BuildId;
use protocol::api::{Build, NewBuild, Page};

use super::Refused;
use super::environment::OfProject;
use super::list::Cut;
use crate::WebState;
use crate::extract::{Asks, Json, Path, Query};
use crate::failure::Answer;

/// All builds, or one project's; newest first.
#[utoipa::path(get, path = "/api/v1/builds", tag = "builds", operation_id = "list_builds",
    params(OfProject, Cut), responses((status = 200, body = Page<Build>), Refused))]
pub async fn list(
    State(state): State<WebState>,
    Query(of): Query<OfProject>,
    Query(cut): Query<Cut>,
) -> Answer<Answered<Page<Build>>> {
    Ok(Answered(state.control.builds(of.project.as_deref(), &cut.slice()?).await?))
}

/// Create a build; its run initialises the template that tenants are made from.
#[utoipa::path(post, path = "/api/v1/builds", tag = "builds", operation_id = "create_build",
    params(("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,200}$",
            description = "Sent twice with it, it is carried out once")),
    request_body = NewBuild, responses((status = 201, body = Build), Refused))]
pub async fn create(
    State(state): State<WebState>,
    Asks(asked): Asks,
    Json(new): Json<NewBuild>,
) -> Answer<(StatusCode, Answered<Build>)> {
    Ok((StatusCode::CREATED, Answered(state.control.create_build(&asked, new).await?)))
}

/// One build.
#[utoipa::path(get, path = "/api/v1/builds/{build}", tag = "builds", operation_id = "get_build",
    params(("build" = Uuid, Path)), responses((status = 200, body = Build), Refused))]
pub async fn get(State(state): State<WebState>, Path(build): Path<BuildId>) -> Answer<Answered<Build>> {
    Ok(Answered(state.control.build(build).await?))
}

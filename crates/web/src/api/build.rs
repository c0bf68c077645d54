use axum::Json as Answered;
use axum::http::StatusCode;
use model::BuildId;
use protocol::api::{Build, NewBuild, Page};

use super::Refused;
use super::environment::OfProject;
use super::list::Cut;
use crate::extract::{Acting, Asks, Json, Path, Query};
use crate::failure::Answer;

/// All builds, or one project's; newest first.
#[utoipa::path(get, path = "/api/v1/builds", tag = "builds", operation_id = "list_builds",
    params(OfProject, Cut), responses((status = 200, body = Page<Build>), Refused))]
pub async fn list(
    Acting(control): Acting,
    Query(of): Query<OfProject>,
    Query(cut): Query<Cut>,
) -> Answer<Answered<Page<Build>>> {
    Ok(Answered(control.builds(of.project.as_deref(), &cut.slice()?).await?))
}

/// Create a build; its run initialises the template that tenants are made from.
#[utoipa::path(post, path = "/api/v1/builds", tag = "builds", operation_id = "create_build",
    params(("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,200}$",
            description = "Sent twice with it, it is carried out once")),
    request_body = NewBuild, responses((status = 201, body = Build), Refused))]
pub async fn create(
    Acting(control): Acting,
    Asks(asked): Asks,
    Json(new): Json<NewBuild>,
) -> Answer<(StatusCode, Answered<Build>)> {
    Ok((StatusCode::CREATED, Answered(control.create_build(&asked, new).await?)))
}

/// One build.
#[utoipa::path(get, path = "/api/v1/builds/{build}", tag = "builds", operation_id = "get_build",
    params(("build" = Uuid, Path)), responses((status = 200, body = Build), Refused))]
pub async fn get(Acting(control): Acting, Path(build): Path<BuildId>) -> Answer<Answered<Build>> {
    Ok(Answered(control.build(build).await?))
}

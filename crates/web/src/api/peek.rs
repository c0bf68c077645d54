use axum::Json as Answered;
use axum::http::StatusCode;
use model::PeekId;
use protocol::api::{CreatedPeek, NewPeek, Page, Peek};

use super::Refused;
use super::list::Cut;
use crate::extract::{Acting, Asks, Json, Path, Query};
use crate::failure::Answer;

/// A tenant's peeks, newest first.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/peeks", tag = "peeks", operation_id = "list_peeks",
    params(("tenant" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "acme"), Cut),
    responses((status = 200, body = Page<Peek>), Refused))]
pub async fn list(
    Acting(control): Acting,
    Path(tenant): Path<String>,
    Query(cut): Query<Cut>,
) -> Answer<Answered<Page<Peek>>> {
    Ok(Answered(control.peeks(&tenant, &cut.slice()?).await?))
}

/// Make a tenant's database readable as it was, for a while. The password is shown once.
#[utoipa::path(post, path = "/api/v1/tenants/{tenant}/peeks", tag = "peeks", operation_id = "create_peek",
    params(("tenant" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "acme"),
        ("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,200}$",
            description = "Sent twice with it, it is carried out once")),
    request_body = NewPeek, responses((status = 201, body = CreatedPeek), Refused))]
pub async fn create(
    Acting(control): Acting,
    Asks(asked): Asks,
    Path(tenant): Path<String>,
    Json(new): Json<NewPeek>,
) -> Answer<(StatusCode, Answered<CreatedPeek>)> {
    Ok((StatusCode::CREATED, Answered(control.create_peek(&asked, &tenant, new).await?)))
}

/// One peek: whether it is open, and where.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/peeks/{peek}", tag = "peeks", operation_id = "get_peek",
    params(("tenant" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "acme"),
        ("peek" = Uuid, Path)),
    responses((status = 200, body = Peek), Refused))]
pub async fn get(
    Acting(control): Acting,
    Path((tenant, peek)): Path<(String, PeekId)>,
) -> Answer<Answered<Peek>> {
    Ok(Answered(control.peek(&tenant, peek).await?))
}

/// End a peek before its time. Its worker removes it within a moment.
#[utoipa::path(delete, path = "/api/v1/tenants/{tenant}/peeks/{peek}", tag = "peeks", operation_id = "end_peek",
    params(("tenant" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "acme"),
        ("peek" = Uuid, Path)),
    responses((status = 204), Refused))]
pub async fn end(
    Acting(control): Acting,
    Path((tenant, peek)): Path<(String, PeekId)>,
) -> Answer<StatusCode> {
    control.end_peek(&tenant, peek).await?;
    Ok(StatusCode::NO_CONTENT)
}

use axum::Json as Answered;
use axum::http::StatusCode;
use protocol::api::{NewSnapshot, Page, Snapshot};

use super::Refused;
use super::list::Cut;
use crate::extract::{Acting, Asks, Json, Path, Query};
use crate::failure::Answer;

/// A tenant's snapshots, newest first.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/snapshots", tag = "snapshots", operation_id = "list_snapshots",
    params(("tenant" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "acme"), Cut),
    responses((status = 200, body = Page<Snapshot>), Refused))]
pub async fn list(
    Acting(control): Acting,
    Path(tenant): Path<String>,
    Query(cut): Query<Cut>,
) -> Answer<Answered<Page<Snapshot>>> {
    Ok(Answered(control.snapshots(&tenant, &cut.slice()?).await?))
}

/// Create a snapshot. It is ready once its WAL and its files are in the repository.
#[utoipa::path(post, path = "/api/v1/tenants/{tenant}/snapshots", tag = "snapshots", operation_id = "create_snapshot",
    params(("tenant" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "acme"),
        ("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,200}$",
            description = "Sent twice with it, it is carried out once")),
    request_body = NewSnapshot, responses((status = 201, body = Snapshot), Refused))]
pub async fn create(
    Acting(control): Acting,
    Asks(asked): Asks,
    Path(tenant): Path<String>,
    Json(new): Json<NewSnapshot>,
) -> Answer<(StatusCode, Answered<Snapshot>)> {
    Ok((StatusCode::CREATED, Answered(control.create_snapshot(&asked, &tenant, new).await?)))
}

/// One of a tenant's snapshots.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/snapshots/{snapshot}", tag = "snapshots",
    operation_id = "get_snapshot",
    params(("tenant" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "acme"),
        ("snapshot" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$")),
    responses((status = 200, body = Snapshot), Refused))]
pub async fn get(
    Acting(control): Acting,
    Path((tenant, snapshot)): Path<(String, String)>,
) -> Answer<Answered<Snapshot>> {
    Ok(Answered(control.snapshot(&tenant, &snapshot).await?))
}

/// Keep a snapshot until it is unpinned, whatever its expiry.
#[utoipa::path(post, path = "/api/v1/tenants/{tenant}/snapshots/{snapshot}/pin", tag = "snapshots",
    operation_id = "pin_snapshot",
    params(("tenant" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "acme"),
        ("snapshot" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$")),
    responses((status = 200, body = Snapshot), Refused))]
pub async fn pin(
    Acting(control): Acting,
    Path((tenant, snapshot)): Path<(String, String)>,
) -> Answer<Answered<Snapshot>> {
    Ok(Answered(control.pin_snapshot(&tenant, &snapshot, true).await?))
}

/// Keep a snapshot no longer than its expiry says.
#[utoipa::path(post, path = "/api/v1/tenants/{tenant}/snapshots/{snapshot}/unpin", tag = "snapshots",
    operation_id = "unpin_snapshot",
    params(("tenant" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "acme"),
        ("snapshot" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$")),
    responses((status = 200, body = Snapshot), Refused))]
pub async fn unpin(
    Acting(control): Acting,
    Path((tenant, snapshot)): Path<(String, String)>,
) -> Answer<Answered<Snapshot>> {
    Ok(Answered(control.pin_snapshot(&tenant, &snapshot, false).await?))
}

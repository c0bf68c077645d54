use axum::Json as Answered;
use axum::http::StatusCode;
use model::RestoreId;
use protocol::api::{NewRestore, Page, Restore};

use serde::Deserialize;
use utoipa::IntoParams;

use super::Refused;
use super::list::Cut;
use crate::extract::{Acting, Asks, Json, Path, Query};
use crate::failure::Answer;

/// A tenant's restores, newest first.
#[utoipa::path(get, path = "/api/v1/tenants/{tenant}/restores", tag = "restores", operation_id = "list_restores",
    params(("tenant" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "acme"), Cut),
    responses((status = 200, body = Page<Restore>), Refused))]
pub async fn list(
    Acting(control): Acting,
    Path(tenant): Path<String>,
    Query(cut): Query<Cut>,
) -> Answer<Answered<Page<Restore>>> {
    Ok(Answered(control.restores(&tenant, &cut.slice()?).await?))
}

/// Plan a restore to a snapshot or a time. Nothing is restored before it is confirmed.
#[utoipa::path(post, path = "/api/v1/tenants/{tenant}/restores", tag = "restores", operation_id = "create_restore",
    params(("tenant" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "acme"),
        ("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,200}$",
            description = "Sent twice with it, it is carried out once")),
    request_body = NewRestore, responses((status = 201, body = Restore), Refused))]
pub async fn create(
    Acting(control): Acting,
    Asks(asked): Asks,
    Path(tenant): Path<String>,
    Json(new): Json<NewRestore>,
) -> Answer<(StatusCode, Answered<Restore>)> {
    Ok((StatusCode::CREATED, Answered(control.create_restore(&asked, &tenant, new).await?)))
}

/// One restore, with its plan once that is made.
#[utoipa::path(get, path = "/api/v1/restores/{restore}", tag = "restores", operation_id = "get_restore",
    params(("restore" = Uuid, Path)), responses((status = 200, body = Restore), Refused))]
pub async fn get(Acting(control): Acting, Path(restore): Path<RestoreId>) -> Answer<Answered<Restore>> {
    Ok(Answered(control.restore(restore).await?))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Confirm {
    /// Wait for no maintenance window, which takes the permission `operate`; kept with the run.
    #[serde(default)]
    #[param(value_type = Option<bool>, default = false)]
    pub now: bool,
}

/// Say yes to the plan: its run carries it out, in a maintenance window if there are any.
#[utoipa::path(post, path = "/api/v1/restores/{restore}/confirm", tag = "restores", operation_id = "confirm_restore",
    params(("restore" = Uuid, Path), Confirm,
        ("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,200}$",
            description = "Sent twice with it, it is carried out once")),
    responses((status = 200, body = Restore), Refused))]
pub async fn confirm(
    Acting(control): Acting,
    Asks(asked): Asks,
    Path(restore): Path<RestoreId>,
    Query(confirm): Query<Confirm>,
) -> Answer<Answered<Restore>> {
    Ok(Answered(match confirm.now {
        true => control.confirm_restore_now(&asked, restore).await?,
        false => control.confirm_restore(&asked, restore).await?,
    }))
}

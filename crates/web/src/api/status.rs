use axum::Json as Answered;
use protocol::api::Status;

use super::Refused;
use crate::extract::Acting;
use crate::failure::Answer;

/// Workers, the queue and the tenants at a glance.
#[utoipa::path(get, path = "/api/v1/status", tag = "status", operation_id = "get_status",
    responses((status = 200, body = Status), Refused))]
pub async fn get(Acting(control): Acting) -> Answer<Answered<Status>> {
    Ok(Answered(control.status().await?))
}

use axum::Json as Answered;
use protocol::api::Drain;

use super::Refused;
use crate::extract::{Acting, Json, Path};
use crate::failure::Answer;

/// Drain a worker: it takes nothing more, and ends what it has. Or let it take
/// runs again. For operators.
#[utoipa::path(post, path = "/api/v1/workers/{worker}/drain", tag = "status", operation_id = "drain_worker",
    params(("worker" = String, Path, description = "Its name")), request_body = Drain,
    responses((status = 200, body = Drain), Refused))]
pub async fn drain(
    Acting(control): Acting,
    Path(worker): Path<String>,
    Json(drain): Json<Drain>,
) -> Answer<Answered<Drain>> {
    control.drain_worker(&worker, drain.drain).await?;
    Ok(Answered(drain))
}

use axum::Json as Answered;
use axum::extract::State;
use axum::http::StatusCode;
use protocol::api::{LoggedIn, Login};

use super::Refused;
use crate::WebState;
use crate::extract::{Acting, Address, Json};
use crate::failure::Answer;

/// Get an API key of one's own for login and password, as `heddle login` does.
/// It may do what its user may, and ends after 90 days.
#[utoipa::path(post, path = "/api/v1/login", tag = "keys", operation_id = "log_in", security(()),
    request_body = Login, responses((status = 201, body = LoggedIn), Refused))]
pub async fn login(
    State(state): State<WebState>,
    Address(address): Address,
    Json(body): Json<Login>,
) -> Answer<(StatusCode, Answered<LoggedIn>)> {
    Ok((StatusCode::CREATED, Answered(state.control.log_in(&body, &address).await?)))
}

/// Revoke the key that the request is made with.
#[utoipa::path(post, path = "/api/v1/logout", tag = "keys", operation_id = "log_out",
    responses((status = 204, description = "The key is good for nothing any more"), Refused))]
pub async fn logout(Acting(control): Acting) -> Answer<StatusCode> {
    control.log_out().await?;
    Ok(StatusCode::NO_CONTENT)
}

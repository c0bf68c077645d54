use axum::Json as Answered;
use axum::http::StatusCode;
use model::ApiKeyId;
use protocol::api::Page;
use protocol::people::{ApiKey, CreatedApiKey, NewApiKey};

use super::Refused;
use super::environment::OfProject;
use super::list::Cut;
use crate::extract::{Acting, Json, Path, Query};
use crate::failure::Answer;

/// API keys, newest first: one's own, an operator's all, and those bound to the
/// projects that one administers.
#[utoipa::path(get, path = "/api/v1/keys", tag = "keys", operation_id = "list_keys",
    params(OfProject, Cut), responses((status = 200, body = Page<ApiKey>), Refused))]
pub async fn list(
    Acting(control): Acting,
    Query(of): Query<OfProject>,
    Query(cut): Query<Cut>,
) -> Answer<Answered<Page<ApiKey>>> {
    Ok(Answered(control.api_keys(of.project.as_deref(), &cut.slice()?).await?))
}

/// Make an API key for oneself. It reaches no further than the key that asks
/// for it. The key itself is in this answer and in no other.
#[utoipa::path(post, path = "/api/v1/keys", tag = "keys", operation_id = "create_key",
    request_body = NewApiKey, responses((status = 201, body = CreatedApiKey), Refused))]
pub async fn create(
    Acting(control): Acting,
    Json(new): Json<NewApiKey>,
) -> Answer<(StatusCode, Answered<CreatedApiKey>)> {
    Ok((StatusCode::CREATED, Answered(control.create_key(new).await?)))
}

/// One API key.
#[utoipa::path(get, path = "/api/v1/keys/{key}", tag = "keys", operation_id = "get_key",
    params(("key" = Uuid, Path)), responses((status = 200, body = ApiKey), Refused))]
pub async fn get(Acting(control): Acting, Path(key): Path<ApiKeyId>) -> Answer<Answered<ApiKey>> {
    Ok(Answered(control.api_key(key).await?))
}

/// Revoke an API key, for good and from the next request on.
#[utoipa::path(post, path = "/api/v1/keys/{key}/revoke", tag = "keys", operation_id = "revoke_key",
    params(("key" = Uuid, Path)), responses((status = 200, body = ApiKey), Refused))]
pub async fn revoke(Acting(control): Acting, Path(key): Path<ApiKeyId>) -> Answer<Answered<ApiKey>> {
    Ok(Answered(control.revoke_api_key(key).await?))
}

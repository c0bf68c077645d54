use axum::Json as Answered;
use axum::http::StatusCode;
use protocol::api::{NewSecret, Page, Secret, SecretsOf};

use super::Refused;
use crate::etag::{IfMatch, Versioned};
use crate::extract::{Acting, Json, Path, Query};
use crate::failure::Answer;

/// The secrets that reach a tenant, an environment or a project, without their
/// values: its own and those of what it is in.
#[utoipa::path(get, path = "/api/v1/secrets", tag = "secrets", operation_id = "list_secrets",
    params(SecretsOf), responses((status = 200, body = Page<Secret>), Refused))]
pub async fn list(Acting(control): Acting, Query(of): Query<SecretsOf>) -> Answer<Answered<Page<Secret>>> {
    Ok(Answered(Page::whole(control.secrets(&of).await?)))
}

/// Set a secret. Its value is never shown again; tenants' Odoos find it in their
/// environment from their next start on.
#[utoipa::path(put, path = "/api/v1/secrets/{name}", tag = "secrets", operation_id = "set_secret",
    params(("name" = String, Path, description = "`^[A-Z][A-Z0-9_]{0,62}$`"), SecretsOf,
        ("If-Match" = Option<String>, Header, pattern = r#"^(\*|"[0-9]{1,18}(\.[0-9a-f]{1,64})?")$"#,
            description = "The version that it must replace, such as `\"3\"`")),
    request_body = NewSecret,
    responses((status = 200, body = Secret, headers(("ETag" = String, description = "Its version"))), Refused))]
pub async fn set(
    Acting(control): Acting,
    Path(name): Path<String>,
    Query(of): Query<SecretsOf>,
    IfMatch(expected): IfMatch,
    Json(new): Json<NewSecret>,
) -> Answer<Versioned<Secret>> {
    let secret = control.set_secret(&of, &name, &new.value, expected).await?;
    Ok(Versioned(secret.version, secret))
}

/// Remove a secret with all its values.
#[utoipa::path(delete, path = "/api/v1/secrets/{name}", tag = "secrets", operation_id = "remove_secret",
    params(("name" = String, Path), SecretsOf,
        ("If-Match" = Option<String>, Header, pattern = r#"^(\*|"[0-9]{1,18}(\.[0-9a-f]{1,64})?")$"#,
            description = "The version that it must have")),
    responses((status = 204, description = "It is gone"), Refused))]
pub async fn remove(
    Acting(control): Acting,
    Path(name): Path<String>,
    Query(of): Query<SecretsOf>,
    IfMatch(expected): IfMatch,
) -> Answer<StatusCode> {
    control.remove_secret(&of, &name, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

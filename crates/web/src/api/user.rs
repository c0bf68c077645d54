use axum::Json as Answered;
use axum::http::StatusCode;
use protocol::api::Page;
use protocol::people::{NewUser, OneTimePassword, SetOperator, User};

use super::Refused;
use super::list::Cut;
use crate::extract::{Acting, Json, Path, Query};
use crate::failure::Answer;

/// Users, by login: all for an operator, for others those they share a project with.
#[utoipa::path(get, path = "/api/v1/users", tag = "users", operation_id = "list_users",
    params(Cut), responses((status = 200, body = Page<User>), Refused))]
pub async fn list(Acting(control): Acting, Query(cut): Query<Cut>) -> Answer<Answered<Page<User>>> {
    Ok(Answered(control.users(&cut.slice()?).await?))
}

/// Make a user; as an operator. Their first password is good for one sign-in.
#[utoipa::path(post, path = "/api/v1/users", tag = "users", operation_id = "create_user",
    request_body = NewUser, responses((status = 201, body = OneTimePassword), Refused))]
pub async fn create(
    Acting(control): Acting,
    Json(new): Json<NewUser>,
) -> Answer<(StatusCode, Answered<OneTimePassword>)> {
    Ok((StatusCode::CREATED, Answered(control.create_user(new).await?)))
}

/// One user.
#[utoipa::path(get, path = "/api/v1/users/{login}", tag = "users", operation_id = "get_user", params(("login" = String, Path, pattern = "^[a-z0-9][a-z0-9@._-]{0,99}$", example = "ada@example.com")),
    responses((status = 200, body = User), Refused))]
pub async fn get(Acting(control): Acting, Path(login): Path<String>) -> Answer<Answered<User>> {
    Ok(Answered(control.user(&login).await?))
}

/// Let a user sign in no more; their sessions end and their keys do nothing.
#[utoipa::path(post, path = "/api/v1/users/{login}/disable", tag = "users", operation_id = "disable_user", params(("login" = String, Path, pattern = "^[a-z0-9][a-z0-9@._-]{0,99}$", example = "ada@example.com")),
    responses((status = 200, body = User), Refused))]
pub async fn disable(Acting(control): Acting, Path(login): Path<String>) -> Answer<Answered<User>> {
    Ok(Answered(control.disable_user(&login).await?))
}

/// Let a disabled user sign in again.
#[utoipa::path(post, path = "/api/v1/users/{login}/enable", tag = "users", operation_id = "enable_user", params(("login" = String, Path, pattern = "^[a-z0-9][a-z0-9@._-]{0,99}$", example = "ada@example.com")),
    responses((status = 200, body = User), Refused))]
pub async fn enable(Acting(control): Acting, Path(login): Path<String>) -> Answer<Answered<User>> {
    Ok(Answered(control.enable_user(&login).await?))
}

/// Give a user a new one-time password; it replaces theirs, and their sessions end.
#[utoipa::path(post, path = "/api/v1/users/{login}/one-time-password", tag = "users", operation_id = "reset_password", params(("login" = String, Path, pattern = "^[a-z0-9][a-z0-9@._-]{0,99}$", example = "ada@example.com")),
    responses((status = 200, body = OneTimePassword), Refused))]
pub async fn one_time_password(
    Acting(control): Acting,
    Path(login): Path<String>,
) -> Answer<Answered<OneTimePassword>> {
    let one_time_password = control.reset_password(&login).await?;
    Ok(Answered(OneTimePassword { login, one_time_password }))
}

/// Make a user an operator, who runs the installation, or one no more.
#[utoipa::path(put, path = "/api/v1/users/{login}/operator", tag = "users", operation_id = "set_operator", params(("login" = String, Path, pattern = "^[a-z0-9][a-z0-9@._-]{0,99}$", example = "ada@example.com")),
    request_body = SetOperator, responses((status = 200, body = User), Refused))]
pub async fn operator(
    Acting(control): Acting,
    Path(login): Path<String>,
    Json(set): Json<SetOperator>,
) -> Answer<Answered<User>> {
    Ok(Answered(control.set_operator(&login, set.operator).await?))
}

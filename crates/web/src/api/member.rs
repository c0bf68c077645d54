use axum::Json as Answered;
use axum::http::StatusCode;
use model::access::Permission;
use protocol::api::Page;
use protocol::people::{Member, SetMember};

use super::Refused;
use super::list::Cut;
use crate::etag::{IfMatch, Versioned};
use crate::extract::{Acting, Json, Path, Query};
use crate::failure::Answer;

/// A project's members, by login.
#[utoipa::path(get, path = "/api/v1/projects/{project}/members", tag = "members", operation_id = "list_members",
    params(("project" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "demo"), Cut),
    responses((status = 200, body = Page<Member>), Refused))]
pub async fn list(
    Acting(control): Acting,
    Path(project): Path<String>,
    Query(cut): Query<Cut>,
) -> Answer<Answered<Page<Member>>> {
    Ok(Answered(control.members(&project, &cut.slice()?).await?))
}

/// One member.
#[utoipa::path(get, path = "/api/v1/projects/{project}/members/{login}", tag = "members", operation_id = "get_member",
    params(("project" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "demo"), ("login" = String, Path, pattern = "^[a-z0-9][a-z0-9@._-]{0,99}$", example = "ada@example.com")),
    responses((status = 200, body = Member, headers(("ETag" = String, description = "Its version"))), Refused))]
pub async fn get(
    Acting(control): Acting,
    Path((project, login)): Path<(String, String)>,
) -> Answer<Versioned<Member>> {
    let member = control.member(&project, &login).await?;
    Ok(Versioned(member.version, member))
}

/// Make a user a member, or give a member another role. Only owners make and
/// unmake owners; the last one stays.
#[utoipa::path(put, path = "/api/v1/projects/{project}/members/{login}", tag = "members", operation_id = "set_member",
    params(("project" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "demo"), ("login" = String, Path, pattern = "^[a-z0-9][a-z0-9@._-]{0,99}$", example = "ada@example.com"), ("If-Match" = Option<String>, Header, description = "The version that it must have, such as `\"3\"`")),
    request_body = SetMember,
    responses((status = 200, body = Member, headers(("ETag" = String, description = "Its version"))), Refused))]
pub async fn set(
    Acting(control): Acting,
    Path((project, login)): Path<(String, String)>,
    IfMatch(expected): IfMatch,
    Json(set): Json<SetMember>,
) -> Answer<Versioned<Member>> {
    let member = control.set_member(&project, &login, set, expected).await?;
    Ok(Versioned(member.version, member))
}

/// End a membership, with what was granted to it.
#[utoipa::path(delete, path = "/api/v1/projects/{project}/members/{login}", tag = "members",
    operation_id = "remove_member", params(("project" = String, Path, description = "Its name or id", pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "demo"), ("login" = String, Path, pattern = "^[a-z0-9][a-z0-9@._-]{0,99}$", example = "ada@example.com"), ("If-Match" = Option<String>, Header, description = "The version that it must have, such as `\"3\"`")),
    responses((status = 204, description = "They are no member any more"), Refused))]
pub async fn remove(
    Acting(control): Acting,
    Path((project, login)): Path<(String, String)>,
    IfMatch(expected): IfMatch,
) -> Answer<StatusCode> {
    control.remove_member(&project, &login, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Let a member do something in one environment beyond their role: test,
/// develop or operate.
#[utoipa::path(put, path = "/api/v1/environments/{project}/{environment}/grants/{login}/{permission}",
    tag = "members", operation_id = "grant_permission",
    params(("project" = String, Path, pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "demo"),
        ("environment" = String, Path, pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "staging"), ("login" = String, Path, pattern = "^[a-z0-9][a-z0-9@._-]{0,99}$", example = "ada@example.com"),
        ("permission" = String, Path, pattern = "^(test|develop|operate)$", example = "test")),
    responses((status = 200, body = Member), Refused))]
pub async fn grant(
    Acting(control): Acting,
    Path((project, environment, login, permission)): Path<(String, String, String, Permission)>,
) -> Answer<Answered<Member>> {
    let environment = format!("{project}/{environment}");
    Ok(Answered(control.set_grant(&environment, &login, permission, true).await?))
}

/// Take back what was granted in one environment.
#[utoipa::path(delete, path = "/api/v1/environments/{project}/{environment}/grants/{login}/{permission}",
    tag = "members", operation_id = "withdraw_permission",
    params(("project" = String, Path, pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "demo"),
        ("environment" = String, Path, pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "staging"), ("login" = String, Path, pattern = "^[a-z0-9][a-z0-9@._-]{0,99}$", example = "ada@example.com"),
        ("permission" = String, Path, pattern = "^(test|develop|operate)$", example = "test")),
    responses((status = 204, description = "It is not granted any more"), Refused))]
pub async fn withdraw(
    Acting(control): Acting,
    Path((project, environment, login, permission)): Path<(String, String, String, Permission)>,
) -> Answer<StatusCode> {
    let environment = format!("{project}/{environment}");
    control.set_grant(&environment, &login, permission, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

use axum::Json as Answered;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use model::PolicyId;
use protocol::api::{NewPolicy, Page, Policy, PolicyTerms};

use super::Refused;
use super::environment::OfProject;
use crate::etag::{IfMatch, Versioned};
use crate::extract::{Acting, Json, Path, Query};
use crate::failure::Answer;

/// All policies, or one project's.
#[utoipa::path(get, path = "/api/v1/policies", tag = "policies", operation_id = "list_policies",
    params(OfProject), responses((status = 200, body = Page<Policy>), Refused))]
pub async fn list(Acting(control): Acting, Query(of): Query<OfProject>) -> Answer<Answered<Page<Policy>>> {
    Ok(Answered(Page::whole(control.policies(of.project.as_deref()).await?)))
}

/// Have an act take the approval of others. Of several policies for it, the one
/// nearest to an environment counts there.
#[utoipa::path(post, path = "/api/v1/policies", tag = "policies", operation_id = "create_policy",
    request_body = NewPolicy,
    responses((status = 201, body = Policy, headers(("ETag" = String, description = "Its version"))), Refused))]
pub async fn create(Acting(control): Acting, Json(new): Json<NewPolicy>) -> Answer<impl IntoResponse> {
    let policy = control.create_policy(new).await?;
    Ok((StatusCode::CREATED, Versioned(policy.version, policy)))
}

/// One policy.
#[utoipa::path(get, path = "/api/v1/policies/{policy}", tag = "policies", operation_id = "get_policy",
    params(("policy" = Uuid, Path)),
    responses((status = 200, body = Policy, headers(("ETag" = String, description = "Its version"))), Refused))]
pub async fn get(Acting(control): Acting, Path(policy): Path<PolicyId>) -> Answer<Versioned<Policy>> {
    let policy = control.policy(policy).await?;
    Ok(Versioned(policy.version, policy))
}

/// Change what a policy asks for.
#[utoipa::path(put, path = "/api/v1/policies/{policy}", tag = "policies", operation_id = "change_policy",
    params(("policy" = Uuid, Path),
        ("If-Match" = Option<String>, Header, description = "The version that it must have, such as `\"3\"`")),
    request_body = PolicyTerms,
    responses((status = 200, body = Policy, headers(("ETag" = String, description = "Its version"))), Refused))]
pub async fn change(
    Acting(control): Acting,
    Path(policy): Path<PolicyId>,
    IfMatch(expected): IfMatch,
    Json(terms): Json<PolicyTerms>,
) -> Answer<Versioned<Policy>> {
    let policy = control.change_policy(policy, terms, expected).await?;
    Ok(Versioned(policy.version, policy))
}

/// Remove a policy.
#[utoipa::path(delete, path = "/api/v1/policies/{policy}", tag = "policies", operation_id = "remove_policy",
    params(("policy" = Uuid, Path),
        ("If-Match" = Option<String>, Header, description = "The version that it must have")),
    responses((status = 204, description = "It is gone"), Refused))]
pub async fn remove(
    Acting(control): Acting,
    Path(policy): Path<PolicyId>,
    IfMatch(expected): IfMatch,
) -> Answer<StatusCode> {
    control.remove_policy(policy, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

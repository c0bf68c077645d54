use axum::Json as Answered;
use control::{ApprovalFilter, Control};
use model::policy::{ApprovalState, Decision};
use model::{ApprovalId, RunId};
use protocol::api::{Approval, Decide, Page};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Refused;
use super::list::Cut;
use crate::extract::{Acting, Json, Path, Query};
use crate::failure::Answer;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only this project's.
    pub project: Option<String>,
    /// Only those in this state.
    #[param(value_type = Option<String>)]
    pub state: Option<ApprovalState>,
}

/// What waits, or waited, for approvals; newest first.
#[utoipa::path(get, path = "/api/v1/approvals", tag = "approvals", operation_id = "list_approvals",
    params(Filter, Cut), responses((status = 200, body = Page<Approval>), Refused))]
pub async fn list(
    Acting(control): Acting,
    Query(filter): Query<Filter>,
    Query(cut): Query<Cut>,
) -> Answer<Answered<Page<Approval>>> {
    let filter = ApprovalFilter { project: filter.project, state: filter.state };
    Ok(Answered(control.approvals(&filter, &cut.slice()?).await?))
}

/// One approval.
#[utoipa::path(get, path = "/api/v1/approvals/{approval}", tag = "approvals", operation_id = "get_approval",
    params(("approval" = Uuid, Path)), responses((status = 200, body = Approval), Refused))]
pub async fn get(Acting(control): Acting, Path(approval): Path<ApprovalId>) -> Answer<Answered<Approval>> {
    Ok(Answered(control.approval(approval).await?))
}

/// Approve it. Nobody approves what they have asked for themselves.
#[utoipa::path(post, path = "/api/v1/approvals/{approval}/approve", tag = "approvals",
    operation_id = "approve", params(("approval" = Uuid, Path)), request_body = Decide,
    responses((status = 200, body = Approval), Refused))]
pub async fn approve(
    Acting(control): Acting,
    Path(approval): Path<ApprovalId>,
    Json(body): Json<Decide>,
) -> Answer<Answered<Approval>> {
    decide(&control, approval, Decision::Approve, body).await
}

/// Refuse it: one refusal is enough. A run that waits for it is cancelled.
#[utoipa::path(post, path = "/api/v1/approvals/{approval}/refuse", tag = "approvals",
    operation_id = "refuse", params(("approval" = Uuid, Path)), request_body = Decide,
    responses((status = 200, body = Approval), Refused))]
pub async fn refuse(
    Acting(control): Acting,
    Path(approval): Path<ApprovalId>,
    Json(body): Json<Decide>,
) -> Answer<Answered<Approval>> {
    decide(&control, approval, Decision::Refuse, body).await
}

/// What a run has asked approval for, the last time it did.
#[utoipa::path(get, path = "/api/v1/runs/{run}/approval", tag = "approvals", operation_id = "get_run_approval",
    params(("run" = Uuid, Path)), responses((status = 200, body = Approval), Refused))]
pub async fn of_run(Acting(control): Acting, Path(run): Path<RunId>) -> Answer<Answered<Approval>> {
    Ok(Answered(control.approval_of_run(run).await?))
}

/// Approve a run that waits for it.
#[utoipa::path(post, path = "/api/v1/runs/{run}/approve", tag = "approvals", operation_id = "approve_run",
    params(("run" = Uuid, Path)), request_body = Decide,
    responses((status = 200, body = Approval), Refused))]
pub async fn approve_run(
    Acting(control): Acting,
    Path(run): Path<RunId>,
    Json(body): Json<Decide>,
) -> Answer<Answered<Approval>> {
    let approval = control.approval_of_run(run).await?;
    decide(&control, ApprovalId(approval.id), Decision::Approve, body).await
}

/// Refuse a run that waits for an approval: it is cancelled.
#[utoipa::path(post, path = "/api/v1/runs/{run}/refuse", tag = "approvals", operation_id = "refuse_run",
    params(("run" = Uuid, Path)), request_body = Decide,
    responses((status = 200, body = Approval), Refused))]
pub async fn refuse_run(
    Acting(control): Acting,
    Path(run): Path<RunId>,
    Json(body): Json<Decide>,
) -> Answer<Answered<Approval>> {
    let approval = control.approval_of_run(run).await?;
    decide(&control, ApprovalId(approval.id), Decision::Refuse, body).await
}

async fn decide(
    control: &Control,
    approval: ApprovalId,
    decision: Decision,
    body: Decide,
) -> Answer<Answered<Approval>> {
    Ok(Answered(control.decide_approval(approval, decision, body.note.as_deref()).await?))
}

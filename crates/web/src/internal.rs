//! `/internal`: what worker and router say, with the platform's own key. One
//! operation of control each; `protocol::internal` says what they mean.

use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json as Answered, Router};
use model::{RunId, TenantId, WorkerId};
use protocol::internal::{
    Answer as WorkerAnswer, Assignments, Claim, Claimed, Events, Finish, Heartbeat, HeartbeatAnswer,
    Observed, Questions, Recorded, Register, Registered, Report, Routes, TenantSecrets,
};
use serde::Deserialize;

use crate::WebState;
use crate::extract::{Json, Path, Query, from_platform};
use crate::failure::{Answer, Failure};

/// Longer waits are cut short: the caller asks again.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A worker's answer may hold 10,000 lines of a log.
const LARGEST_REPORT: usize = 16 << 20;

pub(crate) fn router(state: &WebState) -> Router<WebState> {
    Router::new()
        .route("/workers", post(register))
        .route("/workers/{worker}/tenants", get(assignments))
        .route("/workers/{worker}/tenants/{tenant}/secrets", get(tenant_secrets))
        .route("/workers/{worker}/observed", post(observed))
        .route("/workers/{worker}/questions", get(questions))
        .route("/workers/{worker}/answers", post(answers))
        .route("/runs/claim", post(claim))
        .route("/runs/{run}/heartbeat", post(heartbeat))
        .route("/runs/{run}/events", post(events))
        .route("/runs/{run}/record", post(record))
        .route("/runs/{run}/finish", post(finish))
        .route("/routes", get(routes))
        .fallback(crate::nothing_here)
        .layer(middleware::from_fn_with_state(state.clone(), platform_only))
        .layer(DefaultBodyLimit::max(LARGEST_REPORT))
}

async fn platform_only(State(state): State<WebState>, request: Request, next: Next) -> Answer<Response> {
    let (parts, body) = request.into_parts();
    if !from_platform(&parts, &state) {
        return Err(Failure::unauthenticated("the platform key is missing or wrong")
            .hint("Workers and routers read it from secrets/platform.key in the data folder."));
    }
    Ok(next.run(Request::from_parts(parts, body)).await)
}

async fn register(State(state): State<WebState>, Json(body): Json<Register>) -> Answer<Answered<Registered>> {
    Ok(Answered(state.control.register_worker(body).await?))
}

async fn assignments(
    State(state): State<WebState>,
    Path(worker): Path<WorkerId>,
) -> Answer<Answered<Assignments>> {
    Ok(Answered(state.control.assignments(worker).await?))
}

async fn tenant_secrets(
    State(state): State<WebState>,
    Path((worker, tenant)): Path<(WorkerId, TenantId)>,
) -> Answer<Answered<TenantSecrets>> {
    Ok(Answered(state.control.tenant_secrets(worker, tenant).await?))
}

async fn observed(
    State(state): State<WebState>,
    Path(worker): Path<WorkerId>,
    Json(body): Json<Observed>,
) -> Answer<Answered<()>> {
    Ok(Answered(state.control.observed(worker, body).await?))
}

#[derive(Deserialize)]
struct Wait {
    #[serde(default)]
    wait_ms: u64,
    #[serde(default)]
    after: Option<String>,
}

impl Wait {
    fn duration(&self) -> Duration {
        Duration::from_millis(self.wait_ms).min(LONGEST_WAIT)
    }
}

async fn questions(
    State(state): State<WebState>,
    Path(worker): Path<WorkerId>,
    Query(wait): Query<Wait>,
) -> Answer<Answered<Questions>> {
    Ok(Answered(state.control.questions(worker, wait.duration()).await?))
}

async fn answers(
    State(state): State<WebState>,
    Path(worker): Path<WorkerId>,
    Json(body): Json<WorkerAnswer>,
) -> Answer<Answered<()>> {
    Ok(Answered(state.control.answer(worker, body).await?))
}

async fn claim(State(state): State<WebState>, Json(body): Json<Claim>) -> Answer<Answered<Option<Claimed>>> {
    Ok(Answered(state.control.claim(body).await?))
}

async fn heartbeat(
    State(state): State<WebState>,
    Path(run): Path<RunId>,
    Json(body): Json<Heartbeat>,
) -> Answer<Answered<HeartbeatAnswer>> {
    Ok(Answered(state.control.heartbeat(run, body).await?))
}

async fn events(
    State(state): State<WebState>,
    Path(run): Path<RunId>,
    Json(body): Json<Events>,
) -> Answer<Answered<()>> {
    Ok(Answered(state.control.append_events(run, body).await?))
}

async fn record(
    State(state): State<WebState>,
    Path(run): Path<RunId>,
    Json(body): Json<Report>,
) -> Answer<Answered<Recorded>> {
    Ok(Answered(state.control.record(run, body).await?))
}

async fn finish(
    State(state): State<WebState>,
    Path(run): Path<RunId>,
    Json(body): Json<Finish>,
) -> Answer<Answered<()>> {
    Ok(Answered(state.control.finish(run, body).await?))
}

async fn routes(State(state): State<WebState>, Query(wait): Query<Wait>) -> Answer<Answered<Routes>> {
    Ok(Answered(state.control.routes(wait.after.as_deref(), wait.duration()).await?))
}

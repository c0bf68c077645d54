//! `/internal`: what worker and router say, with the platform's own key. One
//! operation of control each; `protocol::internal` says what they mean.

use std::time::Duration;

use axum::extract::{DefaultBodyLimit, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json as Answered, Router};
use control::Control;
use model::{RunId, TenantId, WorkerId};
use protocol::client::WORKER;
use protocol::internal::{
    Answer as WorkerAnswer, Assignments, Claim, Claimed, Events, Finish, Heartbeat, HeartbeatAnswer,
    Heartbeats, HeartbeatsAnswer, ManyEvents, ManyFinishes, Observed, Peeks, PeeksAnswer, Questions,
    Recorded, Register, Registered, Report, Routes, Stale, TenantSecrets,
};
use serde::Deserialize;

use crate::WebState;
use crate::extract::{Json, Path, Query, from_platform, peer};
use crate::failure::{Answer, Failure};
use crate::limit::Who;

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
        .route("/workers/{worker}/peeks", post(keep_peeks))
        .route("/workers/{worker}/questions", get(questions))
        .route("/workers/{worker}/answers", post(answers))
        .route("/runs/claim", post(claim))
        .route("/runs/heartbeat", post(heartbeats))
        .route("/runs/events", post(many_events))
        .route("/runs/finish", post(finish_many))
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
        state.limiter.take(Who::at(peer(&parts)))?;
        return Err(Failure::unauthenticated("the platform key is missing or wrong")
            .hint("Workers and routers read it from secrets/platform.key in the data folder."));
    }
    Ok(next.run(Request::from_parts(parts, body)).await)
}

/// Control, bound to the worker that speaks.
struct Reporting(Control);

impl FromRequestParts<WebState> for Reporting {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, Failure> {
        let said = parts.headers.get(WORKER).and_then(|id| id.to_str().ok());
        let worker = said.and_then(|id| id.parse::<WorkerId>().ok()).ok_or_else(|| {
            Failure::invalid(format!("the header {WORKER} names no worker"))
                .hint("A worker sends the id that it was given when it registered.")
        })?;
        Ok(Self(state.control.as_worker(worker)))
    }
}

async fn register(State(state): State<WebState>, Json(body): Json<Register>) -> Answer<Answered<Registered>> {
    Ok(Answered(state.control.register_worker(body).await?))
}

async fn assignments(
    Reporting(control): Reporting,
    Path(worker): Path<WorkerId>,
) -> Answer<Answered<Assignments>> {
    Ok(Answered(control.assignments(worker).await?))
}

async fn tenant_secrets(
    Reporting(control): Reporting,
    Path((worker, tenant)): Path<(WorkerId, TenantId)>,
) -> Answer<Answered<TenantSecrets>> {
    Ok(Answered(control.tenant_secrets(worker, tenant).await?))
}

async fn observed(
    Reporting(control): Reporting,
    Path(worker): Path<WorkerId>,
    Json(body): Json<Observed>,
) -> Answer<Answered<()>> {
    Ok(Answered(control.observed(worker, body).await?))
}

async fn keep_peeks(
    Reporting(control): Reporting,
    Path(worker): Path<WorkerId>,
    Json(body): Json<Peeks>,
) -> Answer<Answered<PeeksAnswer>> {
    Ok(Answered(control.keep_peeks(worker, body).await?))
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
    Reporting(control): Reporting,
    Path(worker): Path<WorkerId>,
    Query(wait): Query<Wait>,
) -> Answer<Answered<Questions>> {
    Ok(Answered(control.questions(worker, wait.duration()).await?))
}

async fn answers(
    Reporting(control): Reporting,
    Path(worker): Path<WorkerId>,
    Json(body): Json<WorkerAnswer>,
) -> Answer<Answered<()>> {
    Ok(Answered(control.answer(worker, body).await?))
}

async fn claim(Reporting(control): Reporting, Json(body): Json<Claim>) -> Answer<Answered<Vec<Claimed>>> {
    Ok(Answered(control.claim(body).await?))
}

async fn heartbeats(
    Reporting(control): Reporting,
    Json(body): Json<Heartbeats>,
) -> Answer<Answered<HeartbeatsAnswer>> {
    Ok(Answered(control.heartbeats(body).await?))
}

async fn many_events(Reporting(control): Reporting, Json(body): Json<ManyEvents>) -> Answer<Answered<Stale>> {
    Ok(Answered(control.append_many_events(body).await?))
}

async fn finish_many(
    Reporting(control): Reporting,
    Json(body): Json<ManyFinishes>,
) -> Answer<Answered<Stale>> {
    Ok(Answered(control.finish_many(body).await?))
}

async fn heartbeat(
    Reporting(control): Reporting,
    Path(run): Path<RunId>,
    Json(body): Json<Heartbeat>,
) -> Answer<Answered<HeartbeatAnswer>> {
    Ok(Answered(control.heartbeat(run, body).await?))
}

async fn events(
    Reporting(control): Reporting,
    Path(run): Path<RunId>,
    Json(body): Json<Events>,
) -> Answer<Answered<()>> {
    Ok(Answered(control.append_events(run, body).await?))
}

async fn record(
    Reporting(control): Reporting,
    Path(run): Path<RunId>,
    Json(body): Json<Report>,
) -> Answer<Answered<Recorded>> {
    Ok(Answered(control.record(run, body).await?))
}

async fn finish(
    Reporting(control): Reporting,
    Path(run): Path<RunId>,
    Json(body): Json<Finish>,
) -> Answer<Answered<()>> {
    Ok(Answered(control.finish(run, body).await?))
}

async fn routes(State(state): State<WebState>, Query(wait): Query<Wait>) -> Answer<Answered<Routes>> {
    Ok(Answered(state.control.routes(wait.after.as_deref(), wait.duration()).await?))
}

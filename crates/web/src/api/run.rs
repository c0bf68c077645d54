use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::Event;
use axum::{Extension, Json as Answered};
use control::RunFilter;
use model::RunId;
use model::run::{RunKind, RunState};
use protocol::api::{NewRuns, Page, QueuedRuns, Run, RunEvent, StreamEvent};
use protocol::schema::one_of;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::Refused;
use super::list::Cut;
use crate::extract::{Acting, Asks, Json, Path, Query};
use crate::failure::Answer;
use crate::live::{self, After, Closing, Look};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only this tenant's: its name or id.
    #[param(pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    pub tenant: Option<String>,
    /// Only this project's: its name or id.
    #[param(pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    pub project: Option<String>,
    /// Only those in this state.
    #[param(schema_with = one_of::<RunState>)]
    pub state: Option<RunState>,
    /// Only those of this kind.
    #[param(schema_with = one_of::<RunKind>)]
    pub kind: Option<RunKind>,
}

/// Runs, newest first.
#[utoipa::path(get, path = "/api/v1/runs", tag = "runs", operation_id = "list_runs",
    params(Filter, Cut), responses((status = 200, body = Page<Run>), Refused))]
pub async fn list(
    Acting(control): Acting,
    Query(filter): Query<Filter>,
    Query(cut): Query<Cut>,
) -> Answer<Answered<Page<Run>>> {
    let Filter { tenant, project, state, kind } = filter;
    let filter = RunFilter { project, tenant, kind, state, slice: cut.slice()? };
    Ok(Answered(control.runs(&filter).await?))
}

/// Queue runs: all that are asked for, or none. A key in the header stands for
/// all of them; each may have one of its own.
#[utoipa::path(post, path = "/api/v1/runs", tag = "runs", operation_id = "queue_runs",
    params(("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,200}$",
        description = "Sent twice with it, it is carried out once")),
    request_body = NewRuns, responses((status = 200, body = QueuedRuns), Refused))]
pub async fn queue(
    Acting(control): Acting,
    Asks(asked): Asks,
    Json(new): Json<NewRuns>,
) -> Answer<Answered<QueuedRuns>> {
    Ok(Answered(control.queue_runs(&asked, new).await?))
}

/// One run.
#[utoipa::path(get, path = "/api/v1/runs/{run}", tag = "runs", operation_id = "get_run",
    params(("run" = Uuid, Path)), responses((status = 200, body = Run), Refused))]
pub async fn get(Acting(control): Acting, Path(run): Path<RunId>) -> Answer<Answered<Run>> {
    Ok(Answered(control.run(run).await?))
}

/// At most 1,000 of a run's events, in order.
#[utoipa::path(get, path = "/api/v1/runs/{run}/events", tag = "runs", operation_id = "list_run_events",
    params(("run" = Uuid, Path), ("after" = Option<i64>, Query, minimum = 0, description = "Only events with a greater id")),
    responses((status = 200, body = Page<RunEvent>), Refused))]
pub async fn events(
    Acting(control): Acting,
    Path(run): Path<RunId>,
    Query(after): Query<After>,
) -> Answer<Answered<Page<RunEvent>>> {
    let items = control.run_events(run, after.known()?).await?;
    let next = items.get(999).map(|event| event.id.to_string());
    Ok(Answered(Page { items, next }))
}

/// Follow a run, as server-sent events: `event` (a RunEvent, with its id),
/// `run` (the Run, when its state has changed) and, when it has ended and all
/// its events are told, `end` (the Run). `Last-Event-ID` goes on after an event.
#[utoipa::path(get, path = "/api/v1/runs/{run}/stream", tag = "runs", operation_id = "stream_run",
    params(("run" = Uuid, Path), ("after" = Option<i64>, Query, minimum = 0, description = "Only events with a greater id"),
        ("Last-Event-ID" = Option<i64>, Header, minimum = 0, description = "The same, as browsers say it")),
    responses((status = 200, content_type = "text/event-stream", body = StreamEvent), Refused))]
pub async fn stream(
    Acting(control): Acting,
    Path(run): Path<RunId>,
    Query(after): Query<After>,
    headers: HeaderMap,
    closing: Option<Extension<Closing>>,
) -> Answer<impl IntoResponse> {
    let after = after.or_header(&headers)?;
    // A run that does not exist is a problem, not an empty stream.
    control.run(run).await?;
    let mut seen = None;
    let write = move |look: Look| {
        let mut told: Vec<Event> =
            look.events.iter().map(|event| json("event", event).id(event.id.to_string())).collect();
        if seen.replace(look.run.state) != Some(look.run.state) {
            told.push(json("run", &look.run));
        }
        if look.last {
            told.push(json("end", &look.run));
        }
        told
    };
    Ok(live::run(control, run, after, closing, None, write))
}

fn json(name: &str, data: &impl Serialize) -> Event {
    let data = serde_json::to_string(data).expect("an API type is representable as JSON");
    Event::default().event(name).data(data)
}

/// Ask for a run to end; a running one ends when its worker has stopped.
#[utoipa::path(post, path = "/api/v1/runs/{run}/cancel", tag = "runs", operation_id = "cancel_run",
    params(("run" = Uuid, Path)), responses((status = 200, body = Run), Refused))]
pub async fn cancel(Acting(control): Acting, Path(run): Path<RunId>) -> Answer<Answered<Run>> {
    Ok(Answered(control.cancel_run(run).await?))
}

/// Queue a failed, cancelled or dead run again.
#[utoipa::path(post, path = "/api/v1/runs/{run}/retry", tag = "runs", operation_id = "retry_run",
    params(("run" = Uuid, Path)), responses((status = 200, body = Run), Refused))]
pub async fn retry(Acting(control): Acting, Path(run): Path<RunId>) -> Answer<Answered<Run>> {
    Ok(Answered(control.retry_run(run).await?))
}

use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::Event;
use axum::{Extension, Json as Answered};
use control::RunFilter;
use model::RunId;
use model::run::RunState;
use protocol::api::{Page, Run, RunEvent, StreamEvent};
use protocol::schema::one_of;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::Refused;
use crate::extract::{Acting, Path, Query};
use crate::failure::{Answer, Failure};
use crate::live::{self, After, Closing, Look};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only this tenant's: its name or id.
    #[param(pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    pub tenant: Option<String>,
    /// Only those in this state.
    #[param(schema_with = one_of::<RunState>)]
    pub state: Option<RunState>,
    /// At most this many, 1 to 1,000.
    #[serde(default = "hundred")]
    #[param(value_type = Option<u32>, default = 100, minimum = 1, maximum = 1000)]
    pub limit: u32,
}

fn hundred() -> u32 {
    100
}

/// Runs, newest first.
#[utoipa::path(get, path = "/api/v1/runs", tag = "runs", operation_id = "list_runs",
    params(Filter), responses((status = 200, body = Page<Run>), Refused))]
pub async fn list(Acting(control): Acting, Query(filter): Query<Filter>) -> Answer<Answered<Page<Run>>> {
    if !(1..=1000).contains(&filter.limit) {
        return Err(Failure::invalid(format!("the limit is {}, not 1 to 1000", filter.limit)));
    }
    let filter = RunFilter { tenant: filter.tenant, state: filter.state, limit: filter.limit };
    Ok(Answered(Page { items: control.runs(&filter).await?, next: None }))
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

/// Queue a failed or cancelled run again.
#[utoipa::path(post, path = "/api/v1/runs/{run}/retry", tag = "runs", operation_id = "retry_run",
    params(("run" = Uuid, Path)), responses((status = 200, body = Run), Refused))]
pub async fn retry(Acting(control): Acting, Path(run): Path<RunId>) -> Answer<Answered<Run>> {
    Ok(Answered(control.retry_run(run).await?))
}

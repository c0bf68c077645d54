//! Runs, and one run with its live log.

use askama::Template;
use axum::Extension;
use axum::http::HeaderMap;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Redirect, Response};
use control::RunFilter;
use model::RunId;
use model::run::RunState;
use protocol::api::{Run, RunEvent};
use serde::Deserialize;

use super::session::{Bound, Posted, Turned, Visitor};
use super::{Frame, Notice, html, html_with, show};
use crate::WebState;
use crate::extract::{Path, Query};
use crate::failure::{Answer, Failure};
use crate::live::{self, After, Closing, Look};

#[derive(Template)]
#[template(path = "runs.html", blocks = ["runs"])]
struct RunsPage {
    frame: Frame,
    runs: Vec<Run>,
    only: Option<RunState>,
}

impl RunsPage {
    async fn load(state: &WebState, frame: Frame, only: Option<RunState>) -> Answer<Self> {
        let filter = RunFilter { state: only, ..RunFilter::default() };
        Ok(Self { frame, runs: state.control.runs(&filter).await?.items, only })
    }

    fn tabs(&self) -> impl Iterator<Item = (String, &'static str, bool)> {
        let named = [
            (None, "All"),
            (Some(RunState::Running), "Running"),
            (Some(RunState::Queued), "Queued"),
            (Some(RunState::Waiting), "Waiting"),
            (Some(RunState::Succeeded), "Succeeded"),
            (Some(RunState::Failed), "Failed"),
            (Some(RunState::Cancelled), "Cancelled"),
            (Some(RunState::Dead), "Dead"),
        ];
        let only = self.only;
        named.into_iter().map(move |(state, name)| {
            let address = state.map_or_else(|| "/runs".to_owned(), |state| format!("/runs?state={state}"));
            (address, name, state == only)
        })
    }
}

#[derive(Deserialize)]
pub(crate) struct Only {
    state: Option<RunState>,
}

/// `GET /runs`
pub(crate) async fn list(
    Bound(state): Bound,
    visitor: Visitor,
    Query(only): Query<Only>,
) -> Answer<Response> {
    html(&RunsPage::load(&state, visitor.frame("/runs"), only.state).await?)
}

/// `GET /live/runs`
pub(crate) async fn live_list(
    Bound(state): Bound,
    visitor: Visitor,
    Query(only): Query<Only>,
    closing: Option<Extension<Closing>>,
) -> impl IntoResponse {
    let frame = visitor.frame("/runs");
    live::page(closing, move || {
        let (state, frame, only) = (state.clone(), frame.clone(), only.state);
        async move {
            let page = RunsPage::load(&state, frame, only).await?;
            Ok(vec![("runs", page.as_runs().render()?)])
        }
    })
}

#[derive(Template)]
#[template(path = "run.html", blocks = ["summary", "lines"])]
struct RunPage {
    frame: Frame,
    run: Run,
    /// Those to write now; a live page appends the others.
    events: Vec<RunEvent>,
    notice: Option<Notice>,
}

impl RunPage {
    fn last(&self) -> i64 {
        self.events.last().map_or(0, |event| event.id)
    }

    fn may_cancel(&self) -> bool {
        !self.run.state.ended()
    }

    fn may_retry(&self) -> bool {
        self.run.state.may_be_retried()
    }
}

async fn load(state: &WebState, frame: Frame, id: RunId, notice: Option<Notice>) -> Answer<RunPage> {
    let run = state.control.run(id).await?;
    let events = state.control.run_events(id, 0).await?;
    Ok(RunPage { frame, run, events, notice })
}

/// `GET /runs/{run}`
pub(crate) async fn page(Bound(state): Bound, visitor: Visitor, Path(id): Path<RunId>) -> Answer<Response> {
    html(&load(&state, visitor.frame("/runs"), id, None).await?)
}

/// `GET /live/runs/{run}`: `log` appends lines, `summary` replaces the head.
pub(crate) async fn live(
    Bound(state): Bound,
    visitor: Visitor,
    Path(id): Path<RunId>,
    Query(after): Query<After>,
    headers: HeaderMap,
    closing: Option<Extension<Closing>>,
) -> Answer<impl IntoResponse> {
    let after = after.or_header(&headers)?;
    state.control.run(id).await?;
    let frame = visitor.frame("/runs");
    let mut told = String::new();
    let write = move |Look { run, events, last }: Look| {
        let page = RunPage { frame: frame.clone(), run, events, notice: None };
        let mut parts = Vec::new();
        let rendered = page.as_lines().render().and_then(|lines| Ok((lines, page.as_summary().render()?)));
        match rendered {
            Ok((lines, summary)) => {
                if !page.events.is_empty() {
                    parts.push(Event::default().event("log").id(page.last().to_string()).data(lines));
                }
                if summary != told {
                    parts.push(Event::default().event("summary").data(&summary));
                    told = summary;
                }
            }
            Err(error) => tracing::error!(%error, "write a run's live page"),
        }
        if last {
            parts.push(Event::default().event("end").data("ended"));
        }
        parts
    };
    Ok(live::run(state.control, id, after, closing, Some(live::SESSION_CHECK), write))
}

#[derive(Deserialize)]
pub(crate) struct Nothing {}

/// `POST /runs/{run}/cancel`
pub(crate) async fn cancel(
    Bound(state): Bound,
    Path(id): Path<RunId>,
    posted: Posted<Nothing>,
) -> Result<Response, Turned> {
    let changed = state.control.cancel_run(id).await;
    after_change(state, id, posted, changed).await
}

/// `POST /runs/{run}/retry`
pub(crate) async fn retry(
    Bound(state): Bound,
    Path(id): Path<RunId>,
    posted: Posted<Nothing>,
) -> Result<Response, Turned> {
    let changed = state.control.retry_run(id).await;
    after_change(state, id, posted, changed).await
}

async fn after_change(
    state: WebState,
    id: RunId,
    posted: Posted<Nothing>,
    changed: control::Result<Run>,
) -> Result<Response, Turned> {
    let Err(error) = changed else {
        return Ok(Redirect::to(&format!("/runs/{id}")).into_response());
    };
    let (status, notice) = Notice::of(Failure::from(error))?;
    let frame = Frame::new(&posted.session, "/runs");
    Ok(html_with(status, &load(&state, frame, id, Some(notice)).await?)?)
}

//! Runs, and one run with its live log.

use askama::Template;
use axum::Extension;
use axum::http::HeaderMap;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Redirect, Response};
use control::RunFilter;
use model::RunId;
use model::run::{self, RunKind, RunState};
use protocol::api::{Approval, Run, RunEvent};
use serde::Deserialize;
use uuid::Uuid;

use super::list::{address, piece};
use super::session::{Bound, Nothing, Posted, Turned, Visitor};
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
    /// Among all: those that were given up, at most so many as a page has.
    dead: usize,
    /// Not the newest; those are not kept fresh.
    later: bool,
    older: Option<String>,
}

impl RunsPage {
    async fn load(state: &WebState, frame: Frame, only: Only) -> Answer<Self> {
        let Only { state: only, after } = only;
        let filter = RunFilter { state: only, slice: piece(after.as_deref())?, ..RunFilter::default() };
        let page = state.control.runs(&filter).await?;
        let word = only.map_or("", RunState::as_str);
        let older = page.next.map(|next| address("/runs", &[("state", word), ("after", &next)]));
        let later = after.is_some();
        let dead = match (only, later) {
            (None, false) => {
                let dead =
                    RunFilter { state: Some(RunState::Dead), slice: piece(None)?, ..RunFilter::default() };
                state.control.runs(&dead).await?.items.len()
            }
            _ => 0,
        };
        Ok(Self { frame, runs: page.items, only, dead, later, older })
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

#[derive(Clone, Deserialize)]
pub(crate) struct Only {
    state: Option<RunState>,
    after: Option<String>,
}

/// `GET /runs`
pub(crate) async fn list(
    Bound(state): Bound,
    visitor: Visitor,
    Query(only): Query<Only>,
) -> Answer<Response> {
    html(&RunsPage::load(&state, visitor.frame("/runs"), only).await?)
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
        let (state, frame, only) = (state.clone(), frame.clone(), only.clone());
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
    around: Around,
    notice: Option<Notice>,
}

/// What is known of a run from elsewhere. It changes little while one looks.
#[derive(Clone)]
struct Around {
    /// Whom it waits for.
    approval: Option<Approval>,
    /// The runs that it waits for, or waited for.
    after: Vec<Uuid>,
    may_steer: bool,
}

impl Around {
    async fn look(state: &WebState, run: &Run) -> Answer<Self> {
        let control = &state.control;
        let approval = match run.approval {
            run::Approval::Pending => match control.approval_of_run(RunId(run.id)).await {
                Ok(approval) => Some(approval),
                Err(control::Error::Refused(_)) => None,
                Err(error) => return Err(error.into()),
            },
            _ => None,
        };
        Ok(Self { approval, after: run.after.clone(), may_steer: control.may_steer(run).await? })
    }
}

impl RunPage {
    fn last(&self) -> i64 {
        self.events.last().map_or(0, |event| event.id)
    }

    fn may_cancel(&self) -> bool {
        self.around.may_steer && !self.run.state.ended()
    }

    fn may_retry(&self) -> bool {
        // Of these, another is asked for: their names and plans are used up.
        let once = matches!(self.run.kind, RunKind::Snapshot | RunKind::PlanRestore);
        self.around.may_steer && !once && self.run.state.may_be_retried()
    }

    fn waits_for_approval(&self) -> bool {
        self.run.state == RunState::Waiting && self.run.approval == run::Approval::Pending
    }
}

async fn load(state: &WebState, frame: Frame, id: RunId, notice: Option<Notice>) -> Answer<RunPage> {
    let run = state.control.run(id).await?;
    let events = state.control.run_events(id, 0).await?;
    let around = Around::look(state, &run).await?;
    Ok(RunPage { frame, run, events, around, notice })
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
    let around = Around::look(&state, &state.control.run(id).await?).await?;
    let frame = visitor.frame("/runs");
    let mut told = String::new();
    let write = move |Look { run, events, last }: Look| {
        let page = RunPage { frame: frame.clone(), run, events, around: around.clone(), notice: None };
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
    let frame = posted.frame("/runs");
    Ok(html_with(status, &load(&state, frame, id, Some(notice)).await?)?)
}

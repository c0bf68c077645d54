//! Schedules, and the windows in which what disturbs people may be done.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use control::Slice;
use model::access::Permission;
use model::schedule::CatchUp;
use protocol::api::{ChangeSchedule, MaintenanceWindow, Schedule, ScheduledTime};
use serde::Deserialize;

use super::list::{Of, address, piece, projects};
use super::session::{Bound, Posted, Turned, Visitor};
use super::{Frame, Notice, asked, html, html_with, once, show};
use crate::WebState;
use crate::extract::{Path, Query};
use crate::failure::{Answer, Failure};

/// So many coming times are shown.
const TIMES: u32 = 10;

#[derive(Template)]
#[template(path = "schedules.html")]
struct SchedulesPage {
    frame: Frame,
    projects: Vec<String>,
    project: String,
    schedules: Vec<Schedule>,
    next: Option<String>,
    windows: Vec<MaintenanceWindow>,
}

impl SchedulesPage {
    fn filter_action(&self) -> &'static str {
        "/schedules"
    }
}

/// `GET /schedules`
pub(crate) async fn list(Bound(state): Bound, visitor: Visitor, Query(of): Query<Of>) -> Answer<Response> {
    let control = &state.control;
    let page = control.schedules(of.project(), &piece(of.after.as_deref())?).await?;
    let windows = control.maintenance_windows(of.project(), &Slice::first()).await?.items;
    let next = page.next.map(|next| address("/schedules", &[("project", &of.project), ("after", &next)]));
    let (frame, projects) = (visitor.frame("/schedules"), projects(control).await?);
    html(&SchedulesPage { frame, projects, project: of.project, schedules: page.items, next, windows })
}

/// What a schedule is about.
fn whereof(schedule: &Schedule) -> String {
    match (&schedule.tenant, &schedule.environment) {
        (Some(tenant), _) => tenant.clone(),
        (None, Some(environment)) => format!("{}/{environment}", schedule.project),
        (None, None) => schedule.project.clone(),
    }
}

/// What the clocks of its zone show: `2026-11-22 02:30:00+01:00`.
fn clock(time: &ScheduledTime) -> String {
    time.local.replacen('T', " ", 1)
}

#[derive(Template)]
#[template(path = "schedule.html")]
struct SchedulePage {
    frame: Frame,
    once: String,
    schedule: Schedule,
    times: Vec<ScheduledTime>,
    may_switch: bool,
    may_run: bool,
    /// What came of running it now.
    ran: Option<String>,
    notice: Option<Notice>,
}

impl SchedulePage {
    async fn load(
        state: &WebState,
        frame: Frame,
        name: &str,
        ran: Option<String>,
        notice: Option<Notice>,
    ) -> Answer<Self> {
        let control = &state.control;
        let schedule = control.schedule(name).await?;
        let times = control.schedule_times(name, TIMES).await?;
        let may_switch = control.may(&schedule.project, Permission::Administer).await?;
        let may_run = match &schedule.environment {
            Some(environment) => {
                control.may_in(&format!("{}/{environment}", schedule.project), Permission::Test).await?
            }
            None => control.may(&schedule.project, Permission::Operate).await?,
        };
        Ok(Self { frame, once: once(), schedule, times, may_switch, may_run, ran, notice })
    }

    fn path(&self) -> String {
        format!("/schedules/{}/{}", self.schedule.project, self.schedule.name)
    }
}

/// `GET /schedules/{project}/{schedule}`
pub(crate) async fn page(
    Bound(state): Bound,
    visitor: Visitor,
    Path((project, name)): Path<(String, String)>,
) -> Answer<Response> {
    let frame = visitor.frame("/schedules");
    html(&SchedulePage::load(&state, frame, &format!("{project}/{name}"), None, None).await?)
}

async fn refused(state: &WebState, frame: Frame, name: &str, failure: Failure) -> Result<Response, Turned> {
    let (status, notice) = Notice::of(failure)?;
    Ok(html_with(status, &SchedulePage::load(state, frame, name, None, Some(notice)).await?)?)
}

#[derive(Deserialize)]
pub(crate) struct Switched {
    /// `on` or `off`
    to: String,
    version: String,
}

/// `POST /schedules/{project}/{schedule}/switch`
pub(crate) async fn switch(
    Bound(state): Bound,
    Path((project, name)): Path<(String, String)>,
    posted: Posted<Switched>,
) -> Result<Response, Turned> {
    let version = super::version(&posted.form.version)?;
    let name = format!("{project}/{name}");
    let change = ChangeSchedule { enabled: Some(posted.form.to == "on"), ..Default::default() };
    match state.control.change_schedule(&name, Some(version), change).await {
        Ok(_) => Ok(Redirect::to(&format!("/schedules/{name}")).into_response()),
        Err(error) => refused(&state, posted.frame("/schedules"), &name, error.into()).await,
    }
}

#[derive(Deserialize)]
pub(crate) struct Now {
    once: String,
}

/// `POST /schedules/{project}/{schedule}/run`
pub(crate) async fn run(
    Bound(state): Bound,
    Path((project, name)): Path<(String, String)>,
    posted: Posted<Now>,
) -> Result<Response, Turned> {
    let name = format!("{project}/{name}");
    let frame = posted.frame("/schedules");
    match state.control.run_schedule(&asked(&posted.session, &posted.form.once), &name).await {
        Ok(ran) => match ran.runs.as_slice() {
            [run] => Ok(Redirect::to(&format!("/runs/{run}")).into_response()),
            _ => {
                let page = SchedulePage::load(&state, frame, &name, Some(ran.note), None).await?;
                Ok(html_with(StatusCode::OK, &page)?)
            }
        },
        Err(error) => refused(&state, frame, &name, error.into()).await,
    }
}

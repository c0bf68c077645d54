//! Restores: the form, the plan that reads like the act, the act.

use askama::Template;
use axum::Extension;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use control::Slice;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use model::restore::RestoreState;
use model::snapshot::SnapshotState;
use model::{RestoreId, RunId};
use protocol::api::{NewRestore, Restore, Run, RunEvent, Snapshot, Tenant};
use serde::Deserialize;

use super::session::{Bound, Posted, Turned, Visitor};
use super::{Frame, Notice, asked, html, html_with, once, show};
use crate::WebState;
use crate::extract::{Path, Query};
use crate::failure::{Answer, Failure};
use crate::live::{self, Closing};

#[derive(Template)]
#[template(path = "restore_new.html")]
struct FormPage {
    frame: Frame,
    once: String,
    tenant: Tenant,
    /// Those that can be restored to, newest first.
    snapshots: Vec<Snapshot>,
    form: NewRestoreForm,
    now: Timestamp,
    notice: Option<Notice>,
}

impl FormPage {
    async fn load(
        state: &WebState,
        frame: Frame,
        name: &str,
        form: NewRestoreForm,
        notice: Option<Notice>,
    ) -> Answer<Self> {
        let tenant = state.control.tenant(name).await?;
        let mut snapshots = state.control.snapshots(name, &Slice::first()).await?.items;
        snapshots.retain(|snapshot| snapshot.state == SnapshotState::Ready);
        Ok(Self { frame, once: once(), tenant, snapshots, form, now: Timestamp::now(), notice })
    }

    fn by_time(&self) -> bool {
        self.form.by == "time" || (self.form.by.is_empty() && self.snapshots.is_empty())
    }

    /// The form's moment, or half a minute ago if there was something then. The
    /// field has no bounds: a browser would refuse the form for them even
    /// where a snapshot is chosen.
    fn at(&self) -> String {
        if !self.form.at.is_empty() {
            return self.form.at.clone();
        }
        let recent = self.now - jiff::SignedDuration::from_secs(30);
        let first = self.tenant.restorable_from.map(|from| from + jiff::SignedDuration::from_secs(1));
        picker(&first.map_or(recent, |first| first.max(recent)))
    }
}

/// As a browser's picker of a date and time has it.
fn picker(at: &Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct NewRestoreForm {
    #[serde(default)]
    once: String,
    /// `snapshot` or `time`
    #[serde(default)]
    by: String,
    #[serde(default)]
    snapshot: String,
    /// In UTC, as a browser's picker writes it.
    #[serde(default)]
    at: String,
}

impl NewRestoreForm {
    fn target(&self) -> Answer<NewRestore> {
        if self.by == "time" {
            let at = self.at.parse::<DateTime>().and_then(|at| at.to_zoned(TimeZone::UTC)).map_err(|_| {
                Failure::invalid("the moment is no date and time").hint("Write it as 2026-11-21T11:35:51.")
            })?;
            return Ok(NewRestore { snapshot: None, at: Some(at.timestamp()) });
        }
        if self.snapshot.is_empty() {
            return Err(Failure::invalid("no snapshot was chosen").hint("Choose one, or a moment in time."));
        }
        Ok(NewRestore { snapshot: Some(self.snapshot.clone()), at: None })
    }
}

#[derive(Deserialize)]
pub(crate) struct Preselected {
    snapshot: Option<String>,
}

/// `GET /tenants/{tenant}/restore`
pub(crate) async fn form(
    Bound(state): Bound,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(preselected): Query<Preselected>,
) -> Answer<Response> {
    let form = NewRestoreForm { snapshot: preselected.snapshot.unwrap_or_default(), ..Default::default() };
    html(&FormPage::load(&state, visitor.frame("/tenants"), &name, form, None).await?)
}

/// `POST /tenants/{tenant}/restore`: asks for a plan.
pub(crate) async fn create(
    Bound(state): Bound,
    Path(name): Path<String>,
    posted: Posted<NewRestoreForm>,
) -> Result<Response, Turned> {
    let asked = asked(&posted.session, &posted.form.once);
    let planned = match posted.form.target() {
        Ok(target) => state.control.create_restore(&asked, &name, target).await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    match planned {
        Ok(restore) => Ok(Redirect::to(&format!("/restores/{}", restore.id)).into_response()),
        Err(mut failure) => {
            // The tenant is found by the form below, or that fails.
            if failure.status == StatusCode::NOT_FOUND {
                failure.status = StatusCode::UNPROCESSABLE_ENTITY;
            }
            let (status, notice) = Notice::of(failure)?;
            let frame = posted.frame("/tenants");
            let page = FormPage::load(&state, frame, &name, posted.form, Some(notice)).await?;
            Ok(html_with(status, &page)?)
        }
    }
}

#[derive(Template)]
#[template(path = "restore.html", blocks = ["restore", "log"])]
struct RestorePage {
    frame: Frame,
    once: String,
    restore: Restore,
    run: Run,
    events: Vec<RunEvent>,
    notice: Option<Notice>,
}

impl RestorePage {
    async fn load(state: &WebState, frame: Frame, id: RestoreId, notice: Option<Notice>) -> Answer<Self> {
        let restore = state.control.restore(id).await?;
        let run = state.control.run(RunId(restore.run)).await?;
        let events = state.control.run_events(RunId(restore.run), 0).await?;
        Ok(Self { frame, once: once(), restore, run, events, notice })
    }

    /// `as it was at …` or `to the snapshot …`
    fn target(&self) -> String {
        match (&self.restore.snapshot, &self.restore.at) {
            (Some(snapshot), _) => format!("as the snapshot {snapshot} has it"),
            (None, Some(at)) => format!("as it was on {}", show::exact(at)),
            (None, None) => String::new(),
        }
    }

    fn planning(&self) -> bool {
        self.restore.state == RestoreState::Planning
    }

    fn planned(&self) -> bool {
        self.restore.state == RestoreState::Planned
    }

    fn succeeded(&self) -> bool {
        self.restore.state == RestoreState::Succeeded
    }

    fn failed(&self) -> bool {
        self.restore.state == RestoreState::Failed
    }
}

/// `GET /restores/{restore}`
pub(crate) async fn page(
    Bound(state): Bound,
    visitor: Visitor,
    Path(id): Path<RestoreId>,
) -> Answer<Response> {
    html(&RestorePage::load(&state, visitor.frame("/tenants"), id, None).await?)
}

/// `GET /live/restores/{restore}`
pub(crate) async fn live(
    Bound(state): Bound,
    visitor: Visitor,
    Path(id): Path<RestoreId>,
    closing: Option<Extension<Closing>>,
) -> impl IntoResponse {
    let (frame, once) = (visitor.frame("/tenants"), once());
    live::page(closing, move || {
        let (state, frame, once) = (state.clone(), frame.clone(), once.clone());
        async move {
            let page = RestorePage { once, ..RestorePage::load(&state, frame, id, None).await? };
            Ok(vec![("restore", page.as_restore().render()?), ("log", page.as_log().render()?)])
        }
    })
}

#[derive(Deserialize)]
pub(crate) struct Yes {
    once: String,
}

/// `POST /restores/{restore}/confirm`
pub(crate) async fn confirm(
    Bound(state): Bound,
    Path(id): Path<RestoreId>,
    posted: Posted<Yes>,
) -> Result<Response, Turned> {
    match state.control.confirm_restore(&asked(&posted.session, &posted.form.once), id).await {
        Ok(_) => Ok(Redirect::to(&format!("/restores/{id}")).into_response()),
        Err(error) => {
            let (status, notice) = Notice::of(error.into())?;
            let frame = posted.frame("/tenants");
            Ok(html_with(status, &RestorePage::load(&state, frame, id, Some(notice)).await?)?)
        }
    }
}

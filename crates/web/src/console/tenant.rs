//! One tenant.

use askama::Template;
use axum::Extension;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use control::{RunFilter, Slice};
use model::restore::RestoreState;
use model::snapshot::SnapshotState;
use model::tenant::TenantState;
use protocol::api::{NewSnapshot, Restore, Run, Snapshot, Tenant};
use protocol::internal::LogSource;
use serde::Deserialize;

use super::session::{Bound, Posted, Turned, Visitor};
use super::{Frame, Notice, asked, html, html_with, once, show, tenant_of};
use crate::WebState;
use crate::extract::{Path, Query};
use crate::failure::{Answer, Failure};
use crate::live::{self, Closing};

#[derive(Template)]
#[template(path = "tenant.html", blocks = ["summary", "snapshots", "runs"])]
struct TenantPage {
    frame: Frame,
    once: String,
    tenant: Tenant,
    snapshots: Vec<Snapshot>,
    runs: Vec<Run>,
    /// The newest restore, while it is not ended.
    restore: Option<Restore>,
    notice: Option<Notice>,
}

impl TenantPage {
    async fn load(state: &WebState, frame: Frame, name: &str, notice: Option<Notice>) -> Answer<Self> {
        let control = &state.control;
        let tenant = control.tenant(name).await?;
        let snapshots = control.snapshots(name, &Slice::default()).await?.items;
        let slice = Slice { after: None, limit: 8 };
        let filter = RunFilter { tenant: Some(name.to_owned()), slice, ..RunFilter::default() };
        let runs = control.runs(&filter).await?.items;
        let restore = control.restores(name, &Slice::default()).await?.items.into_iter().next();
        let restore = restore
            .filter(|restore| !matches!(restore.state, RestoreState::Succeeded | RestoreState::Failed));
        Ok(Self { frame, once: once(), tenant, snapshots, runs, restore, notice })
    }

    /// Its database is there and its history can be read.
    fn provisioned(&self) -> bool {
        self.tenant.lineage.is_some() && self.tenant.state != TenantState::Archived
    }

    fn active(&self) -> bool {
        self.tenant.state == TenantState::Active
    }

    fn suspended(&self) -> bool {
        self.tenant.state == TenantState::Suspended
    }

    fn may_archive(&self) -> bool {
        self.tenant.state.may_become(TenantState::Archived)
    }
}

fn restorable(snapshot: &Snapshot) -> bool {
    snapshot.state == SnapshotState::Ready
}

/// `GET /tenants/{tenant}`
pub(crate) async fn page(
    Bound(state): Bound,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Answer<Response> {
    html(&TenantPage::load(&state, visitor.frame("/tenants"), &name, None).await?)
}

/// `GET /live/tenants/{tenant}`
pub(crate) async fn live(
    Bound(state): Bound,
    visitor: Visitor,
    Path(name): Path<String>,
    closing: Option<Extension<Closing>>,
) -> impl IntoResponse {
    let frame = visitor.frame("/tenants");
    live::page(closing, move || {
        let (state, frame, name) = (state.clone(), frame.clone(), name.clone());
        async move {
            let page = TenantPage::load(&state, frame, &name, None).await?;
            Ok(vec![
                ("summary", page.as_summary().render()?),
                ("snapshots", page.as_snapshots().render()?),
                ("runs", page.as_runs().render()?),
            ])
        }
    })
}

/// Shows the tenant with what was refused above it.
async fn refused(
    state: &WebState,
    frame: Frame,
    name: &str,
    error: control::Error,
) -> Result<Response, Turned> {
    let (status, notice) = Notice::of(error.into())?;
    Ok(html_with(status, &TenantPage::load(state, frame, name, Some(notice)).await?)?)
}

fn back_to(name: &str) -> Response {
    Redirect::to(&format!("/tenants/{name}")).into_response()
}

#[derive(Deserialize)]
pub(crate) struct NewSnapshotForm {
    once: String,
    name: String,
}

/// `POST /tenants/{tenant}/snapshots`
pub(crate) async fn create_snapshot(
    Bound(state): Bound,
    Path(name): Path<String>,
    posted: Posted<NewSnapshotForm>,
) -> Result<Response, Turned> {
    let frame = posted.frame("/tenants");
    let wanted = Some(posted.form.name.trim().to_owned()).filter(|text| !text.is_empty());
    let new = NewSnapshot { name: wanted, kind: None, expires_at: None, ..Default::default() };
    let asked = asked(&posted.session, &posted.form.once);
    match state.control.create_snapshot(&asked, &name, new).await {
        Ok(snapshot) => Ok(back_to(&snapshot.tenant)),
        Err(error) => refused(&state, frame, &name, error).await,
    }
}

#[derive(Deserialize)]
pub(crate) struct Confirmed {
    /// The tenant's name once more, where that is asked for.
    #[serde(default)]
    name: String,
}

/// A question before something that visitors of the tenant will notice.
#[derive(Template)]
#[template(path = "tenant_confirm.html")]
struct ConfirmPage {
    frame: Frame,
    tenant: Tenant,
    /// `suspend` or `archive`
    verb: &'static str,
    notice: Option<Notice>,
}

/// `GET /tenants/{tenant}/suspend`
pub(crate) async fn suspend_form(
    Bound(state): Bound,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Answer<Response> {
    let tenant = tenant_of(&state, &name).await?;
    html(&ConfirmPage { frame: visitor.frame("/tenants"), tenant, verb: "suspend", notice: None })
}

/// `POST /tenants/{tenant}/suspend`
pub(crate) async fn suspend(
    Bound(state): Bound,
    Path(name): Path<String>,
    posted: Posted<Confirmed>,
) -> Result<Response, Turned> {
    match state.control.suspend_tenant(&name).await {
        Ok(tenant) => Ok(back_to(&tenant.name)),
        Err(error) => refused(&state, posted.frame("/tenants"), &name, error).await,
    }
}

/// `POST /tenants/{tenant}/resume`
pub(crate) async fn resume(
    Bound(state): Bound,
    Path(name): Path<String>,
    posted: Posted<Confirmed>,
) -> Result<Response, Turned> {
    match state.control.resume_tenant(&name).await {
        Ok(tenant) => Ok(back_to(&tenant.name)),
        Err(error) => refused(&state, posted.frame("/tenants"), &name, error).await,
    }
}

/// `GET /tenants/{tenant}/archive`
pub(crate) async fn archive_form(
    Bound(state): Bound,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Answer<Response> {
    let tenant = tenant_of(&state, &name).await?;
    html(&ConfirmPage { frame: visitor.frame("/tenants"), tenant, verb: "archive", notice: None })
}

/// `POST /tenants/{tenant}/archive`
pub(crate) async fn archive(
    Bound(state): Bound,
    Path(name): Path<String>,
    posted: Posted<Confirmed>,
) -> Result<Response, Turned> {
    match state.control.archive_tenant(&name, posted.form.name.trim()).await {
        Ok(tenant) => Ok(back_to(&tenant.name)),
        Err(error) => {
            let (status, notice) = Notice::of(error.into())?;
            let tenant = tenant_of(&state, &name).await?;
            let frame = posted.frame("/tenants");
            let page = ConfirmPage { frame, tenant, verb: "archive", notice: Some(notice) };
            Ok(html_with(status, &page)?)
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Tail {
    source: Option<LogSource>,
}

#[derive(Template)]
#[template(path = "tenant_log.html", blocks = ["tail"])]
struct LogPage {
    frame: Frame,
    tenant: Tenant,
    cluster: bool,
    /// Or why there are none.
    lines: Result<Vec<String>, Notice>,
}

impl LogPage {
    /// Each log's source, its name, and whether it is shown.
    fn sources(&self) -> [(&'static str, &'static str, bool); 2] {
        [("odoo", "Odoo", !self.cluster), ("cluster", "PostgreSQL", self.cluster)]
    }
}

/// `GET /tenants/{tenant}/log`: a page, or the part of one that asked for it.
pub(crate) async fn log(
    Bound(state): Bound,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(tail): Query<Tail>,
    headers: axum::http::HeaderMap,
) -> Answer<Response> {
    let tenant = tenant_of(&state, &name).await?;
    let source = tail.source.unwrap_or(LogSource::Odoo);
    let lines = match state.control.tenant_log(&name, source, 200).await {
        Ok(log) => Ok(log.lines),
        Err(error) => Err(Notice::of(Failure::from(error))?.1),
    };
    let frame = visitor.frame("/tenants");
    let page = LogPage { frame, tenant, cluster: source == LogSource::Cluster, lines };
    let part = headers.contains_key("hx-request") && !headers.contains_key("hx-boosted");
    if part { html_with(StatusCode::OK, &page.as_tail()) } else { html(&page) }
}

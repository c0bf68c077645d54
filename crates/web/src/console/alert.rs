//! Alerts: those that somebody should look at, and those that are over.

use std::collections::BTreeSet;

use askama::Template;
use axum::Extension;
use axum::response::{IntoResponse, Redirect, Response};
use control::Requester;
use model::AlertId;
use model::access::Permission;
use model::alert::{AlertKind, AlertState};
use protocol::api::Alert;
use serde::Deserialize;

use super::list::{address, piece};
use super::session::{Bound, Nothing, Posted, Turned, Visitor};
use super::{Frame, Notice, asked, html, html_with, show};
use crate::WebState;
use crate::extract::{Path, Query};
use crate::failure::Answer;
use crate::live::{self, Closing};

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Which {
    /// None: open ones, and those that somebody looks at.
    state: Option<AlertState>,
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "alerts.html", blocks = ["alerts"])]
struct AlertsPage {
    frame: Frame,
    which: Which,
    /// By their state, and where the older ones are.
    pieces: Vec<(AlertState, Vec<Alert>, Option<String>)>,
    /// Whose alerts the visitor may acknowledge.
    operates: BTreeSet<String>,
    operator: bool,
    visitor: String,
    notice: Option<Notice>,
}

impl AlertsPage {
    async fn load(
        state: &WebState,
        frame: Frame,
        who: Requester,
        which: Which,
        notice: Option<Notice>,
    ) -> Answer<Self> {
        let control = &state.control;
        let states = match which.state {
            Some(one) => vec![one],
            None => vec![AlertState::Open, AlertState::Acknowledged],
        };
        let mut pieces = Vec::new();
        for wanted in states {
            let page = control.alerts(Some(wanted), &piece(which.after.as_deref())?).await?;
            let older =
                page.next.map(|next| address("/alerts", &[("state", wanted.as_str()), ("after", &next)]));
            pieces.push((wanted, page.items, older));
        }
        let operates = control.projects_where(Permission::Operate).await?;
        let operator = control.is_operator().await?;
        Ok(Self { frame, which, pieces, operates, operator, visitor: who.to_string(), notice })
    }

    /// Nothing to look at.
    fn calm(&self) -> bool {
        self.which.after.is_none() && self.pieces.iter().all(|(_, alerts, _)| alerts.is_empty())
    }

    fn resolved(&self) -> bool {
        self.which.state == Some(AlertState::Resolved)
    }

    /// Only the first page is kept fresh: what is older does not come.
    fn live(&self) -> Option<String> {
        let state = self.which.state.map_or("", AlertState::as_str);
        self.which.after.is_none().then(|| address("/live/alerts", &[("state", state)]))
    }

    fn may_acknowledge(&self, alert: &Alert) -> bool {
        let operates = match &alert.project {
            Some(project) => self.operates.contains(project),
            None => self.operator,
        };
        alert.state == AlertState::Open && operates
    }

    fn by_visitor(&self, alert: &Alert) -> bool {
        alert.acknowledged_by.as_ref() == Some(&self.visitor)
    }
}

/// The page of what an alert is about.
fn subject(alert: &Alert) -> Option<(String, &'static str)> {
    let subject = &alert.subject;
    Some(match alert.kind {
        AlertKind::StaleRun | AlertKind::DeadRun => (format!("/runs/{subject}"), "The run"),
        AlertKind::ProductionRestore => (format!("/restores/{subject}"), "The restore"),
        AlertKind::BackupFailed | AlertKind::BackupOverdue | AlertKind::WalGrowth | AlertKind::WalLag => {
            (format!("/tenants/{subject}"), "The tenant")
        }
        AlertKind::QueueDepth => ("/runs?state=queued".into(), "The queue"),
        AlertKind::LostWorker | AlertKind::DiskFull => ("/status".into(), "The workers"),
        AlertKind::Connections | AlertKind::OldTransaction => return None,
    })
}

/// `GET /alerts`
pub(crate) async fn list(
    Bound(state): Bound,
    visitor: Visitor,
    Query(which): Query<Which>,
) -> Answer<Response> {
    let who = Requester::User(visitor.session.user);
    html(&AlertsPage::load(&state, visitor.frame("/alerts"), who, which, None).await?)
}

/// `GET /live/alerts`
pub(crate) async fn live(
    Bound(state): Bound,
    visitor: Visitor,
    Query(which): Query<Which>,
    closing: Option<Extension<Closing>>,
) -> impl IntoResponse {
    let (frame, who) = (visitor.frame("/alerts"), Requester::User(visitor.session.user));
    live::page(closing, move || {
        let (state, frame, which) = (state.clone(), frame.clone(), which.clone());
        async move {
            let page = AlertsPage::load(&state, frame, who, which, None).await?;
            Ok(vec![("alerts", page.as_alerts().render()?)])
        }
    })
}

/// `POST /alerts/{alert}/acknowledge`
pub(crate) async fn acknowledge(
    Bound(state): Bound,
    Path(id): Path<AlertId>,
    posted: Posted<Nothing>,
) -> Result<Response, Turned> {
    match state.control.acknowledge_alert(&asked(&posted.session, ""), id).await {
        Ok(_) => Ok(Redirect::to("/alerts").into_response()),
        Err(error) => {
            let (status, notice) = Notice::of(error.into())?;
            let (frame, who) = (posted.frame("/alerts"), Requester::User(posted.session.user));
            let page = AlertsPage::load(&state, frame, who, Which::default(), Some(notice)).await?;
            Ok(html_with(status, &page)?)
        }
    }
}

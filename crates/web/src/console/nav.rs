//! The navigation, and what in it asks for the visitor.

use askama::Template;
use axum::Extension;
use axum::response::IntoResponse;
use control::{ApprovalFilter, Control, Slice};
use model::alert::AlertState;
use model::policy::ApprovalState;

use super::Frame;
use super::session::{Bound, Visitor};
use crate::failure::Answer;
use crate::live::{self, Closing};

/// It stands on every page that is looked at, and is asked for by each.
const PACE: std::time::Duration = std::time::Duration::from_secs(5);

/// More are not counted.
const MOST: u32 = 99;

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    /// Open ones, which nobody has said that they look at.
    pub alerts: usize,
    /// Those that name the visitor among whom they wait for.
    pub approvals: usize,
}

impl Counts {
    pub async fn look(control: &Control, login: &str) -> Answer<Self> {
        let alerts = control.alerts(Some(AlertState::Open), &Slice { after: None, limit: MOST }).await?;
        let pending = ApprovalFilter { project: None, state: Some(ApprovalState::Pending) };
        let pending = control.approvals(&pending, &Slice { after: None, limit: MOST }).await?;
        let approvals =
            pending.items.iter().filter(|asked| asked.waits_for.iter().any(|one| one == login)).count();
        Ok(Self { alerts: alerts.items.len(), approvals })
    }
}

/// A part of the console in the navigation.
pub(crate) struct Section {
    pub path: &'static str,
    pub name: &'static str,
    pub current: bool,
    /// Its slot for the count, and the count.
    pub count: Option<(&'static str, Count)>,
}

#[derive(Template)]
#[template(path = "count.html")]
pub(crate) struct Count {
    n: usize,
    /// What they are: read out, not shown.
    what: &'static str,
}

impl Count {
    fn alerts(n: usize) -> Self {
        Self { n, what: "open" }
    }

    fn approvals(n: usize) -> Self {
        Self { n, what: "wait for you" }
    }
}

impl Frame {
    pub fn sections(&self) -> Vec<Section> {
        let named = [
            ("/tenants", "Tenants"),
            ("/runs", "Runs"),
            ("/approvals", "Approvals"),
            ("/schedules", "Schedules"),
            ("/alerts", "Alerts"),
            ("/members", "People"),
            ("/keys", "Keys"),
            ("/audit", "Audit"),
            ("/status", "Status"),
        ];
        let section = |(path, name)| Section {
            path,
            name,
            current: self.section == path,
            count: match path {
                "/alerts" => Some(("alerts", Count::alerts(self.counts.alerts))),
                "/approvals" => Some(("approvals", Count::approvals(self.counts.approvals))),
                _ => None,
            },
        };
        named.into_iter().map(section).collect()
    }
}

/// `GET /live/nav`
pub(crate) async fn live(
    Bound(state): Bound,
    visitor: Visitor,
    closing: Option<Extension<Closing>>,
) -> impl IntoResponse {
    live::every(PACE, closing, move || {
        let (control, login) = (state.control.clone(), visitor.session.login.clone());
        async move {
            let counts = Counts::look(&control, &login).await?;
            Ok(vec![
                ("alerts", Count::alerts(counts.alerts).render()?),
                ("approvals", Count::approvals(counts.approvals).render()?),
            ])
        }
    })
}

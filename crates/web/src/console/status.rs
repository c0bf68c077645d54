//! Workers and the queue.

use askama::Template;
use axum::Extension;
use axum::response::{IntoResponse, Response};
use model::tenant::{Serving, TenantState};
use protocol::api::Status;

use super::session::{Bound, Visitor};
use super::{Frame, html, show};
use crate::WebState;
use crate::failure::Answer;
use crate::live::{self, Closing};

#[derive(Template)]
#[template(path = "status.html", blocks = ["status"])]
struct StatusPage {
    frame: Frame,
    status: Status,
}

impl StatusPage {
    async fn load(state: &WebState, frame: Frame) -> Answer<Self> {
        Ok(Self { frame, status: state.control.status().await? })
    }

    fn serving(&self) -> usize {
        let serving = |tenant: &&protocol::api::Tenant| {
            tenant.state == TenantState::Active && tenant.serving == Serving::Serving
        };
        self.status.tenants.iter().filter(serving).count()
    }

    fn active(&self) -> usize {
        self.status.tenants.iter().filter(|tenant| tenant.state == TenantState::Active).count()
    }

    fn alive(&self) -> usize {
        self.status.workers.iter().filter(|worker| worker.alive).count()
    }

    /// One sentence on the whole.
    fn verdict(&self) -> (&'static str, String) {
        let failing = self
            .status
            .tenants
            .iter()
            .filter(|tenant| tenant.state == TenantState::Active && tenant.serving == Serving::Failing)
            .count();
        if self.alive() == 0 {
            ("bad", "No worker is alive: tenants keep serving, but nothing queued will start.".into())
        } else if failing > 0 {
            let verb = if failing == 1 { "is" } else { "are" };
            ("bad", format!("{failing} of {} active tenants {verb} failing.", self.active()))
        } else {
            ("good", "Everything works.".into())
        }
    }
}

/// `GET /status`
pub(crate) async fn page(Bound(state): Bound, visitor: Visitor) -> Answer<Response> {
    html(&StatusPage::load(&state, visitor.frame("/status")).await?)
}

/// `GET /live/status`
pub(crate) async fn live(
    Bound(state): Bound,
    visitor: Visitor,
    closing: Option<Extension<Closing>>,
) -> impl IntoResponse {
    let frame = visitor.frame("/status");
    live::page(closing, move || {
        let (state, frame) = (state.clone(), frame.clone());
        async move {
            let page = StatusPage::load(&state, frame).await?;
            Ok(vec![("status", page.as_status().render()?)])
        }
    })
}

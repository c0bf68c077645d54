//! What waits for the approval of others: for the visitor's, and for whose.

use askama::Template;
use axum::Extension;
use axum::response::{IntoResponse, Redirect, Response};
use control::{ApprovalFilter, Slice};
use model::ApprovalId;
use model::policy::{ApprovalState, Decision};
use protocol::api::Approval;
use serde::Deserialize;

use super::list::{address, piece};
use super::session::{Bound, Posted, Turned, Visitor};
use super::{Frame, Notice, html, html_with, show};
use crate::WebState;
use crate::extract::{Path, Query};
use crate::failure::Answer;
use crate::live::{self, Closing};

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Which {
    /// None: those that wait.
    #[serde(default)]
    decided: bool,
    /// Of those that are decided.
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "approvals.html", blocks = ["approvals"])]
struct ApprovalsPage {
    frame: Frame,
    decided: bool,
    /// A heading each.
    groups: Vec<(&'static str, Vec<Approval>)>,
    /// Where those are that were decided on before.
    older: Option<String>,
    live: Option<String>,
}

impl ApprovalsPage {
    async fn load(state: &WebState, frame: Frame, which: Which) -> Answer<Self> {
        let control = &state.control;
        if which.decided {
            // Only the first page is kept fresh: what is older does not come.
            let live = which.after.is_none().then(|| "/live/approvals?decided=true".to_owned());
            let slice = piece(which.after.as_deref())?;
            let page = control.approvals(&ApprovalFilter::default(), &slice).await?;
            let older = page.next.map(|next| address("/approvals", &[("decided", "true"), ("after", &next)]));
            let mut decided = page.items;
            decided.retain(|approval| approval.state != ApprovalState::Pending);
            return Ok(Self { frame, decided: true, groups: vec![("", decided)], older, live });
        }
        let pending = ApprovalFilter { state: Some(ApprovalState::Pending), project: None };
        let operator = control.is_operator().await?;
        let (mut for_you, mut yours, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for approval in control.approvals(&pending, &Slice::first()).await?.items {
            let group = match () {
                () if may_decide(&approval, &frame.login, operator) => &mut for_you,
                () if approval.requested_by == frame.login => &mut yours,
                () => &mut others,
            };
            group.push(approval);
        }
        let groups =
            vec![("Waits for you", for_you), ("You have asked for", yours), ("Waits for others", others)];
        let live = Some("/live/approvals".to_owned());
        Ok(Self { frame, decided: false, groups, older: None, live })
    }

    fn none(&self) -> bool {
        self.groups.iter().all(|(_, approvals)| approvals.is_empty())
    }
}

/// Nobody decides on what they asked for, nor twice. Operators stand in for
/// every role.
fn may_decide(approval: &Approval, login: &str, operator: bool) -> bool {
    let named = approval.waits_for.iter().any(|one| one == login);
    let said = approval.decisions.iter().any(|decision| decision.by == login);
    approval.state == ApprovalState::Pending
        && (named || (operator && approval.requested_by != login && !said))
}

/// `GET /approvals`
pub(crate) async fn list(
    Bound(state): Bound,
    visitor: Visitor,
    Query(which): Query<Which>,
) -> Answer<Response> {
    html(&ApprovalsPage::load(&state, visitor.frame("/approvals"), which).await?)
}

/// `GET /live/approvals`
pub(crate) async fn live(
    Bound(state): Bound,
    visitor: Visitor,
    Query(which): Query<Which>,
    closing: Option<Extension<Closing>>,
) -> impl IntoResponse {
    let frame = visitor.frame("/approvals");
    live::page(closing, move || {
        let (state, frame, which) = (state.clone(), frame.clone(), which.clone());
        async move {
            let page = ApprovalsPage::load(&state, frame, which).await?;
            Ok(vec![("approvals", page.as_approvals().render()?)])
        }
    })
}

#[derive(Template)]
#[template(path = "approval.html")]
struct ApprovalPage {
    frame: Frame,
    approval: Approval,
    may_decide: bool,
    /// What was written, where it was refused.
    note: String,
    notice: Option<Notice>,
}

impl ApprovalPage {
    async fn load(
        state: &WebState,
        frame: Frame,
        id: ApprovalId,
        note: String,
        notice: Option<Notice>,
    ) -> Answer<Self> {
        let approval = state.control.approval(id).await?;
        let operator = state.control.is_operator().await?;
        let may_decide = may_decide(&approval, &frame.login, operator);
        Ok(Self { frame, approval, may_decide, note, notice })
    }

    fn pending(&self) -> bool {
        self.approval.state == ApprovalState::Pending
    }

    fn own(&self) -> bool {
        self.approval.requested_by == self.frame.login
    }

    fn approved(&self) -> usize {
        self.approval.decisions.iter().filter(|said| said.decision == Decision::Approve).count()
    }
}

/// `GET /approvals/{approval}`
pub(crate) async fn page(
    Bound(state): Bound,
    visitor: Visitor,
    Path(id): Path<ApprovalId>,
) -> Answer<Response> {
    html(&ApprovalPage::load(&state, visitor.frame("/approvals"), id, String::new(), None).await?)
}

#[derive(Deserialize)]
pub(crate) struct Decided {
    decision: Decision,
    #[serde(default)]
    note: String,
}

/// `POST /approvals/{approval}/decide`
pub(crate) async fn decide(
    Bound(state): Bound,
    Path(id): Path<ApprovalId>,
    posted: Posted<Decided>,
) -> Result<Response, Turned> {
    let Decided { decision, note } = &posted.form;
    match state.control.decide_approval(id, *decision, Some(note)).await {
        Ok(_) => Ok(Redirect::to(&format!("/approvals/{id}")).into_response()),
        Err(error) => {
            let (status, notice) = Notice::of(error.into())?;
            let frame = posted.frame("/approvals");
            let page = ApprovalPage::load(&state, frame, id, posted.form.note, Some(notice)).await?;
            Ok(html_with(status, &page)?)
        }
    }
}

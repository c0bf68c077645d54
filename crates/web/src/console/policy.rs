//! Which acts take the approval of others. Shown; changed by `heddle policy`.

use askama::Template;
use axum::response::Response;
use protocol::api::Policy;

use super::list::{Of, projects};
use super::session::{Bound, Visitor};
use super::{Frame, html, show};
use crate::extract::Query;
use crate::failure::Answer;

#[derive(Template)]
#[template(path = "policies.html")]
struct PoliciesPage {
    frame: Frame,
    projects: Vec<String>,
    project: String,
    policies: Vec<Policy>,
}

impl PoliciesPage {
    fn filter_action(&self) -> &'static str {
        "/policies"
    }
}

/// `GET /policies`
pub(crate) async fn list(Bound(state): Bound, visitor: Visitor, Query(of): Query<Of>) -> Answer<Response> {
    let policies = state.control.policies(of.project()).await?;
    let projects = projects(&state.control).await?;
    html(&PoliciesPage { frame: visitor.frame("/approvals"), projects, project: of.project, policies })
}

/// Where a policy holds.
fn place(policy: &Policy) -> String {
    match (&policy.environment, policy.stage) {
        (Some(environment), _) => format!("in {}/{environment}", policy.project),
        (None, Some(stage)) => format!("in {stage} environments"),
        (None, None) => "everywhere in it".to_owned(),
    }
}

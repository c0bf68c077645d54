use clap::Args;
use protocol::api::Approval;
use uuid::Uuid;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::facts;
use crate::time::local;

/// Show an approval: what it is for, who has decided, who still may
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle approval show 019a1b2c-3d4e-7f50-8a6b-7c8d9e0f1a2b")]
pub struct Show {
    /// Its id, or that of the run that waits for it
    id: Uuid,
}

impl Show {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let approval = context.api()?.approval(self.id).await?;
        context.output.result(&approval, text)
    }
}

pub fn text(approval: &Approval) -> String {
    let mut text = facts([
        ("approval", approval.id.to_string()),
        ("what", approval.summary.clone()),
        ("in", approval.environment.clone().unwrap_or_else(|| approval.project.clone())),
        ("run", approval.run.map(|run| run.to_string()).unwrap_or_default()),
        ("state", approval.state.to_string()),
        ("asked by", format!("{}, {}", approval.requested_by, local(approval.asked_at))),
        ("waits for", super::waits_for(approval)),
        ("until", local(approval.expires_at)),
        ("decided", approval.decided_at.map(local).unwrap_or_default()),
    ]);
    for one in &approval.decisions {
        let note = one.note.as_deref().map(|note| format!(": {note}")).unwrap_or_default();
        text += &format!("  {}  {} {}{note}\n", local(one.decided_at), one.by, said(one.decision.as_str()));
    }
    text
}

fn said(decision: &str) -> &str {
    if decision == "approve" { "approved" } else { "refused" }
}

use clap::Args;
use model::policy::ApprovalState;
use uuid::Uuid;

use crate::context::Context;
use crate::failure::Failure;

/// Approve what somebody else has asked for
#[derive(Debug, Args)]
#[command(
    after_long_help = "Example:\n  heddle approval approve 019a1b2c-3d4e-7f50-8a6b-7c8d9e0f1a2b --note 'as agreed'"
)]
pub struct Approve {
    #[command(flatten)]
    decided: Decided,
}

/// Refuse what somebody else has asked for; a run that waits for it is cancelled
#[derive(Debug, Args)]
#[command(
    after_long_help = "Example:\n  heddle approval refuse 019a1b2c-3d4e-7f50-8a6b-7c8d9e0f1a2b --note 'not on a Friday'"
)]
pub struct Refuse {
    #[command(flatten)]
    decided: Decided,
}

#[derive(Debug, Args)]
struct Decided {
    /// Its id, or that of the run that waits for it
    id: Uuid,
    /// Why; kept, and shown to who asked
    #[arg(long)]
    note: Option<String>,
}

impl Approve {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        self.decided.say(context, "approve").await
    }
}

impl Refuse {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        self.decided.say(context, "refuse").await
    }
}

impl Decided {
    async fn say(self, context: &Context, verb: &str) -> Result<(), Failure> {
        let api = context.api()?;
        let approval = api.approval(self.id).await?;
        let approval = api.decide_approval(approval.id, verb, self.note.as_deref()).await?;
        context.output.result(&approval, |approval| {
            let mut text = super::show::text(approval);
            match (approval.state, approval.run) {
                (ApprovalState::Granted, None) => {
                    text += &format!("\n{} may do it now, until it expires.\n", approval.requested_by);
                }
                (ApprovalState::Granted, Some(run)) => {
                    text += &format!("\nThe run goes on: heddle run follow {run}\n");
                }
                _ => {}
            }
            text
        })
    }
}

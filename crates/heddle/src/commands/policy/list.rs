use clap::Args;
use jiff::SignedDuration;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::table;
use crate::time::rough;

/// List policies
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle policy list demo")]
pub struct List {
    /// Only this project's
    project: Option<String>,
}

impl List {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let policies = context.api()?.policies(self.project.as_deref()).await?;
        context.output.result(&policies, |policies| {
            let rows = policies.iter().map(|policy| {
                let roles: Vec<&str> = policy.roles.iter().map(|role| role.as_str()).collect();
                [
                    policy.project.clone(),
                    policy.act.to_string(),
                    super::place(policy),
                    policy.approvals.to_string(),
                    roles.join(" or "),
                    rough(SignedDuration::from_secs(policy.expires_after.into())),
                ]
            });
            let empty = "No policies: nothing takes an approval.";
            table(["project", "act", "in", "approvals", "of", "expires after"], rows, empty)
        })
    }
}

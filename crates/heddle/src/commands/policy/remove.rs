use clap::Args;

use super::Which;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Remove a policy
///
/// What waits for an approval by it goes on waiting.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle policy remove demo restore --stage production")]
pub struct Remove {
    #[command(flatten)]
    which: Which,
}

impl Remove {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let api = context.api()?;
        let Some(policy) = self.which.find(&api).await? else {
            let detail = format!("{} has no such policy for {}", self.which.project, self.which.act);
            return Err(Failure::new(Exit::Refused, "not-found", detail)
                .hint(format!("`heddle policy list {}` shows them", self.which.project)));
        };
        api.remove_policy(policy.id, policy.version).await?;
        context.output.result(&policy, |policy| {
            format!(
                "The policy for {} in {} is removed, {}.\n",
                policy.act,
                policy.project,
                super::place(policy)
            )
        })
    }
}

use clap::Args;
use model::access::Permission;

use crate::context::Context;
use crate::failure::Failure;

/// Let a member do something in one environment beyond their role
///
/// test, develop or operate; operate lets them do the others too.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle member grant demo ada@example.com operate --env production")]
pub struct Grant {
    /// The project
    project: String,
    /// The member's login
    login: String,
    /// test, develop or operate
    permission: Permission,
    /// The environment, by its name in the project
    #[arg(long, value_name = "ENVIRONMENT")]
    env: String,
}

impl Grant {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let api = context.api()?;
        let member = api.grant(&self.project, &self.env, &self.login, self.permission).await?;
        context.output.result(&member, |member| {
            format!(
                "{} is {} of {}, and beyond that has {}.\n",
                member.login,
                member.role,
                self.project,
                super::granted(member)
            )
        })
    }
}

use clap::Args;
use model::access::Role;
use protocol::people::SetMember;

use crate::context::Context;
use crate::failure::Failure;

/// Make a user a member of a project, or give a member another role
///
/// viewer sees; tester takes snapshots and restores what is not production;
/// developer makes builds, environments and tenants that are not production;
/// admin does all of that with production, and gives roles; owner also makes
/// owners.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle member set demo ada@example.com developer")]
pub struct Set {
    /// The project
    project: String,
    /// The user's login
    login: String,
    /// owner, admin, developer, tester or viewer
    role: Role,
    /// Only if this is the member's present version
    #[arg(long, value_name = "VERSION")]
    version: Option<i64>,
}

impl Set {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let set = SetMember { role: self.role };
        let member = context.api()?.set_member(&self.project, &self.login, &set, self.version).await?;
        context
            .output
            .result(&member, |member| format!("{} is {} of {}.\n", member.login, member.role, self.project))
    }
}

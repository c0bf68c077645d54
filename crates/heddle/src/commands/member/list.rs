use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::table;
use crate::time::local;

/// List a project's members
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle member list demo")]
pub struct List {
    /// The project
    project: String,
}

impl List {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let members = context.api()?.members(&self.project).await?;
        context.output.result(&members, |members| {
            let rows = members.iter().map(|member| {
                let login = if member.disabled {
                    format!("{} (disabled)", member.login)
                } else {
                    member.login.clone()
                };
                [
                    login,
                    member.role.to_string(),
                    super::granted(member),
                    local(member.created_at),
                    member.version.to_string(),
                ]
            });
            table(["login", "role", "beyond it", "since", "version"], rows, "No members.")
        })
    }
}

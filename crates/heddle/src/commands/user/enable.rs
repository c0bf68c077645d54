use clap::Args;

use crate::context::Context;
use crate::failure::Failure;

/// Let a disabled user sign in again
///
/// As an operator.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle user enable ada@example.com")]
pub struct Enable {
    /// Whom
    login: String,
}

impl Enable {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let user = context.api()?.change_user(&self.login, "enable").await?;
        context.output.result(&user, |user| format!("{} is enabled.\n", user.login))
    }
}

use clap::Args;

use crate::context::Context;
use crate::failure::Failure;

/// Make a user an operator, or one no more
///
/// An operator runs the installation: every project, the workers, the users.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Example:\n  heddle user operator ada@example.com\n  heddle user operator ada@example.com --not"
)]
pub struct Operator {
    /// Whom
    login: String,
    /// No more
    #[arg(long)]
    not: bool,
}

impl Operator {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let user = context.api()?.set_operator(&self.login, !self.not).await?;
        context.output.result(&user, |user| {
            format!("{} is {} operator.\n", user.login, if user.operator { "an" } else { "no" })
        })
    }
}

use clap::Args;

use crate::context::Context;
use crate::failure::Failure;

/// Let a user do nothing any more
///
/// As an operator. Their sessions end and their keys do nothing; what they have
/// made stays.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle user disable ada@example.com")]
pub struct Disable {
    /// Whom
    login: String,
}

impl Disable {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let user = context.api()?.change_user(&self.login, "disable").await?;
        context.output.result(&user, |user| format!("{} is disabled.\n", user.login))
    }
}

use clap::Args;

use crate::context::Context;
use crate::failure::Failure;

/// Give a user a new one-time password
///
/// As an operator. It replaces theirs and ends their sessions. On the machine of
/// the data folder `heddle user one-time-password` does the same without one.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle user passwd ada@example.com")]
pub struct Passwd {
    /// Whose
    login: String,
}

impl Passwd {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let made = context.api()?.new_password(&self.login).await?;
        context.output.result(&made, |made| super::told(made, &context.url()))
    }
}

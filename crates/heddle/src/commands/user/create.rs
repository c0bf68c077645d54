use clap::Args;
use protocol::people::NewUser;

use crate::context::Context;
use crate::failure::Failure;

/// Make a user
///
/// As an operator. They see nothing before they are a member of a project; their
/// first password is good for one sign-in within 24 hours.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle user create ada@example.com")]
pub struct Create {
    /// Their login; an e-mail address is good
    login: String,
    /// They run the installation: every project, the workers, the users
    #[arg(long)]
    operator: bool,
}

impl Create {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let new = NewUser { login: self.login, operator: self.operator };
        let made = context.api()?.create_user(&new).await?;
        context.output.result(&made, |made| super::told(made, &context.url()))
    }
}

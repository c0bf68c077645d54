mod create;
mod disable;
mod enable;
mod list;
mod one_time_password;
mod operator;
mod passwd;

use clap::Subcommand;
use control::Control;

use crate::context::Context;
use crate::failure::Failure;
use crate::secrets::Secrets;
use crate::settings::Settings;

/// People who sign in
#[derive(Debug, Subcommand)]
pub enum Command {
    Create(create::Create),
    List(list::List),
    Disable(disable::Disable),
    Enable(enable::Enable),
    Operator(operator::Operator),
    Passwd(passwd::Passwd),
    OneTimePassword(one_time_password::OneTimePassword),
}

impl Command {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Create(command) => command.run(context).await,
            Self::List(command) => command.run(context).await,
            Self::Disable(command) => command.run(context).await,
            Self::Enable(command) => command.run(context).await,
            Self::Operator(command) => command.run(context).await,
            Self::Passwd(command) => command.run(context).await,
            Self::OneTimePassword(command) => command.run(context).await,
        }
    }
}

/// Control itself, without the process that serves it: whoever may read the
/// data folder's secrets is its administrator.
pub async fn connect(settings: &Settings) -> Result<Control, Failure> {
    let url = Secrets::new(&settings.data).control_url()?;
    Control::connect(&url, settings.control())
        .await
        .map_err(|error| Failure::from(error).hint("is `heddle up` running on this data folder?"))
}

/// The administrator's one-time password; None once they have chosen their own.
pub async fn bootstrap(settings: &Settings) -> Result<Option<String>, Failure> {
    Ok(connect(settings).await?.bootstrap_admin().await?)
}

fn told(made: &protocol::people::OneTimePassword, console: &str) -> String {
    format!(
        "{} signs in at {console} with the one-time password\n\n  {}\n\n\
         It is good for one sign-in within 24 hours, at which another is chosen.\n",
        made.login, made.one_time_password
    )
}

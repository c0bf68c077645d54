mod one_time_password;

use clap::Subcommand;
use control::Control;

use crate::context::Context;
use crate::failure::Failure;
use crate::secrets::Secrets;
use crate::settings::Settings;

/// Users of the console
#[derive(Debug, Subcommand)]
pub enum Command {
    OneTimePassword(one_time_password::OneTimePassword),
}

impl Command {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
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

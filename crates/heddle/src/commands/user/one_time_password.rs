use clap::Args;
use serde_json::json;

use crate::context::Context;
use crate::failure::Failure;

/// Make a one-time password for the console
///
/// It replaces the user's password and ends their sessions; at the sign-in they
/// choose a new one. Works on the machine of the data folder, for whoever may
/// read its secrets.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle user one-time-password\n  heddle user one-time-password ada")]
pub struct OneTimePassword {
    /// Whose
    #[arg(default_value = "admin")]
    login: String,
}

impl OneTimePassword {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let settings = &context.settings;
        // The first administrator is made where there is none yet.
        let first = if self.login == "admin" { super::bootstrap(settings).await? } else { None };
        let password = match first {
            Some(password) => password,
            None => super::connect(settings).await?.reset_password(&self.login).await?,
        };
        let made = json!({"login": self.login, "one_time_password": password, "console": context.url()});
        context.output.result(&made, |_| {
            format!(
                "Sign in at {} as {} with the one-time password\n\n  {password}\n\n\
                 It is good for one sign-in, at which another is chosen.\n",
                context.url(),
                self.login
            )
        })
    }
}

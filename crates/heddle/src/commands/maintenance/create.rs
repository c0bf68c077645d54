use clap::Args;
use jiff::SignedDuration;
use protocol::api::NewMaintenanceWindow;

use crate::context::Context;
use crate::failure::Failure;
use crate::named::InProject;

/// Create a maintenance window
///
/// Where there is one, restores wait until a window opens, unless they are
/// asked for with --now.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:
  heddle maintenance create demo/sunday --env production --cron \"0 2 * * SUN\" --for 3h --zone Europe/Paris")]
pub struct Create {
    /// Its name, with the project's
    #[arg(value_name = "PROJECT/WINDOW")]
    window: InProject,
    /// When it opens: minute, hour, day of the month, month and weekday
    #[arg(long, value_name = "EXPRESSION")]
    cron: String,
    /// For how long it is open, up to 24h
    #[arg(long = "for", value_name = "DURATION", value_parser = crate::time::duration_argument)]
    length: SignedDuration,
    /// Whose clocks it goes by, such as Europe/Paris [default: UTC]
    #[arg(long)]
    zone: Option<String>,
    /// Only for this environment
    #[arg(long, value_name = "ENVIRONMENT")]
    env: Option<String>,
}

impl Create {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let new = NewMaintenanceWindow {
            project: self.window.project,
            name: self.window.name,
            environment: self.env,
            cron: self.cron,
            zone: self.zone,
            minutes: i32::try_from(self.length.as_mins()).unwrap_or(i32::MAX),
        };
        let window = context.api()?.create_maintenance_window(&new).await?;
        context.output.result(&window, super::list::text)
    }
}

use clap::Args;
use serde_json::json;

use crate::context::Context;
use crate::failure::Failure;
use crate::named::InProject;

/// Remove a maintenance window
///
/// What waits for it already goes on waiting until the time it would have opened.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle maintenance remove demo/sunday")]
pub struct Remove {
    /// Its name, with the project's
    #[arg(value_name = "PROJECT/WINDOW")]
    window: InProject,
}

impl Remove {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        context.api()?.remove_maintenance_window(&self.window).await?;
        let removed = json!({"removed": format!("{}/{}", self.window.project, self.window.name)});
        context.output.result(&removed, |_| "The maintenance window is removed.\n".to_owned())
    }
}

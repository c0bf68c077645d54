use clap::Args;
use serde_json::json;

use crate::context::Context;
use crate::failure::Failure;
use crate::named::InProject;

/// Remove a schedule; runs that it has queued go on
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle schedule remove demo/nightly")]
pub struct Remove {
    /// Its name, with the project's
    #[arg(value_name = "PROJECT/SCHEDULE")]
    schedule: InProject,
}

impl Remove {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        context.api()?.remove_schedule(&self.schedule).await?;
        let removed = json!({"removed": format!("{}/{}", self.schedule.project, self.schedule.name)});
        context.output.result(&removed, |_| "The schedule is removed.\n".to_owned())
    }
}

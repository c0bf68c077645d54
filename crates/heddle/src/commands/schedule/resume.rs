use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::named::InProject;

/// Resume a schedule that was paused
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle schedule resume demo/nightly")]
pub struct Resume {
    /// Its name, with the project's
    #[arg(value_name = "PROJECT/SCHEDULE")]
    schedule: InProject,
}

impl Resume {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        super::enable(context, &self.schedule, true).await
    }
}

use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::named::InProject;

/// Pause a schedule
///
/// Times that pass while it is paused are not caught up.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle schedule pause demo/nightly")]
pub struct Pause {
    /// Its name, with the project's
    #[arg(value_name = "PROJECT/SCHEDULE")]
    schedule: InProject,
}

impl Pause {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        super::enable(context, &self.schedule, false).await
    }
}

use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::named::InProject;

/// Queue now what a schedule would queue
///
/// The runs are yours, not the schedule's; its next time stays as it is.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle schedule run demo/nightly")]
pub struct Run {
    /// Its name, with the project's
    #[arg(value_name = "PROJECT/SCHEDULE")]
    schedule: InProject,
}

impl Run {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let ran = context.api()?.run_schedule(&self.schedule).await?;
        context.output.result(&ran, |ran| {
            let mut text = format!("{}\n", ran.note);
            for run in &ran.runs {
                text += &format!("{run}\n");
            }
            text
        })
    }
}

use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{or_dash, table};
use crate::time::local;

/// List schedules
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle schedule list demo")]
pub struct List {
    /// Only this project's
    project: Option<String>,
}

impl List {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let schedules = context.api()?.schedules(self.project.as_deref()).await?;
        context.output.result(&schedules, |schedules| {
            let rows = schedules.iter().map(|schedule| {
                [
                    format!("{}/{}", schedule.project, schedule.name),
                    schedule.action.to_string(),
                    super::show::of(schedule),
                    schedule.cron.clone(),
                    schedule.zone.clone(),
                    if schedule.enabled { or_dash(schedule.next_at.map(local)) } else { "paused".into() },
                    or_dash(schedule.last_at.map(local)),
                ]
            });
            let empty =
                "No schedules yet. Create one: heddle schedule create PROJECT/nightly snapshot --cron @daily";
            table(["schedule", "queues", "of", "cron", "zone", "next", "last"], rows, empty)
        })
    }
}

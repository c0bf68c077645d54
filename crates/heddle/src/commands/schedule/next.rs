use clap::Args;
use jiff::tz::TimeZone;

use crate::context::Context;
use crate::failure::Failure;
use crate::named::InProject;
use crate::output::table;

/// Show the coming times of a schedule, by its own clocks and in UTC
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle schedule next demo/nightly -n 20")]
pub struct Next {
    /// Its name, with the project's
    #[arg(value_name = "PROJECT/SCHEDULE")]
    schedule: InProject,
    /// How many
    #[arg(short = 'n', long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: u32,
}

impl Next {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let times = context.api()?.schedule_times(&self.schedule, self.count).await?;
        context.output.result(&times, |times| {
            let rows = times.iter().map(|time| {
                let utc = time.at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S");
                [time.local.replace('T', " "), utc.to_string()]
            });
            table(["there", "utc"], rows, "It never comes.")
        })
    }
}

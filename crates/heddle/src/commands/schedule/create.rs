use clap::Args;
use model::schedule::{Action, CatchUp};
use protocol::api::NewSchedule;

use crate::context::Context;
use crate::failure::Failure;
use crate::named::InProject;

/// Create a schedule
///
/// It is for all tenants of the project, or of one environment, or for one
/// tenant. A time that clocks skip comes when they have skipped it; one that
/// they show twice comes once.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  heddle schedule create demo/nightly snapshot --cron \"30 2 * * *\" --zone Europe/Paris
  heddle schedule create demo/hourly snapshot --cron @hourly --env production --catch-up none")]
pub struct Create {
    /// Its name, with the project's
    #[arg(value_name = "PROJECT/SCHEDULE")]
    schedule: InProject,
    /// What it queues: snapshot, backup, expire or probe
    action: Action,
    /// Minute, hour, day of the month, month and weekday; or @hourly, @daily, @weekly, @monthly
    #[arg(long, value_name = "EXPRESSION")]
    cron: String,
    /// Whose clocks it goes by, such as Europe/Paris [default: UTC]
    #[arg(long)]
    zone: Option<String>,
    /// Only this environment's tenants
    #[arg(long, value_name = "ENVIRONMENT")]
    env: Option<String>,
    /// Only this tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Times at which no control was there: none of them is run, the latest once, or all [default: once]
    #[arg(long, value_name = "none|once|all")]
    catch_up: Option<CatchUp>,
}

impl Create {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let new = NewSchedule {
            project: self.schedule.project,
            name: self.schedule.name,
            action: self.action,
            environment: self.env,
            tenant: self.tenant,
            cron: self.cron,
            zone: self.zone,
            catch_up: self.catch_up,
            enabled: None,
        };
        let schedule = context.api()?.create_schedule(&new).await?;
        context.output.result(&schedule, super::show::text)
    }
}

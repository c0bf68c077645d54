use clap::Args;
use protocol::api::Schedule;

use crate::context::Context;
use crate::failure::Failure;
use crate::named::InProject;
use crate::output::facts;
use crate::time::local;

/// Show a schedule, and what came of its last time
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle schedule show demo/nightly")]
pub struct Show {
    /// Its name, with the project's
    #[arg(value_name = "PROJECT/SCHEDULE")]
    schedule: InProject,
}

impl Show {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let schedule = context.api()?.schedule(&self.schedule).await?;
        context.output.result(&schedule, text)
    }
}

/// Whose tenants it is for.
pub fn of(schedule: &Schedule) -> String {
    match (&schedule.tenant, &schedule.environment) {
        (Some(tenant), _) => tenant.clone(),
        (None, Some(environment)) => format!("all of {environment}"),
        (None, None) => "all".to_owned(),
    }
}

pub fn text(schedule: &Schedule) -> String {
    facts([
        ("schedule", format!("{}/{}", schedule.project, schedule.name)),
        ("queues", schedule.action.to_string()),
        ("of", of(schedule)),
        ("cron", schedule.cron.clone()),
        ("zone", schedule.zone.clone()),
        ("catches up", schedule.catch_up.to_string()),
        ("paused", if schedule.enabled { String::new() } else { "yes".into() }),
        ("next", schedule.next_at.map(local).unwrap_or_default()),
        ("last", schedule.last_at.map(local).unwrap_or_default()),
        ("came of it", schedule.last_note.clone().unwrap_or_default()),
        ("last run", schedule.last_run.map(|run| run.to_string()).unwrap_or_default()),
    ])
}

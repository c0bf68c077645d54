mod create;
mod list;
mod next;
mod pause;
mod remove;
mod resume;
mod run;
mod show;

use clap::Subcommand;
use protocol::api::{ChangeSchedule, Schedule};

use crate::context::Context;
use crate::failure::Failure;

/// Schedules: what queues runs at times
#[derive(Debug, Subcommand)]
pub enum Command {
    Create(create::Create),
    List(list::List),
    Show(show::Show),
    Next(next::Next),
    Run(run::Run),
    Pause(pause::Pause),
    Resume(resume::Resume),
    Remove(remove::Remove),
}

impl Command {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Create(command) => command.run(context).await,
            Self::List(command) => command.run(context).await,
            Self::Show(command) => command.run(context).await,
            Self::Next(command) => command.run(context).await,
            Self::Run(command) => command.run(context).await,
            Self::Pause(command) => command.run(context).await,
            Self::Resume(command) => command.run(context).await,
            Self::Remove(command) => command.run(context).await,
        }
    }
}

/// Pauses or resumes it as it is now.
async fn enable(context: &Context, schedule: &crate::named::InProject, enabled: bool) -> Result<(), Failure> {
    let api = context.api()?;
    let found = api.schedule(schedule).await?;
    let change = ChangeSchedule { enabled: Some(enabled), ..ChangeSchedule::default() };
    let changed: Schedule = api.change_schedule(schedule, found.version, &change).await?;
    context.output.result(&changed, show::text)
}

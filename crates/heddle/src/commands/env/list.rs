use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::table;
use crate::time::local;

/// List environments
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle env list demo")]
pub struct List {
    /// Only this project's
    project: Option<String>,
}

impl List {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let environments = context.api()?.environments(self.project.as_deref()).await?;
        context.output.result(&environments, |environments| {
            let rows = environments.iter().map(|environment| {
                [
                    format!("{}/{}", environment.project, environment.name),
                    environment.stage.to_string(),
                    environment.build.to_string(),
                    local(environment.created_at),
                ]
            });
            let empty = "No environments yet. Create one: heddle env create PROJECT/production";
            table(["environment", "stage", "build", "created"], rows, empty)
        })
    }
}

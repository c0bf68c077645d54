use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::table;
use crate::time::local;

/// List all projects
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle project list --json")]
pub struct List {}

impl List {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let projects = context.api()?.projects().await?;
        context.output.result(&projects, |projects| {
            let rows = projects.iter().map(|project| [project.name.clone(), local(project.created_at)]);
            table(["name", "created"], rows, "No projects yet. Create one: heddle project create NAME")
        })
    }
}

use clap::Args;
use protocol::api::NewProject;

use crate::context::Context;
use crate::failure::Failure;

/// Create a project
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle project create demo")]
pub struct Create {
    /// Its name: a-z, 0-9 and -, such as `demo`
    name: String,
}

impl Create {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let project = context.api()?.create_project(&NewProject { name: self.name }).await?;
        context.output.result(&project, |project| {
            format!(
                "Created the project {name}.\nNext: heddle build create {name} --odoo PATH --modules base,web\n",
                name = project.name
            )
        })
    }
}

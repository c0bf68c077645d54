use clap::Args;
use jiff::SignedDuration;
use model::project::{BuildState, Stage};
use protocol::api::NewEnvironment;
use uuid::Uuid;

use crate::context::Context;
use crate::failure::Failure;
use crate::time::duration_argument;

/// Create an environment in a project
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle env create demo/production\n  \
    heddle env create demo/try-18 --stage development --build 019a1b2c-3d4e-7f50-8a6b-7c8d9e0f1a2b --wait")]
pub struct Create {
    /// Where and how it is called, such as `demo/production`
    #[arg(value_name = "PROJECT/NAME", value_parser = super::address)]
    environment: (String, String),
    /// production (one a project), staging or development [default: what its name says]
    #[arg(long)]
    stage: Option<Stage>,
    /// The build its tenants are made from [default: the project's newest ready one]
    #[arg(long, value_name = "ID")]
    build: Option<Uuid>,
    /// Wait for the build, if it is still being made, and until the environment is ready
    #[arg(long)]
    wait: bool,
    /// How long to wait for it to be ready
    #[arg(long, value_name = "DURATION", default_value = "10m", requires = "wait",
        value_parser = duration_argument)]
    timeout: SignedDuration,
}

impl Create {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let (project, name) = self.environment;
        let Some(stage) = self.stage.or_else(|| name.parse().ok()) else {
            return Err(Failure::usage(format!("which stage is {project}/{name}?"))
                .hint("add --stage production, --stage staging or --stage development"));
        };
        let api = context.api()?;
        if let (true, Some(build)) = (self.wait, self.build) {
            let build = api.build(build).await?;
            if build.state == BuildState::Building {
                context.follow(&api, build.run, "the build").await?;
            }
        }
        let new = NewEnvironment { project, name, stage, build: self.build };
        let environment = api.create_environment(&new).await?;
        if self.wait {
            let (project, name) = (&environment.project, &environment.name);
            super::wait::until_served(context, &api, project, name, self.timeout).await?;
        }
        context.output.result(&environment, |made| {
            format!(
                "Created the {} environment {project}/{name}.\n\
                 Next: heddle tenant create NAME --env {project}/{name}\n",
                made.stage,
                project = made.project,
                name = made.name
            )
        })
    }
}

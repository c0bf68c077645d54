use clap::Args;
use model::project::Stage;
use protocol::api::NewEnvironment;
use uuid::Uuid;

use crate::context::Context;
use crate::failure::Failure;

/// Create an environment in a project
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle env create demo/production\n  \
    heddle env create demo/try-18 --stage development --build 019a1b2c-3d4e-7f50-8a6b-7c8d9e0f1a2b")]
pub struct Create {
    /// Where and how it is called, such as `demo/production`
    #[arg(value_name = "PROJECT/NAME", value_parser = address)]
    environment: (String, String),
    /// production (one a project), staging or development [default: what its name says]
    #[arg(long)]
    stage: Option<Stage>,
    /// The build its tenants are made from [default: the project's newest ready one]
    #[arg(long, value_name = "ID")]
    build: Option<Uuid>,
}

pub fn address(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((project, name)) if !project.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok((project.into(), name.into()))
        }
        _ => Err("write the project and the environment's name, such as demo/production".into()),
    }
}

impl Create {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let (project, name) = self.environment;
        let Some(stage) = self.stage.or_else(|| name.parse().ok()) else {
            return Err(Failure::usage(format!("which stage is {project}/{name}?"))
                .hint("add --stage production, --stage staging or --stage development"));
        };
        let new = NewEnvironment { project, name, stage, build: self.build };
        let environment = context.api()?.create_environment(&new).await?;
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

mod create;
mod destroy;
mod list;
mod set;
mod wait;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;

/// Environments: a project's stages, each with any number of tenants
#[derive(Debug, Subcommand)]
pub enum Command {
    Create(create::Create),
    List(list::List),
    Wait(wait::Wait),
    Destroy(destroy::Destroy),
    Set(set::Set),
}

impl Command {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Create(command) => command.run(context).await,
            Self::List(command) => command.run(context).await,
            Self::Wait(command) => command.run(context).await,
            Self::Destroy(command) => command.run(context).await,
            Self::Set(command) => command.run(context).await,
        }
    }
}

/// `PROJECT/NAME` on the command line.
fn address(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((project, name)) if !project.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok((project.into(), name.into()))
        }
        _ => Err("write the project and the environment's name, such as demo/production".into()),
    }
}

mod create;
mod list;
mod set;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;

/// Environments: a project's stages, each with any number of tenants
#[derive(Debug, Subcommand)]
pub enum Command {
    Create(create::Create),
    List(list::List),
    Set(set::Set),
}

impl Command {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Create(command) => command.run(context).await,
            Self::List(command) => command.run(context).await,
            Self::Set(command) => command.run(context).await,
        }
    }
}

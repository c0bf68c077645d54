mod create;
mod list;
mod remove;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;

/// Maintenance windows: when runs that disturb people may be done
#[derive(Debug, Subcommand)]
pub enum Command {
    Create(create::Create),
    List(list::List),
    Remove(remove::Remove),
}

impl Command {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Create(command) => command.run(context).await,
            Self::List(command) => command.run(context).await,
            Self::Remove(command) => command.run(context).await,
        }
    }
}

mod create;
mod list;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;

/// Snapshots: named points in a tenant's history, proven durable
#[derive(Debug, Subcommand)]
pub enum Command {
    Create(create::Create),
    List(list::List),
}

impl Command {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Create(command) => command.run(context).await,
            Self::List(command) => command.run(context).await,
        }
    }
}

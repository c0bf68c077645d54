mod create;
mod list;
mod pin;
mod unpin;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;

/// Snapshots: named points in a tenant's history, proven durable
#[derive(Debug, Subcommand)]
pub enum Command {
    Create(create::Create),
    List(list::List),
    Pin(pin::Pin),
    Unpin(unpin::Unpin),
}

impl Command {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Create(command) => command.run(context).await,
            Self::List(command) => command.run(context).await,
            Self::Pin(command) => command.run(context).await,
            Self::Unpin(command) => command.run(context).await,
        }
    }
}

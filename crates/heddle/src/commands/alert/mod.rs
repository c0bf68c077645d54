mod acknowledge;
mod list;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;

/// Alerts: what somebody should look at
#[derive(Debug, Subcommand)]
pub enum Command {
    List(list::List),
    Acknowledge(acknowledge::Acknowledge),
}

impl Command {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::List(command) => command.run(context).await,
            Self::Acknowledge(command) => command.run(context).await,
        }
    }
}

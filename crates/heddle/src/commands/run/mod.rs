mod cancel;
mod follow;
mod list;
mod probe;
mod retry;
mod show;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;

/// Runs: everything slow is a run, with a log of what it did
#[derive(Debug, Subcommand)]
pub enum Command {
    List(list::List),
    Show(show::Show),
    Follow(follow::Follow),
    Cancel(cancel::Cancel),
    Retry(retry::Retry),
    Probe(probe::Probe),
}

impl Command {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::List(command) => command.run(context).await,
            Self::Show(command) => command.run(context).await,
            Self::Follow(command) => command.run(context).await,
            Self::Cancel(command) => command.run(context).await,
            Self::Retry(command) => command.run(context).await,
            Self::Probe(command) => command.run(context).await,
        }
    }
}

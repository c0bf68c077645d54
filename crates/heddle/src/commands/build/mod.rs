mod create;
mod list;
mod show;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;

/// Builds: an Odoo tree and the modules its tenants start with
#[derive(Debug, Subcommand)]
pub enum Command {
    Create(create::Create),
    List(list::List),
    Show(show::Show),
}

impl Command {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Create(command) => command.run(context).await,
            Self::List(command) => command.run(context).await,
            Self::Show(command) => command.run(context).await,
        }
    }
}

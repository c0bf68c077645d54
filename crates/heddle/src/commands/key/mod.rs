mod create;
mod list;
mod revoke;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;

/// API keys, for programs and for this command line elsewhere
#[derive(Debug, Subcommand)]
pub enum Command {
    Create(create::Create),
    List(list::List),
    Revoke(revoke::Revoke),
}

impl Command {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Create(command) => command.run(context).await,
            Self::List(command) => command.run(context).await,
            Self::Revoke(command) => command.run(context).await,
        }
    }
}

/// `read, test`, or `everything`
fn scopes(key: &protocol::people::ApiKey) -> String {
    if key.scopes.len() == model::access::Permission::ALL.len() {
        return "everything".to_owned();
    }
    key.scopes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

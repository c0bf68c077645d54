mod grant;
mod list;
mod remove;
mod set;
mod withdraw;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;

/// People who may see and do something in a project
#[derive(Debug, Subcommand)]
pub enum Command {
    Grant(grant::Grant),
    List(list::List),
    Remove(remove::Remove),
    Set(set::Set),
    Withdraw(withdraw::Withdraw),
}

impl Command {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Grant(command) => command.run(context).await,
            Self::List(command) => command.run(context).await,
            Self::Remove(command) => command.run(context).await,
            Self::Set(command) => command.run(context).await,
            Self::Withdraw(command) => command.run(context).await,
        }
    }
}

/// `production: operate`
fn granted(member: &protocol::people::Member) -> String {
    let grants = member.granted.iter().map(|grant| format!("{}: {}", grant.environment, grant.permission));
    grants.collect::<Vec<_>>().join(", ")
}

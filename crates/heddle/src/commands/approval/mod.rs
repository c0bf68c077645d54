mod decide;
mod list;
mod show;

use clap::Subcommand;
use model::policy::{ApprovalState, Decision};
use protocol::api::Approval;

use crate::context::Context;
use crate::failure::Failure;

/// Approvals: what waits for the yes of others
#[derive(Debug, Subcommand)]
pub enum Command {
    List(list::List),
    Show(show::Show),
    Approve(decide::Approve),
    Refuse(decide::Refuse),
}

impl Command {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::List(command) => command.run(context).await,
            Self::Show(command) => command.run(context).await,
            Self::Approve(command) => command.run(context).await,
            Self::Refuse(command) => command.run(context).await,
        }
    }
}

/// `1 of 2, ada or grace`
fn waits_for(approval: &Approval) -> String {
    if approval.state != ApprovalState::Pending {
        return String::new();
    }
    let given = approval.decisions.iter().filter(|one| one.decision == Decision::Approve).count();
    let whom = match approval.waits_for.as_slice() {
        [] => approval.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(" or "),
        people => people.join(" or "),
    };
    format!("{given} of {}, {whom}", approval.needed)
}

use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::table;
use crate::time::local;

/// List users
///
/// All for an operator, for others those that they share a project with.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle user list")]
pub struct List {}

impl List {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let users = context.api()?.users().await?;
        context.output.result(&users, |users| {
            let rows = users.iter().map(|user| {
                let is = match (user.disabled_at, user.operator) {
                    (Some(at), _) => format!("disabled since {}", local(at)),
                    (None, true) => "operator".to_owned(),
                    (None, false) => "user".to_owned(),
                };
                [user.login.clone(), is, local(user.created_at)]
            });
            table(["login", "is", "made"], rows, "No users.")
        })
    }
}

use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{or_dash, table};
use crate::time::local;

/// List API keys: yours, and those of projects that you administer
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle key list --project demo")]
pub struct List {
    /// Only those that are bound to this project
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,
}

impl List {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let keys = context.api()?.keys(self.project.as_deref()).await?;
        context.output.result(&keys, |keys| {
            let rows = keys.iter().map(|key| {
                let ends = match (key.revoked_at, key.expires_at) {
                    (Some(at), _) => format!("revoked {}", local(at)),
                    (None, Some(at)) => local(at),
                    (None, None) => "-".to_owned(),
                };
                [
                    key.id.to_string(),
                    key.prefix.clone(),
                    key.name.clone(),
                    or_dash(key.login.clone()),
                    or_dash(key.project.clone()),
                    super::scopes(key),
                    or_dash(key.last_used_at.map(local)),
                    ends,
                ]
            });
            table(["id", "key", "name", "of", "project", "may do", "last used", "ends"], rows, "No keys.")
        })
    }
}

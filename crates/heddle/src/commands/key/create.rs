use clap::Args;
use jiff::{SignedDuration, Timestamp};
use model::access::Permission;
use protocol::people::NewApiKey;

use crate::context::Context;
use crate::failure::Failure;
use crate::time::{duration_argument, local};

/// Make an API key
///
/// It is yours, and reaches no further than you do. The key is shown this once;
/// give it to a program in HEDDLE_API_KEY, never on a command line.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Example:\n  heddle key create ci --project demo --scopes read,develop --expires 90d"
)]
pub struct Create {
    /// What it is for
    name: String,
    /// Good in this project only
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,
    /// What it may do: read, test, develop, operate, administer, own; default: all that you may
    #[arg(long, value_name = "SCOPES", value_delimiter = ',')]
    scopes: Vec<Permission>,
    /// How long it is good for, such as 90d; default: until it is revoked
    #[arg(long, value_name = "DURATION", value_parser = duration_argument)]
    expires: Option<SignedDuration>,
}

impl Create {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let expires_at = match self.expires {
            None => None,
            Some(after) => Some(
                Timestamp::now()
                    .checked_add(after)
                    .map_err(|error| Failure::usage("that is too long from now").because(&error))?,
            ),
        };
        let new = NewApiKey { name: self.name, project: self.project, scopes: self.scopes, expires_at };
        let created = context.api()?.create_key(&new).await?;
        context.output.result(&created, |created| {
            let key = &created.api_key;
            let until = key
                .expires_at
                .map_or_else(|| "until it is revoked".to_owned(), |at| format!("until {}", local(at)));
            let within = key.project.as_ref().map(|project| format!(" in {project}")).unwrap_or_default();
            format!(
                "{}\n\nIt may do {}{within}, {until}. It is not shown again.\n",
                created.key,
                super::scopes(key)
            )
        })
    }
}

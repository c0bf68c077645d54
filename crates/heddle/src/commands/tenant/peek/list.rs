use clap::Args;

use super::shows;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{or_dash, table};
use crate::time::local;

/// List a tenant's peeks, newest first
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle tenant peek list acme")]
pub struct List {
    /// Whose
    tenant: String,
}

impl List {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let peeks = context.api()?.peeks(&self.tenant).await?;
        context.output.result(&peeks, |peeks| {
            let rows = peeks.iter().map(|peek| {
                [
                    peek.id.to_string(),
                    peek.state.to_string(),
                    shows(peek),
                    local(peek.created_at),
                    or_dash(peek.expires_at.map(local)),
                    or_dash(peek.port),
                    or_dash(peek.reason.clone()),
                ]
            });
            let empty = "Nobody has looked into it. Do: heddle tenant peek TENANT --at TIME";
            table(["peek", "state", "shows", "asked", "until", "port", "reason"], rows, empty)
        })
    }
}

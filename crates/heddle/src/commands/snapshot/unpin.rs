use clap::Args;

use crate::context::Context;
use crate::failure::Failure;

/// Keep a snapshot no longer than its expiry says
///
/// One that is past its expiry already is dropped within a day or two.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle snapshot unpin acme before-upgrade")]
pub struct Unpin {
    /// Whose
    tenant: String,
    /// Its name or id
    snapshot: String,
}

impl Unpin {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let snapshot = context.api()?.pin_snapshot(&self.tenant, &self.snapshot, "unpin").await?;
        context.output.result(&snapshot, super::create::text)
    }
}

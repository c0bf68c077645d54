use clap::Args;

use crate::context::Context;
use crate::failure::Failure;

/// Keep a snapshot until it is unpinned, whatever its expiry
///
/// With all that leads to it: a base backup, its WAL, and the files that its
/// database names. Whoever drops what is not kept sees the pin at once; the
/// repository itself hears of it within minutes, from the worker.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle snapshot pin acme before-upgrade")]
pub struct Pin {
    /// Whose
    tenant: String,
    /// Its name or id
    snapshot: String,
}

impl Pin {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let snapshot = context.api()?.pin_snapshot(&self.tenant, &self.snapshot, "pin").await?;
        context.output.result(&snapshot, super::create::text)
    }
}

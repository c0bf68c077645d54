use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{bytes, or_dash, table};
use crate::time::local;

/// List a tenant's snapshots, newest first
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle snapshot list acme")]
pub struct List {
    /// Whose
    tenant: String,
}

impl List {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let snapshots = context.api()?.snapshots(&self.tenant).await?;
        context.output.result(&snapshots, |snapshots| {
            let rows = snapshots.iter().map(|snapshot| {
                [
                    snapshot.name.clone(),
                    snapshot.state.to_string(),
                    snapshot.kind.to_string(),
                    or_dash(snapshot.taken_at.map(local)),
                    or_dash(snapshot.size.and_then(|size| u64::try_from(size).ok()).map(bytes)),
                    or_dash(Some(super::create::expiry(snapshot)).filter(|text| !text.is_empty())),
                    or_dash(snapshot.note.clone()),
                ]
            });
            let empty = "No snapshots yet. Take one: heddle snapshot create TENANT";
            table(["name", "state", "kind", "taken", "size", "expires", "note"], rows, empty)
        })
    }
}

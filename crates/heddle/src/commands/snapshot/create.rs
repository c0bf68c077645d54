use clap::Args;
use jiff::{SignedDuration, Timestamp};
use protocol::api::{NewSnapshot, Snapshot};

use crate::context::Context;
use crate::failure::Failure;
use crate::follow::Wait;
use crate::output::{bytes, facts};
use crate::time::{local, local_exact};

/// Take a snapshot of a tenant: its database and its files
///
/// It is ready only once all that it needs is durable in the repository.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle snapshot create acme --name before-upgrade")]
pub struct Create {
    /// Whose
    tenant: String,
    /// Its name: a-z, 0-9 and - [default: the time it is taken at]
    #[arg(long)]
    name: Option<String>,
    /// How long it is kept, such as `3d`, within the retention window [default: as long as that]
    #[arg(long, value_name = "DURATION", value_parser = crate::time::duration_argument)]
    keep: Option<SignedDuration>,
    #[command(flatten)]
    wait: Wait,
}

impl Create {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let expires_at = self
            .keep
            .map(|keep| Timestamp::now().checked_add(keep))
            .transpose()
            .map_err(|error| Failure::usage("that is too long to keep").because(&error))?;
        let new = NewSnapshot { name: self.name, kind: None, expires_at };
        let api = context.api()?;
        let mut snapshot = api.create_snapshot(&self.tenant, &new).await?;
        if self.wait.wanted() {
            context.follow(&api, snapshot.run, &format!("the snapshot of {}", self.tenant)).await?;
            snapshot = api.snapshot(&self.tenant, &snapshot.id.to_string()).await?;
        }
        context.output.result(&snapshot, text)
    }
}

fn text(snapshot: &Snapshot) -> String {
    let missing = snapshot.missing_files.filter(|count| *count > 0);
    facts([
        ("snapshot", snapshot.name.clone()),
        ("tenant", snapshot.tenant.clone()),
        ("state", snapshot.state.to_string()),
        ("taken", snapshot.taken_at.map(local_exact).unwrap_or_default()),
        ("lsn", snapshot.lsn.clone().unwrap_or_default()),
        ("size", snapshot.size.and_then(|size| u64::try_from(size).ok()).map(bytes).unwrap_or_default()),
        (
            "missing files",
            missing.map(|count| format!("{count}, lost before the snapshot")).unwrap_or_default(),
        ),
        ("expires", snapshot.expires_at.map(local).unwrap_or_default()),
        ("run", snapshot.run.to_string()),
    ])
}

use clap::Args;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use protocol::api::{NewSnapshot, Snapshot};

use crate::context::Context;
use crate::failure::Failure;
use crate::follow::Wait;
use crate::output::{bytes, facts};
use crate::time::{When, local, local_exact};

/// Take a snapshot of a tenant: its database and its files
///
/// It is ready only once all that it needs is durable in the repository.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  heddle snapshot create acme --name before-upgrade\n  \
        heddle snapshot create acme --name year-end --note 'books closed' --pin\n  \
        heddle snapshot create acme --expires '2027-01-31 18:00:00'")]
pub struct Create {
    /// Whose
    tenant: String,
    /// Its name: a-z, 0-9 and - [default: the time it is taken at]
    #[arg(long)]
    name: Option<String>,
    /// Why it is taken, for people; at most 500 characters
    #[arg(long)]
    note: Option<String>,
    /// Keep it until it is unpinned, whatever its expiry
    #[arg(long)]
    pin: bool,
    /// How long it is kept, such as `3d` [default: as long as every second is]
    #[arg(long, value_name = "DURATION", value_parser = crate::time::duration_argument)]
    keep: Option<SignedDuration>,
    /// Until when it is kept: `2027-01-31 18:00:00` (local), or RFC 3339; up to ten years
    #[arg(long, value_name = "TIME", conflicts_with = "keep")]
    expires: Option<When>,
    #[command(flatten)]
    wait: Wait,
}

impl Create {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let now = Timestamp::now();
        let expires_at = match (self.keep, &self.expires) {
            (Some(keep), _) => Some(
                now.checked_add(keep)
                    .map_err(|error| Failure::usage("that is too long to keep").because(&error))?,
            ),
            (None, Some(expires)) => Some(expires.resolve(now, &TimeZone::system())?),
            (None, None) => None,
        };
        let new = NewSnapshot { name: self.name, kind: None, expires_at, note: self.note, pinned: self.pin };
        let api = context.api()?;
        let mut snapshot = api.create_snapshot(&self.tenant, &new).await?;
        if self.wait.wanted() {
            context.follow(&api, snapshot.run, &format!("the snapshot of {}", self.tenant)).await?;
            snapshot = api.snapshot(&self.tenant, &snapshot.id.to_string()).await?;
        }
        context.output.result(&snapshot, text)
    }
}

pub fn text(snapshot: &Snapshot) -> String {
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
        ("note", snapshot.note.clone().unwrap_or_default()),
        ("expires", expiry(snapshot)),
        ("run", snapshot.run.to_string()),
    ])
}

/// `pinned`, or when it expires.
pub fn expiry(snapshot: &Snapshot) -> String {
    match snapshot.pinned {
        true => "pinned".to_owned(),
        false => snapshot.expires_at.map(local).unwrap_or_default(),
    }
}

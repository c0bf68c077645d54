use archive::{Amount, FileError};
use clap::Args;
use model::TenantId;
use serde::Serialize;

use super::Place;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::bytes;
use crate::time::local;

/// Destroy a tenant's key, so that nothing stored of it can be read again
///
/// Its backups, WAL and attachments in this repository are worthless from then
/// on, also in copies of it that do not hold the key's file any more, and are
/// removed. There is no way back. This is for a repository by itself: a tenant
/// that control knows is shredded with `heddle tenant shred`. A running cell
/// could archive no more. Older copies of the repository still hold the sealed key: after `heddle
/// archive rotate`, with the old master key destroyed, they are worthless too.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle archive shred acme --confirm acme")]
pub struct Shred {
    /// Which tenant, by its id or its database's name
    tenant: String,
    #[command(flatten)]
    place: Place,
    /// The tenant's id or its database's name, typed again
    #[arg(long, value_name = "NAME-OR-ID")]
    confirm: Option<String>,
}

#[derive(Serialize)]
struct Done {
    tenant: TenantId,
    at: jiff::Timestamp,
    /// What was removed after that.
    removed: Amount,
}

impl Shred {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let repository = self.place.open(context).await?;
        let tenant = super::find(&repository, &self.tenant).await?;
        let confirmed = match &self.confirm {
            Some(typed) => super::find(&repository, typed).await.is_ok_and(|named| named == tenant),
            None => false,
        };
        if !confirmed {
            let what = format!("destroying the key of {tenant}");
            return Err(Failure::new(
                Exit::NeedsConfirmation,
                "needs-confirmation",
                format!("{what} needs its name"),
            )
            .hint(format!("nothing was done; there is no way back from it: --confirm {}", self.tenant)));
        }
        let location = repository.location().clone();
        let shredded = super::blocking(move || {
            let shredded = repository.shred(tenant)?;
            Ok((shredded, repository.clear_shredded(tenant)?))
        });
        let shredded = shredded.await?.map_err(|error: FileError| super::reading(&location, &error));
        let (shredded, removed) = shredded?;
        let done = Done { tenant, at: shredded.at, removed };
        context.output.result(&done, |done| {
            format!(
                "The key of {} was destroyed {}. Nothing stored of it can be read any more; {} objects of {} were \
                 removed.\n",
                done.tenant,
                local(done.at),
                done.removed.objects,
                bytes(done.removed.bytes)
            )
        })
    }
}

use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::follow::Wait;

/// Destroy an archived tenant's key, so that nothing of it can be read again
///
/// Its history in the repository is worthless from then on, also in copies of
/// it that do not hold the key's file any more, and is removed, as are its
/// folders on the host. There is no way back. The tenant must be archived.
/// Only owners, admins and operators may, and a policy can ask for approvals.
/// Older copies of the repository still hold the sealed key: after `heddle
/// archive rotate`, with the old master key destroyed, they are worthless too.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  heddle tenant archive acme --confirm acme\n  heddle tenant shred acme\n  \
        heddle tenant shred acme --confirm acme"
)]
pub struct Shred {
    /// Its name
    tenant: String,
    #[command(flatten)]
    wait: Wait,
    /// The tenant's name once more, instead of being asked for it
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
}

impl Shred {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let api = context.api()?;
        let name = match self.confirm {
            Some(name) => name,
            None => {
                let warning = "Nothing of it can be read again, ever.";
                super::typed_name(context, &api, &self.tenant, warning, ("shredding", "shred")).await?
            }
        };
        let mut run = api.shred_tenant(&self.tenant, &name).await?;
        if self.wait.wanted() {
            run = context.follow(&api, run.id, &format!("shredding {}", self.tenant)).await?;
        }
        context.output.result(&run, |run| match run.state.ended() {
            true => format!("{} is shredded: nothing of it can be read any more.\n", self.tenant),
            false => format!("{} is being shredded by run {}.\n", self.tenant, run.id),
        })
    }
}

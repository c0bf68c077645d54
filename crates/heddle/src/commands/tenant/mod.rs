mod archive;
mod create;
pub mod list;
mod peek;
mod resume;
mod set;
pub mod show;
mod shred;
mod suspend;

use std::time::Duration;

use clap::Subcommand;
use model::tenant::Serving;
use protocol::api::Tenant;

use crate::api::Api;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Tenants: one customer's Odoo each, with its own database and history
#[derive(Debug, Subcommand)]
pub enum Command {
    Create(create::Create),
    List(list::List),
    Show(show::Show),
    Peek(peek::Peek),
    Set(set::Set),
    Suspend(suspend::Suspend),
    Resume(resume::Resume),
    Archive(archive::Archive),
    Shred(shred::Shred),
}

impl Command {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Create(command) => command.run(context).await,
            Self::List(command) => command.run(context).await,
            Self::Show(command) => command.run(context).await,
            Self::Peek(command) => command.run(context).await,
            Self::Set(command) => command.run(context).await,
            Self::Suspend(command) => command.run(context).await,
            Self::Resume(command) => command.run(context).await,
            Self::Archive(command) => command.run(context).await,
            Self::Shred(command) => command.run(context).await,
        }
    }
}

/// The tenant's name once more, typed below what it is, with a warning of what
/// is about to be done: `verb`, which `what` is a noun of.
async fn typed_name(
    context: &Context,
    api: &Api,
    tenant: &str,
    warning: &str,
    (what, verb): (&str, &str),
) -> Result<String, Failure> {
    let tenant = api.tenant(tenant).await?;
    context.output.note(show::text(&tenant));
    let hint = format!("nothing was changed; add --confirm {} to {verb} it", tenant.name);
    context.ask(&format!("{warning} The tenant's name, to go on:"), what, &hint)
}

/// Waits until the worker has seen the tenant's Odoo in that state; two
/// minutes at most.
pub async fn until(api: &Api, name: &str, wanted: Serving) -> Result<Tenant, Failure> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
    loop {
        let tenant = api.tenant(name).await?;
        if tenant.serving == wanted {
            return Ok(tenant);
        }
        if tokio::time::Instant::now() >= deadline {
            let detail = format!("{name} is {} and not yet {wanted} after two minutes", tenant.serving);
            return Err(Failure::new(Exit::Failed, "not-seen", detail)
                .hint(format!("`heddle logs {name}` shows what its Odoo says")));
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

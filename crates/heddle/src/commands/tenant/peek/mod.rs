mod end;
mod list;
mod open;
mod psql;

use std::time::Duration;

use clap::{Args, Subcommand};
use protocol::api::Peek as Shown;
use tokio::time::Instant;
use uuid::Uuid;

use crate::api::Api;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::time::local_exact;

/// How long the worker may take to remove one.
const GONE: Duration = Duration::from_secs(60);

/// Read a tenant's database as it was at any second
///
/// The state is made beside what is served, out of the repository. For a while
/// it can be connected to on its worker's host, by one role that can read
/// everything and write nothing; then nothing is left of it. The tenant serves
/// on, and its history does not change.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_long_help = "Examples:\n  heddle tenant peek acme --at '2 minutes ago'\n  \
        heddle tenant peek acme --snapshot before-upgrade --for 15m --psql\n  \
        heddle tenant peek acme --latest -- -c 'SELECT count(*) FROM res_partner'\n  heddle tenant peek list acme"
)]
pub struct Peek {
    #[command(flatten)]
    open: open::Open,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::List),
    End(end::End),
}

impl Peek {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self.command {
            Some(Command::List(command)) => command.run(context).await,
            Some(Command::End(command)) => command.run(context).await,
            None => self.open.run(context).await,
        }
    }
}

/// What it shows: "the snapshot x", "2026-11-21 10:00:00", "0/3000148", "the newest state".
fn shows(peek: &Shown) -> String {
    match (&peek.snapshot, peek.at, &peek.lsn) {
        (Some(snapshot), ..) => format!("the snapshot {snapshot}"),
        (_, Some(at), _) => local_exact(at),
        (_, _, Some(lsn)) => lsn.clone(),
        _ => "the newest state".to_owned(),
    }
}

/// Ends one, and waits until nothing is left of it.
async fn end(api: &Api, tenant: &str, peek: Uuid) -> Result<Shown, Failure> {
    api.end_peek(tenant, peek).await?;
    let deadline = Instant::now() + GONE;
    loop {
        let found = api.peek(tenant, peek).await?;
        if !found.state.is_live() {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            let detail = format!("the peek {peek} is {} and not yet gone", found.state);
            return Err(Failure::new(Exit::TimedOut, "not-gone", detail)
                .hint("its worker removes it; `heddle status` shows whether that runs"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

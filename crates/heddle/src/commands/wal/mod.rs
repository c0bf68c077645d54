mod fetch;
mod push;

use std::process::ExitCode;

use archive::client::ClientError;
use clap::Subcommand;

use crate::failure::Failure;

/// What PostgreSQL runs to archive its WAL and to get it back
///
/// Started often and by a cluster's own user: no settings, no runtime.
#[derive(Debug, Subcommand)]
#[command(hide = true)]
pub enum Command {
    Push(push::Push),
    Fetch(fetch::Fetch),
}

impl Command {
    pub fn run(&self) -> ExitCode {
        match self {
            Self::Push(command) => command.run(),
            Self::Fetch(command) => command.run(),
        }
    }
}

/// Into PostgreSQL's log.
fn complain(what: &str, error: &ClientError) {
    eprint!("{}", Failure::while_trying(what, error).render(false));
}

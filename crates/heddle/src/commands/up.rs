use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::up;

/// Run everything on this machine, until Ctrl-C
///
/// Starts the management database, control, a worker and the router, and starts
/// again whichever of them ends. What an earlier `up` that was killed has left
/// running is taken over. Ctrl-C stops it all in order; a second one does not
/// wait for work under way.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  heddle up\n  \
    heddle up --data /srv/heddle --one-time-password\n  \
    HEDDLE_LISTEN_ROUTER=0.0.0.0:80 HEDDLE_BASE_DOMAIN=example.com heddle up")]
pub struct Up {
    /// Print a one-time password for the console, as long as none has been chosen
    #[arg(long)]
    one_time_password: bool,
}

impl Up {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let local = tokio::task::LocalSet::new();
        local.run_until(up::run(context, self.one_time_password)).await
    }
}

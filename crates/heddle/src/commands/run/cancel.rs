use std::time::Duration;

use clap::Args;
use uuid::Uuid;

use crate::context::Context;
use crate::failure::Failure;
use crate::follow::Wait;

/// Cancel a run
///
/// A queued run ends at once, one under way when its worker has stopped it.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle run cancel 019a1b2c-3d4e-7f50-8a6b-7c8d9e0f1a2b")]
pub struct Cancel {
    /// Its id, as `heddle run list` shows it
    id: Uuid,
    #[command(flatten)]
    wait: Wait,
}

impl Cancel {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let api = context.api()?;
        let mut run = api.change_run(self.id, "cancel").await?;
        while self.wait.wanted() && !run.state.ended() {
            tokio::time::sleep(Duration::from_millis(250)).await;
            run = api.run(self.id).await?;
        }
        context.output.result(&run, |run| format!("The run is {}.\n", run.state))
    }
}

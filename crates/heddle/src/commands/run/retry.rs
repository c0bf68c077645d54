use clap::Args;
use uuid::Uuid;

use crate::context::Context;
use crate::failure::Failure;
use crate::follow::Wait;

/// Queue a failed, cancelled or dead run again
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle run retry 019a1b2c-3d4e-7f50-8a6b-7c8d9e0f1a2b")]
pub struct Retry {
    /// Its id, as `heddle run list` shows it
    id: Uuid,
    #[command(flatten)]
    wait: Wait,
}

impl Retry {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let api = context.api()?;
        let mut run = api.change_run(self.id, "retry").await?;
        if self.wait.wanted() {
            run = context.follow(&api, run.id, "the run").await?;
        }
        context.output.result(&run, super::show::text)
    }
}

use clap::Args;
use uuid::Uuid;

use crate::context::Context;
use crate::failure::Failure;

/// Follow a run to its end
///
/// Ends with the run's own result; Ctrl-C leaves it running.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle run follow 019a1b2c-3d4e-7f50-8a6b-7c8d9e0f1a2b")]
pub struct Follow {
    /// Its id, as `heddle run list` shows it
    id: Uuid,
}

impl Follow {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let api = context.api()?;
        let run = context.follow(&api, self.id, "the run").await?;
        context.output.result(&run, super::show::text)
    }
}

use clap::Args;
use uuid::Uuid;

use crate::context::Context;
use crate::failure::Failure;

/// Say that you look at an alert
///
/// It resolves by itself when its condition has not held for a minute.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle alert acknowledge 019a1b2c-3d4e-7f50-8a6b-7c8d9e0f1a2b")]
pub struct Acknowledge {
    /// Its id, as `heddle alert list` shows it
    id: Uuid,
}

impl Acknowledge {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let alert = context.api()?.acknowledge_alert(self.id).await?;
        context.output.result(&alert, |alert| {
            format!(
                "{} is acknowledged by {}.\n",
                alert.kind,
                alert.acknowledged_by.as_deref().unwrap_or("?")
            )
        })
    }
}

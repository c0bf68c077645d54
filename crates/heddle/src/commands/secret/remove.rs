use clap::Args;
use serde_json::json;

use super::Of;
use crate::context::Context;
use crate::failure::Failure;

/// Remove a secret with all its values
///
/// Odoos that run have it until they are started again.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle secret remove SMTP_PASSWORD --tenant acme")]
pub struct Remove {
    /// Its name
    name: String,
    #[command(flatten)]
    of: Of,
    /// Only if this is its present version
    #[arg(long, value_name = "VERSION")]
    version: Option<i64>,
}

impl Remove {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        context.api()?.remove_secret(&self.name, &self.of.into(), self.version).await?;
        context.output.result(&json!({"removed": self.name}), |_| format!("{} is removed.\n", self.name))
    }
}

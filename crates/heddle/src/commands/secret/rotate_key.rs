use clap::Args;
use serde_json::json;

use crate::commands::user;
use crate::context::Context;
use crate::failure::Failure;

/// Renew the key that all secrets' keys are kept under
///
/// Values stay as they are; only the keys that they are sealed with are wrapped
/// anew. Works on the machine of the data folder, while control runs. Copies of
/// the old key file no longer open anything but old copies of the database.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle secret rotate-key")]
pub struct RotateKey {}

impl RotateKey {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let keys = user::connect(&context.settings).await?.rotate_secrets_key().await?;
        let file = context.settings.secrets_key.display();
        context.output.result(&json!({"data_keys": keys}), |_| {
            format!("{keys} data keys are wrapped by a new key in {file}. Keep a copy of it elsewhere.\n")
        })
    }
}

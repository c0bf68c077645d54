use clap::Args;
use uuid::Uuid;

use crate::context::Context;
use crate::failure::Failure;

/// Revoke an API key, for good and from the next request on
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle key revoke 019a1b2c-3d4e-7f50-8a6b-7c8d9e0f1a2b")]
pub struct Revoke {
    /// Its id, as `heddle key list` shows it
    id: Uuid,
}

impl Revoke {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let key = context.api()?.revoke_key(self.id).await?;
        context.output.result(&key, |key| format!("The key {} ({}) is revoked.\n", key.prefix, key.name))
    }
}

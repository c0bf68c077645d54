use clap::Args;
use serde_json::json;

use crate::context::Context;
use crate::failure::Failure;

/// End a membership, with what was granted beyond its role
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle member remove demo ada@example.com")]
pub struct Remove {
    /// The project
    project: String,
    /// The member's login
    login: String,
    /// Only if this is the member's present version
    #[arg(long, value_name = "VERSION")]
    version: Option<i64>,
}

impl Remove {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        context.api()?.remove_member(&self.project, &self.login, self.version).await?;
        let removed = json!({"removed": self.login, "project": self.project});
        context
            .output
            .result(&removed, |_| format!("{} is no member of {} any more.\n", self.login, self.project))
    }
}

use clap::Args;
use model::access::Permission;
use serde_json::json;

use crate::context::Context;
use crate::failure::Failure;

/// Take back what was granted to a member in one environment
#[derive(Debug, Args)]
#[command(
    after_long_help = "Example:\n  heddle member withdraw demo ada@example.com operate --env production"
)]
pub struct Withdraw {
    /// The project
    project: String,
    /// The member's login
    login: String,
    /// test, develop or operate
    permission: Permission,
    /// The environment, by its name in the project
    #[arg(long, value_name = "ENVIRONMENT")]
    env: String,
}

impl Withdraw {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        context.api()?.withdraw(&self.project, &self.env, &self.login, self.permission).await?;
        let place = format!("{}/{}", self.project, self.env);
        let withdrawn = json!({"withdrawn": self.permission, "login": self.login, "environment": place});
        context.output.result(&withdrawn, |_| {
            format!("{} is not granted to {} in {place} any more.\n", self.permission, self.login)
        })
    }
}

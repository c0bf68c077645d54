mod list;
mod remove;
mod set;

use clap::{Args, Subcommand};
use model::policy::Act;
use model::project::Stage;
use protocol::api::Policy;

use crate::api::Api;
use crate::context::Context;
use crate::failure::Failure;

/// Policies: which acts take the approval of others
#[derive(Debug, Subcommand)]
pub enum Command {
    List(list::List),
    Set(set::Set),
    Remove(remove::Remove),
}

impl Command {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::List(command) => command.run(context).await,
            Self::Set(command) => command.run(context).await,
            Self::Remove(command) => command.run(context).await,
        }
    }
}

/// Which policy.
#[derive(Debug, Clone, Args)]
struct Which {
    /// The project
    project: String,
    /// restore, snapshot, provision, archive_tenant, destroy_environment, set_secret or change_policy
    act: Act,
    /// Only in this environment of the project
    #[arg(long, value_name = "NAME", conflicts_with = "stage")]
    env: Option<String>,
    /// Only in environments of this stage
    #[arg(long)]
    stage: Option<Stage>,
}

impl Which {
    async fn find(&self, api: &Api) -> Result<Option<Policy>, Failure> {
        let policies = api.policies(Some(&self.project)).await?;
        Ok(policies.into_iter().find(|policy| {
            (policy.act, &policy.environment, policy.stage) == (self.act, &self.env, self.stage)
        }))
    }
}

/// `production`, `the environment live` or `everywhere`
fn place(policy: &Policy) -> String {
    match (&policy.environment, policy.stage) {
        (Some(name), _) => format!("the environment {name}"),
        (None, Some(stage)) => stage.to_string(),
        (None, None) => "everywhere".into(),
    }
}

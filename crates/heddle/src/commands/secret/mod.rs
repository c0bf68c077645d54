mod list;
mod remove;
mod rotate_key;
mod set;

use clap::{Args, Subcommand};
use protocol::api::SecretsOf;

use crate::context::Context;
use crate::failure::Failure;

/// Secrets that tenants' Odoos find in their environment
#[derive(Debug, Subcommand)]
pub enum Command {
    Set(set::Set),
    List(list::List),
    Remove(remove::Remove),
    RotateKey(rotate_key::RotateKey),
}

impl Command {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Set(command) => command.run(context).await,
            Self::List(command) => command.run(context).await,
            Self::Remove(command) => command.run(context).await,
            Self::RotateKey(command) => command.run(context).await,
        }
    }
}

/// Whose a secret is; what is nearer to a tenant goes before what is wider.
#[derive(Debug, Clone, Args)]
#[group(id = "of", required = true, multiple = false)]
struct Of {
    /// All tenants of a project
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,
    /// All tenants of an environment
    #[arg(long, value_name = "PROJECT/ENVIRONMENT")]
    env: Option<String>,
    /// One tenant
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
}

impl From<Of> for SecretsOf {
    fn from(of: Of) -> Self {
        Self { project: of.project, environment: of.env, tenant: of.tenant }
    }
}

/// `tenant acme`
fn owner(secret: &protocol::api::Secret) -> String {
    match (&secret.tenant, &secret.environment) {
        (Some(tenant), _) => format!("tenant {tenant}"),
        (None, Some(environment)) => format!("environment {environment}"),
        (None, None) => format!("project {}", secret.project),
    }
}

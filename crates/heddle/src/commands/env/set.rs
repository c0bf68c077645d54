use clap::Args;
use protocol::api::ChangeEnvironment;
use uuid::Uuid;

use crate::context::Context;
use crate::failure::Failure;

/// Give an environment another build, while it has no tenants
///
/// Refused if somebody else changes the environment at the same time.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Example:\n  heddle env set demo/staging --build 019a1b2c-3d4e-7f50-8a6b-7c8d9e0f1a2b"
)]
pub struct Set {
    /// Such as `demo/staging`
    #[arg(value_name = "PROJECT/NAME", value_parser = super::address)]
    environment: (String, String),
    /// A ready build of its project
    #[arg(long, value_name = "ID")]
    build: Uuid,
    /// Only if it is still at this version [default: the one it has now]
    #[arg(long, value_name = "NUMBER")]
    version: Option<i64>,
}

impl Set {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let (project, name) = &self.environment;
        let api = context.api()?;
        let version = match self.version {
            Some(version) => version,
            None => api.environment(project, name).await?.version,
        };
        let change = ChangeEnvironment { build: self.build };
        let environment = api.change_environment(project, name, version, &change).await?;
        context.output.result(&environment, |environment| {
            format!("{}/{} has the build {}.\n", environment.project, environment.name, environment.build)
        })
    }
}

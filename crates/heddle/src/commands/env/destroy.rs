use clap::Args;
use model::project::Stage;
use model::tenant::{Serving, TenantState};

use crate::commands::tenant;
use crate::context::Context;
use crate::failure::Failure;
use crate::follow::Wait;

/// End an environment for good, and archive its tenants
///
/// Their histories are kept until retention drops them. For production its name
/// is asked for once more. Refused while a tenant is being made or restored.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  heddle env destroy demo/try-18\n  \
    heddle env destroy demo/production --confirm production")]
pub struct Destroy {
    /// Which one
    #[arg(value_name = "PROJECT/ENVIRONMENT", value_parser = super::address)]
    environment: (String, String),
    /// The environment's name once more, instead of being asked for it
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    #[command(flatten)]
    wait: Wait,
}

impl Destroy {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let (project, name) = self.environment;
        let api = context.api()?;
        let environment = api.environment(&project, &name).await?;
        let mut tenants = api.tenants(Some(&format!("{project}/{name}"))).await?;
        tenants.retain(|tenant| tenant.state != TenantState::Archived);
        let confirm = match self.confirm {
            None if environment.stage == Stage::Production => {
                let names: Vec<&str> = tenants.iter().map(|tenant| tenant.name.as_str()).collect();
                context.output.note(format!(
                    "{project}/{name} is production. Its tenants go out of service for good: {}",
                    if names.is_empty() { "it has none".to_owned() } else { names.join(", ") }
                ));
                let hint = format!("nothing was changed; add --confirm {name} to destroy it");
                let question = "There is no way back. The environment's name, to go on:";
                Some(context.ask(question, "destroying production", &hint)?)
            }
            given => given,
        };
        let ended = api.destroy_environment(&project, &name, confirm).await?;
        if self.wait.wanted() {
            for tenant in &tenants {
                tenant::until(&api, &tenant.name, Serving::Stopped).await?;
            }
        }
        context.output.result(&ended, |_| match tenants.len() {
            0 => format!("{project}/{name} is destroyed.\n"),
            n => format!("{project}/{name} is destroyed, and {n} tenants are archived.\n"),
        })
    }
}

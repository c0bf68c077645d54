use clap::Args;
use protocol::api::Tenant;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::table;

/// List tenants with their state and address
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  heddle tenant list\n  heddle tenant list demo/production")]
pub struct List {
    /// Only this environment's
    #[arg(value_name = "PROJECT/ENVIRONMENT")]
    environment: Option<String>,
}

impl List {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let tenants = context.api()?.tenants(self.environment.as_deref()).await?;
        context.output.result(&tenants, |tenants| text(tenants))
    }
}

pub fn text(tenants: &[Tenant]) -> String {
    let rows = tenants.iter().map(|tenant| {
        [
            tenant.name.clone(),
            tenant.environment.clone(),
            tenant.state.to_string(),
            tenant.serving.to_string(),
            tenant.url.clone(),
        ]
    });
    let empty = "No tenants yet. Create one: heddle tenant create NAME --env PROJECT/ENVIRONMENT";
    table(["name", "environment", "state", "odoo", "address"], rows, empty)
}

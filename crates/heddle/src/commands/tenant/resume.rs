use clap::Args;
use model::tenant::Serving;

use crate::context::Context;
use crate::failure::Failure;
use crate::follow::Wait;

/// Bring a suspended tenant back
///
/// Waits until its login form is seen.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle tenant resume acme")]
pub struct Resume {
    /// Its name
    tenant: String,
    #[command(flatten)]
    wait: Wait,
}

impl Resume {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let api = context.api()?;
        let mut tenant = api.resume_tenant(&self.tenant).await?;
        if self.wait.wanted() {
            tenant = super::until(&api, &self.tenant, Serving::Serving).await?;
        }
        context.output.result(&tenant, |tenant| {
            format!("{} is {}, its Odoo is {}.\n", tenant.name, tenant.state, tenant.serving)
        })
    }
}

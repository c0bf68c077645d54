use clap::Args;
use model::tenant::Serving;

use crate::context::Context;
use crate::failure::Failure;
use crate::follow::Wait;

/// Suspend a tenant: its visitors see a page that says so
///
/// Its Odoo is stopped; its database, files and history stay. Waits until Odoo has stopped.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle tenant suspend acme")]
pub struct Suspend {
    /// Its name
    tenant: String,
    #[command(flatten)]
    wait: Wait,
}

impl Suspend {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let api = context.api()?;
        let mut tenant = api.suspend_tenant(&self.tenant).await?;
        if self.wait.wanted() {
            tenant = super::until(&api, &self.tenant, Serving::Stopped).await?;
        }
        context.output.result(&tenant, |tenant| {
            format!("{} is {}, its Odoo is {}.\n", tenant.name, tenant.state, tenant.serving)
        })
    }
}

use clap::Args;
use model::tenant::Serving;

use crate::context::Context;
use crate::failure::Failure;
use crate::follow::Wait;

/// Take a tenant out of service for good
///
/// Its history is kept until retention drops it.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle tenant archive acme --confirm acme")]
pub struct Archive {
    /// Its name
    tenant: String,
    #[command(flatten)]
    wait: Wait,
    /// The tenant's name once more, instead of being asked for it
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
}

impl Archive {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let api = context.api()?;
        let name = match self.confirm {
            Some(name) => name,
            None => {
                let warning = "There is no way back.";
                super::typed_name(context, &api, &self.tenant, warning, ("archiving", "archive")).await?
            }
        };
        let mut tenant = api.archive_tenant(&self.tenant, &name).await?;
        if self.wait.wanted() {
            tenant = super::until(&api, &self.tenant, Serving::Stopped).await?;
        }
        context.output.result(&tenant, |tenant| {
            format!("{} is {}, its Odoo is {}.\n", tenant.name, tenant.state, tenant.serving)
        })
    }
}

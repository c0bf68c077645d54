use clap::Args;
use protocol::api::Tenant;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{bytes, facts};
use crate::time::local;

/// Show a tenant
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle tenant show acme")]
pub struct Show {
    /// Its name
    tenant: String,
}

impl Show {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let tenant = context.api()?.tenant(&self.tenant).await?;
        context.output.result(&tenant, text)
    }
}

pub fn text(tenant: &Tenant) -> String {
    facts([
        ("tenant", tenant.name.clone()),
        ("address", tenant.url.clone()),
        ("environment", tenant.environment.clone()),
        ("state", tenant.state.to_string()),
        ("odoo", tenant.serving.to_string()),
        ("database", tenant.database.clone()),
        ("tier", tenant.tier.to_string()),
        (
            "limits",
            format!(
                "{} users, {} of storage, {} AI operations a day",
                tenant.max_users,
                bytes(u64::try_from(tenant.max_storage_bytes).unwrap_or(0)),
                tenant.max_ai_operations_per_day
            ),
        ),
        ("subscription ends", tenant.subscription_ends_at.map(local).unwrap_or_default()),
        ("lineage", tenant.lineage.map(|id| id.to_string()).unwrap_or_default()),
        ("cluster", tenant.cluster_state.map(|state| state.to_string()).unwrap_or_default()),
        ("restorable from", tenant.restorable_from.map(local).unwrap_or_default()),
        ("shredded", tenant.shredded_at.map(local).unwrap_or_default()),
        ("created", local(tenant.created_at)),
    ])
}

use clap::Args;
use jiff::SignedDuration;
use protocol::api::{Tenant, WalLag};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{bytes, facts};
use crate::time::{local, rough};

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

/// What would be lost with the host, in words.
pub fn behind(lag: &WalLag) -> String {
    let behind = match lag.bytes {
        0 if lag.ms < 1000 => "nothing".to_owned(),
        count => {
            let since = SignedDuration::from_millis(i64::try_from(lag.ms).unwrap_or(i64::MAX));
            format!("{} of WAL, since {}", bytes(count), rough(since))
        }
    };
    match lag.slots_lost {
        0 => behind,
        1 => format!("{behind} (its slot was lost once)"),
        count => format!("{behind} (its slot was lost {count} times)"),
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
        ("not in the repository", tenant.wal_lag.map(|lag| behind(&lag)).unwrap_or_default()),
        ("restorable from", tenant.restorable_from.map(local).unwrap_or_default()),
        ("shredded", tenant.shredded_at.map(local).unwrap_or_default()),
        ("created", local(tenant.created_at)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_lost_is_told() {
        let lag = |bytes, ms, slots_lost| behind(&WalLag { bytes, ms, slots_lost });
        assert_eq!(lag(0, 0, 0), "nothing");
        assert_eq!(lag(4096, 72_000, 0), "4.0 KiB of WAL, since 72 s");
        // It cannot be reached, so that nobody knows.
        assert_eq!(lag(0, 9_500, 1), "0 B of WAL, since 9.5 s (its slot was lost once)");
    }
}

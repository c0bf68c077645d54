//! Clusters that nothing needs any more are dropped by an expire run.

use std::collections::BTreeSet;
use std::time::Duration;

use database::run::About;
use serde_json::json;

use crate::once::{Once, Queued};
use crate::{Control, Result};

/// After an expire run that left something, before the next.
const PAUSE: Duration = Duration::from_secs(10 * 60);

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub queued: u32,
}

pub async fn tick(control: &Control) -> Result<Outcome> {
    let database = control.database().await?;
    let retention = control.settings().retention();
    let retired = database::cluster::retired(&database, retention, None, PAUSE).await?;
    let tenants: BTreeSet<_> = retired.into_iter().map(|(tenant, _)| tenant).collect();
    let mut outcome = Outcome::default();
    for tenant in tenants {
        let project = crate::tenant::get(&database, tenant).await?.project_id;
        let about = About::Expire(tenant);
        if let Queued::New(_) = Once::platform(None).queue(&database, project, about, json!({})).await? {
            outcome.queued += 1;
        }
    }
    if outcome.queued > 0 {
        control.queued();
    }
    Ok(outcome)
}

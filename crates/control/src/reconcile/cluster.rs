//! Clusters that nothing needs any more are dropped by an expire run, and once
//! a day one looks through each tenant's history.

use std::collections::BTreeMap;
use std::time::Duration;

use database::run::About;
use serde_json::json;

use crate::once::{Once, Queued};
use crate::work::SWEEP;
use crate::{Control, Result};

/// After an expire run that left something, before the next.
const PAUSE: Duration = Duration::from_secs(10 * 60);

/// After an expire run, before the next that only tells the repository what was
/// said of snapshots.
const TERMS_PAUSE: Duration = Duration::from_secs(10);

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub queued: u32,
}

pub async fn tick(control: &Control) -> Result<Outcome> {
    let database = control.database().await?;
    let settings = control.settings();
    let retired = database::cluster::retired(&database, settings.retention.window(), None, PAUSE).await?;
    let mut wanted: BTreeMap<_, bool> = retired.into_iter().map(|(tenant, _)| (tenant, false)).collect();
    for due in database::tenant::expire_due(&database, settings.expire_every, TERMS_PAUSE).await? {
        *wanted.entry(due.tenant).or_default() |= due.sweep;
    }
    let mut outcome = Outcome::default();
    for (tenant, sweep) in wanted {
        let project = crate::tenant::get(&database, tenant).await?.project_id;
        let (about, payload) = (About::Expire(tenant), json!({ SWEEP: sweep }));
        if let Queued::New(_) = Once::platform(None).queue(&database, project, about, payload).await? {
            outcome.queued += 1;
        }
    }
    if outcome.queued > 0 {
        control.queued();
    }
    Ok(outcome)
}

//! Base backups that are due.

use std::time::Duration;

use database::run::About;
use serde_json::json;

use crate::once::{Once, Queued};
use crate::{Control, Result};

/// After a failed backup, before the next attempt.
const PAUSE: Duration = Duration::from_secs(10 * 60);

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub queued: u32,
}

/// Queues one for each active tenant whose lineage has none that is young enough.
pub async fn tick(control: &Control) -> Result<Outcome> {
    let database = control.database().await?;
    let mut outcome = Outcome::default();
    for due in database::backup::due(&database, control.settings().backup_every, PAUSE).await? {
        let about = About::Backup(due.tenant);
        if let Queued::New(_) = Once::platform(None).queue(&database, due.project, about, json!({})).await? {
            outcome.queued += 1;
        }
    }
    if outcome.queued > 0 {
        control.queued();
    }
    Ok(outcome)
}

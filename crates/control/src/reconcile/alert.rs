//! Alerts open when their condition holds, and resolve when it has not held
//! for a while.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use model::alert::{Facts, Key, Next, Severity, evaluate, next};

use crate::{Control, Result};

/// What a worker said of its disks longer ago says nothing of now.
const FRESH: SignedDuration = SignedDuration::from_mins(10);

/// More alerts than these are looked at in later turns.
const MOST: i64 = 10_000;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub opened: usize,
    pub resolved: usize,
}

pub async fn tick(control: &Control) -> Result<Outcome> {
    let now = database::clock::now(&control.database().await?).await?;
    tick_at(control, now).await
}

pub async fn tick_at(control: &Control, now: Timestamp) -> Result<Outcome> {
    let database = control.database().await?;
    let thresholds = control.settings().alerts;
    let facts = Facts {
        queued: u64::try_from(database::alert::queued(&database).await?).unwrap_or(0),
        stale_runs: database::alert::stale_runs(&database, now).await?,
        dead_runs: database::alert::dead_runs(&database, now).await?,
        lost_workers: database::alert::lost_workers(&database, now).await?,
        backups: database::alert::backups(&database, now, thresholds.backup_age).await?,
        restores: database::alert::restores(&database, now).await?,
        disks: database::alert::disks(&database, now, FRESH).await?,
        // Half of what opens an alert may still keep one open.
        wal: database::alert::wal(&database, thresholds.wal_bytes / 2, thresholds.wal_lag / 2).await?,
        server: database::alert::server(&database).await?,
    };
    let open = database::alert::list(&database, None, None, MOST).await?;
    let keys: BTreeSet<Key> = open.iter().map(|alert| (alert.kind, alert.subject.clone())).collect();
    let found = evaluate(&facts, &thresholds, &keys);

    let mut outcome = Outcome::default();
    let new: Vec<_> = found.iter().filter(|(key, _)| !keys.contains(*key)).collect();
    if !new.is_empty() {
        outcome.opened = database::alert::open(&database, &new, now).await?;
    }
    for ((kind, _), finding) in new {
        match finding.severity {
            Severity::Info => tracing::info!(alert = %kind, "{}", finding.detail),
            Severity::Warning | Severity::Critical => tracing::warn!(alert = %kind, "{}", finding.detail),
        }
    }
    for alert in &open {
        let finding = found.get(&(alert.kind, alert.subject.clone()));
        if let Some(finding) = finding.filter(|finding| finding.severity != alert.severity) {
            database::alert::worsen(&database, alert.id, finding).await?;
        }
        match next(finding.is_some(), alert.quiet_since, now) {
            Next::Stays => {}
            Next::QuietSince(since) => database::alert::set_quiet(&database, alert.id, since).await?,
            Next::Resolves => {
                if database::alert::resolve(&database, alert.id, now).await? {
                    tracing::info!(alert = %alert.kind, subject = alert.subject, "resolved");
                    outcome.resolved += 1;
                }
            }
        }
    }
    Ok(outcome)
}

//! Runs whose worker was not heard of in time, does not begin, or does not stop.

use std::time::Duration;

use model::run::{Loss, RunState};

use crate::{Control, Result};

/// In one transaction.
const AT_ONCE: i32 = 500;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Queued again; the next claim gives them a higher fence.
    pub requeued: u32,
    /// Lost their worker too often, or did not stop at their deadline.
    pub failed: u32,
    /// Taken though their worker was heard of.
    pub stuck: u32,
}

pub async fn tick(control: &Control) -> Result<Outcome> {
    let patience = control.patience();
    let mut outcome = Outcome::default();
    let mut connection = control.database().await?;
    loop {
        let transaction = database::begin(&mut connection).await?;
        let mut lost = database::lease::lost(&transaction, AT_ONCE, patience, None).await?;
        if lost.is_empty() {
            break;
        }
        if lost.iter().any(|lost| lost.kind.stands_alone()) {
            lost.retain(|lost| lost.kind.stands_alone());
        } else {
            // One at a time: each is whole whatever becomes of the next.
            lost.truncate(1);
        }
        let taken = crate::lease::lose(&transaction, &lost).await?;
        database::commit(transaction).await?;
        for (lost, taken) in lost.iter().zip(&taken) {
            tracing::warn!(run = %lost.run, worker = lost.worker, why = %lost.why, next = %taken.state, "taken back");
            match taken.state {
                RunState::Queued => outcome.requeued += 1,
                _ => outcome.failed += 1,
            }
            if lost.why != Loss::Expired {
                outcome.stuck += 1;
            }
        }
    }
    if outcome != Outcome::default() {
        control.metrics().lost(outcome.requeued + outcome.failed);
        control.told();
        control.queued();
        control.routed();
    }
    Ok(outcome)
}

/// Times that a worker is given, by default.
pub(crate) const TO_BEGIN: Duration = Duration::from_secs(5 * 60);
pub(crate) const SILENCE: Duration = Duration::from_secs(30 * 60);
pub(crate) const TO_STOP: Duration = Duration::from_secs(60);

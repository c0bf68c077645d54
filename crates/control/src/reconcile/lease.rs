//! Runs whose worker was not heard of in time.

use model::run::RunState;

use crate::{Control, Result};

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Queued again; the next claim gives them a higher fence.
    pub requeued: u32,
    /// Lost their worker too often.
    pub failed: u32,
}

pub async fn tick(control: &Control) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut connection = control.database().await?;
    loop {
        // One at a time: each is whole whatever becomes of the next.
        let transaction = database::begin(&mut connection).await?;
        let Some(lost) = database::lease::expired(&transaction).await? else { break };
        let next = crate::lease::lose(&transaction, &lost).await?;
        database::commit(transaction).await?;
        tracing::warn!(run = %lost.run, worker = lost.worker, next = %next, "lease expired");
        match next {
            RunState::Failed => outcome.failed += 1,
            _ => outcome.requeued += 1,
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

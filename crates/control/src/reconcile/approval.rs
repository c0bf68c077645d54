//! Approvals that nobody gave in time, and runs that were not told yet.

use crate::{Control, Result};

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub expired: i64,
    /// Runs that go on, or have ended, by a decision.
    pub settled: u32,
}

pub async fn tick(control: &Control) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let unsettled = {
        let database = control.database().await?;
        outcome.expired = database::approval::expire(&database).await?;
        database::approval::unsettled(&database).await?
    };
    for approval in unsettled {
        if control.settle_approval(approval).await? {
            outcome.settled += 1;
        }
    }
    Ok(outcome)
}

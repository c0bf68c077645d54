//! The queue itself: runs whose time has come, runs that were passed by, runs
//! past their deadline.

use crate::{Control, Result};

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Tried again, or no longer to be waited with.
    pub due: i32,
    /// Brought to the front of their lanes.
    pub passed: i32,
    /// Told to stop.
    pub overdue: i32,
}

pub async fn tick(control: &Control) -> Result<Outcome> {
    let tended = database::run::tend(&control.database().await?, control.settings().lease).await?;
    if tended.due > 0 || tended.passed > 0 {
        control.queued();
    }
    Ok(Outcome { due: tended.due, passed: tended.passed, overdue: tended.overdue })
}

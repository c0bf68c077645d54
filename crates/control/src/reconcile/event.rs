//! What runs said: a partition for each month, made ahead, and taken away when
//! its month is past what is kept.

use database::event::Partition;

use crate::{Control, Result};

/// Months.
const AHEAD: i32 = 3;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub partitions: Vec<Partition>,
}

pub async fn tick(control: &Control) -> Result<Outcome> {
    let keep = i32::try_from(control.settings().event_months.max(1)).unwrap_or(i32::MAX);
    let partitions = database::event::keep_partitions(&control.database().await?, AHEAD, keep).await?;
    Ok(Outcome { partitions })
}

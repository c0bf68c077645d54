//! Snapshots past their expiry.

use crate::{Control, Result};

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub expired: u64,
}

pub async fn tick(control: &Control) -> Result<Outcome> {
    Ok(Outcome { expired: database::snapshot::expire(&control.database().await?).await? })
}

//! Peeks whose time is over.

use crate::{Control, Result};

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub ended: u64,
}

pub async fn tick(control: &Control) -> Result<Outcome> {
    Ok(Outcome { ended: database::peek::expire(&control.database().await?).await? })
}

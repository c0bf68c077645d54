//! When API keys were last used: noted in memory with each request, written
//! here for all of them at once.

use crate::{Control, Result};

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {}

pub async fn tick(control: &Control) -> Result<Outcome> {
    control.note_used_keys().await?;
    Ok(Outcome {})
}

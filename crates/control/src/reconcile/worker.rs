//! Workers that have fallen silent.

use crate::{Control, Result};

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Names of those found silent now; each is told once.
    pub gone: Vec<String>,
}

/// Their tenants go on being served; their runs are taken by the leases' end.
pub async fn tick(control: &Control) -> Result<Outcome> {
    let silence = control.settings().worker_silence;
    let gone = database::worker::gone(&control.database().await?, silence).await?;
    Ok(Outcome { gone })
}

//! Sessions that were idle for too long, and wrong passwords of yesterday.

use crate::{Control, Result};

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub sessions: u64,
    pub sign_in_failures: u64,
}

pub async fn tick(control: &Control) -> Result<Outcome> {
    let database = control.database().await?;
    Ok(Outcome {
        sessions: database::session::end_idle(&database).await?,
        sign_in_failures: database::sign_in_failure::forget(&database).await?,
    })
}

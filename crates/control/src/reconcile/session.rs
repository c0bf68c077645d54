//! Sessions that were idle for too long, wrong passwords of yesterday, and
//! idempotency keys of last month.

use crate::{Control, Result};

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub sessions: u64,
    pub sign_in_failures: u64,
    pub requests: u64,
}

pub async fn tick(control: &Control) -> Result<Outcome> {
    let database = control.database().await?;
    Ok(Outcome {
        sessions: database::session::end_idle(&database).await?,
        sign_in_failures: database::sign_in_failure::forget(&database).await?,
        requests: database::request::forget(&database).await?,
    })
}

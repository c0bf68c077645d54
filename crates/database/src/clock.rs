//! The database's clock, which all times of the platform are compared with.

use jiff::Timestamp;

use crate::query::{Only, Query, query};
use crate::{On, Result};

const NOW: Query = query!("clock/now");

pub async fn now(on: &impl On) -> Result<Timestamp> {
    Ok(NOW.one::<Only<Timestamp>>(on, &[]).await?.0)
}

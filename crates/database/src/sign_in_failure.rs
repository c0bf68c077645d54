use std::time::Duration;

use crate::query::{Only, Query, query};
use crate::{On, Result};

const FIND: Query = query!("sign_in_failure/find");
const RECORD: Query = query!("sign_in_failure/record");
const CLEAR: Query = query!("sign_in_failure/clear");
const FORGET: Query = query!("sign_in_failure/forget");

/// How long a login is still locked at an address.
pub async fn locked(on: &impl On, login: &str, address: &str) -> Result<Option<Duration>> {
    let left: Option<Only<f64>> = FIND.first(on, &[&login, &address]).await?;
    Ok(left.filter(|left| left.0 > 0.0).map(|left| Duration::from_secs_f64(left.0)))
}

/// Notes a wrong password; from the fifth within an hour on, each locks the
/// login at the address for longer.
pub async fn record(on: &impl On, login: &str, address: &str) -> Result<i32> {
    Ok(RECORD.one::<Only<i32>>(on, &[&login, &address]).await?.0)
}

pub async fn clear(on: &impl On, login: &str, address: &str) -> Result<()> {
    CLEAR.run(on, &[&login, &address]).await.map(drop)
}

/// Forgets those of yesterday.
pub async fn forget(on: &impl On) -> Result<u64> {
    FORGET.run(on, &[]).await
}

use std::time::Duration;

use jiff::Timestamp;
use model::WorkerId;

use crate::query::{Columns, Only, Query, Read, query};
use crate::{On, Result};

const REGISTER: Query = query!("worker/register");
const SEEN: Query = query!("worker/seen");
const LIST: Query = query!("worker/list");
const GONE: Query = query!("worker/gone");

#[derive(Debug, Clone)]
pub struct Worker {
    pub id: WorkerId,
    pub name: String,
    pub version: String,
    pub seen_at: Timestamp,
    pub gone_at: Option<Timestamp>,
}

impl Read for Worker {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            id: columns.id("id")?,
            name: columns.get("name")?,
            version: columns.get("version")?,
            seen_at: columns.get("seen_at")?,
            gone_at: columns.get("gone_at")?,
        })
    }
}

/// The id of a worker's name: `id` if the name is new, else the one it has.
pub async fn register(on: &impl On, id: WorkerId, name: &str, version: &str) -> Result<WorkerId> {
    Ok(WorkerId(REGISTER.one::<Only<uuid::Uuid>>(on, &[&id.0, &name, &version]).await?.0))
}

/// Notes that it lives; false: there is no such worker.
pub async fn seen(on: &impl On, worker: WorkerId) -> Result<bool> {
    Ok(SEEN.one::<Only<bool>>(on, &[&worker.0]).await?.0)
}

pub async fn list(on: &impl On) -> Result<Vec<Worker>> {
    LIST.all(on, &[]).await
}

/// The names of those found silent for so long, each told once.
pub async fn gone(on: &impl On, silence: Duration) -> Result<Vec<String>> {
    let names: Vec<Only<String>> = GONE.all(on, &[&silence.as_secs_f64()]).await?;
    Ok(names.into_iter().map(|only| only.0).collect())
}

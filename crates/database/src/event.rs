use jiff::Timestamp;
use model::RunId;
use model::run::Level;

use crate::query::{Columns, Query, Read, query};
use crate::{On, Result};

const APPEND: Query = query!("event/append");
const LIST: Query = query!("event/list");

/// Characters of a message that are kept.
pub const LONGEST: usize = 8192;

#[derive(Debug, Clone)]
pub struct NewEvent {
    pub at: Timestamp,
    pub level: Level,
    /// At most `LONGEST` characters.
    pub message: String,
    /// From 0 to 1.
    pub progress: Option<f64>,
}

#[derive(Debug, Clone)]
pub struct Event {
    pub id: i64,
    pub at: Timestamp,
    pub level: Level,
    pub message: String,
    pub progress: Option<f64>,
}

impl Read for Event {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            id: columns.get("id")?,
            at: columns.get("at")?,
            level: columns.written("level")?,
            message: columns.get("message")?,
            progress: columns.get("progress")?,
        })
    }
}

/// In the given order; an event sent again is not appended again. The caller holds the run's lock, so that whoever reads
/// on from an id misses none.
pub async fn append(on: &impl On, run: RunId, events: &[NewEvent]) -> Result<()> {
    let at: Vec<Timestamp> = events.iter().map(|event| event.at).collect();
    let levels: Vec<&str> = events.iter().map(|event| event.level.as_str()).collect();
    let messages: Vec<&str> = events.iter().map(|event| event.message.as_str()).collect();
    let progress: Vec<Option<f64>> = events.iter().map(|event| event.progress).collect();
    APPEND.run(on, &[&run.0, &at, &levels, &messages, &progress]).await.map(drop)
}

/// At most 1,000 whose id is greater than `after`, in order.
pub async fn list(on: &impl On, run: RunId, after: i64) -> Result<Vec<Event>> {
    LIST.all(on, &[&run.0, &after]).await
}

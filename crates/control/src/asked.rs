use std::fmt;

use model::{ApiKeyId, ScheduleId, UserId};

/// Who asks for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Requester {
    User(UserId),
    ApiKey(ApiKeyId),
    /// Control, when a schedule's time has come.
    Schedule(ScheduleId),
    /// Control itself: what follows from a recorded fact.
    Platform,
}

impl fmt::Display for Requester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::ApiKey(id) => write!(f, "key:{id}"),
            Self::Schedule(id) => write!(f, "schedule:{id}"),
            Self::Platform => f.write_str("platform"),
        }
    }
}

/// Who asks, and the key under which asking twice is asking once.
#[derive(Debug, Clone)]
pub struct Asked {
    pub by: Requester,
    /// Unique per requester. The same key with another request is refused.
    pub idempotency_key: Option<String>,
}

impl Asked {
    pub fn by(by: Requester) -> Self {
        Self { by, idempotency_key: None }
    }

    #[must_use]
    pub fn once(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }
}

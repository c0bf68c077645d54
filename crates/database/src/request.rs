//! What idempotency keys have made, where no run keeps the key.

use uuid::Uuid;

use crate::query::{Columns, Query, Read, query};
use crate::{On, Result};

const FIND: Query = query!("request/find");
const INSERT: Query = query!("request/insert");
const FORGET: Query = query!("request/forget");

#[derive(Debug, Clone)]
pub struct Request {
    /// SHA-256 of what was asked for.
    pub request_hash: Vec<u8>,
    pub made: Uuid,
}

impl Read for Request {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self { request_hash: columns.get("request_hash")?, made: columns.get("made")? })
    }
}

pub async fn find(on: &impl On, requester: &str, key: &str) -> Result<Option<Request>> {
    FIND.first(on, &[&requester, &key]).await
}

/// False: the key has made something already.
pub async fn insert(on: &impl On, requester: &str, key: &str, hash: &[u8], made: Uuid) -> Result<bool> {
    Ok(INSERT.run(on, &[&requester, &key, &hash, &made]).await? == 1)
}

/// Drops those of long ago; how many.
pub async fn forget(on: &impl On) -> Result<u64> {
    FORGET.run(on, &[]).await
}

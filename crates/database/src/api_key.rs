use jiff::Timestamp;
use model::ApiKeyId;

use crate::query::{Columns, Query, Read, query};
use crate::{On, Result};

const INSERT: Query = query!("api_key/insert");
const LIST: Query = query!("api_key/list");
const FIND: Query = query!("api_key/find");
const GET: Query = query!("api_key/get");
const USED: Query = query!("api_key/used");
const REVOKE: Query = query!("api_key/revoke");

#[derive(Debug, Clone)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub name: String,
    pub prefix: String,
    /// SHA-256.
    pub secret_hash: Vec<u8>,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

impl Read for ApiKey {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            id: columns.id("id")?,
            name: columns.get("name")?,
            prefix: columns.get("prefix")?,
            secret_hash: columns.get("secret_hash")?,
            created_at: columns.get("created_at")?,
            last_used_at: columns.get("last_used_at")?,
            revoked_at: columns.get("revoked_at")?,
        })
    }
}

pub async fn insert(on: &impl On, id: ApiKeyId, name: &str, prefix: &str, secret_hash: &[u8]) -> Result<()> {
    INSERT.run(on, &[&id.0, &name, &prefix, &secret_hash]).await.map(drop)
}

/// Newest first.
pub async fn list(on: &impl On) -> Result<Vec<ApiKey>> {
    LIST.all(on, &[]).await
}

pub async fn find(on: &impl On, prefix: &str) -> Result<Option<ApiKey>> {
    FIND.first(on, &[&prefix]).await
}

pub async fn get(on: &impl On, id: ApiKeyId) -> Result<Option<ApiKey>> {
    GET.first(on, &[&id.0]).await
}

pub async fn used(on: &impl On, id: ApiKeyId) -> Result<()> {
    USED.run(on, &[&id.0]).await.map(drop)
}

pub async fn revoke(on: &impl On, id: ApiKeyId) -> Result<()> {
    REVOKE.run(on, &[&id.0]).await.map(drop)
}

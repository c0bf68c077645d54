use jiff::Timestamp;
use model::access::Permission;
use model::{ApiKeyId, ProjectId, UserId};
use uuid::Uuid;

use crate::query::{Columns, Query, Read, query};
use crate::{On, Result};

const INSERT: Query = query!("api_key/insert");
const LIST: Query = query!("api_key/list");
const FIND: Query = query!("api_key/find");
const GET: Query = query!("api_key/get");
const USED: Query = query!("api_key/used");
const REVOKE: Query = query!("api_key/revoke");

/// A key as it is shown.
#[derive(Debug, Clone)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub name: String,
    pub prefix: String,
    /// Whose it is; None: the installation's.
    pub login: Option<String>,
    /// The one project in which it is good, if it is only good in one.
    pub project: Option<String>,
    pub scopes: Vec<Permission>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

impl Read for ApiKey {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            id: columns.id("id")?,
            name: columns.get("name")?,
            prefix: columns.get("prefix")?,
            login: columns.get("login")?,
            project: columns.get("project")?,
            scopes: columns.all_written("scopes")?,
            created_at: columns.get("created_at")?,
            expires_at: columns.get("expires_at")?,
            last_used_at: columns.get("last_used_at")?,
            revoked_at: columns.get("revoked_at")?,
        })
    }
}

/// What a presented key is compared with.
#[derive(Debug, Clone)]
pub struct Presented {
    pub id: ApiKeyId,
    /// SHA-256.
    pub secret_hash: Vec<u8>,
    pub user: Option<UserId>,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    /// Since when its user may not do anything.
    pub disabled_at: Option<Timestamp>,
}

impl Read for Presented {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            id: columns.id("id")?,
            secret_hash: columns.get("secret_hash")?,
            user: columns.id_if("user_id")?,
            expires_at: columns.get("expires_at")?,
            revoked_at: columns.get("revoked_at")?,
            disabled_at: columns.get("disabled_at")?,
        })
    }
}

#[derive(Debug, Clone)]
pub struct NewApiKey<'a> {
    pub id: ApiKeyId,
    pub name: &'a str,
    pub prefix: &'a str,
    pub secret_hash: &'a [u8],
    pub user: Option<UserId>,
    pub project: Option<ProjectId>,
    pub scopes: &'a [Permission],
    pub expires_at: Option<Timestamp>,
}

pub async fn insert(on: &impl On, new: &NewApiKey<'_>) -> Result<()> {
    let scopes: Vec<&str> = new.scopes.iter().map(|scope| scope.as_str()).collect();
    INSERT
        .run(
            on,
            &[
                &new.id.0,
                &new.name,
                &new.prefix,
                &new.secret_hash,
                &new.user.map(|id| id.0),
                &new.project.map(|id| id.0),
                &scopes,
                &new.expires_at,
            ],
        )
        .await
        .map(drop)
}

/// Newest first.
pub async fn list(
    on: &impl On,
    project: Option<ProjectId>,
    after: Option<ApiKeyId>,
    at_most: i64,
) -> Result<Vec<ApiKey>> {
    LIST.all(on, &[&project.map(|id| id.0), &after.map(|id| id.0), &at_most]).await
}

pub async fn find(on: &impl On, prefix: &str) -> Result<Option<Presented>> {
    FIND.first(on, &[&prefix]).await
}

pub async fn get(on: &impl On, id: ApiKeyId) -> Result<Option<ApiKey>> {
    GET.first(on, &[&id.0]).await
}

/// Notes when keys were last used.
pub async fn used(on: &impl On, used: &[(ApiKeyId, Timestamp)]) -> Result<u64> {
    let ids: Vec<Uuid> = used.iter().map(|(id, _)| id.0).collect();
    let at: Vec<Timestamp> = used.iter().map(|(_, at)| *at).collect();
    USED.run(on, &[&ids, &at]).await
}

/// Whether there was such a key to revoke; revoked before, it counts too.
pub async fn revoke(on: &impl On, id: ApiKeyId) -> Result<bool> {
    Ok(REVOKE.run(on, &[&id.0]).await? > 0)
}

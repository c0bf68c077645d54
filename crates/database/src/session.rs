use std::time::Duration;

use jiff::Timestamp;
use model::UserId;

use crate::query::{Columns, Query, Read, query};
use crate::{On, Result};

const INSERT: Query = query!("session/insert");
const FIND: Query = query!("session/find");
const EXTEND: Query = query!("session/extend");
const PASSWORD_SET: Query = query!("session/password_set");
const END: Query = query!("session/end");
const END_OTHERS: Query = query!("session/end_others");
const END_IDLE: Query = query!("session/end_idle");

#[derive(Debug, Clone)]
pub struct Session {
    pub user: UserId,
    pub login: String,
    pub csrf: String,
    pub must_set_password: bool,
    pub expires_at: Timestamp,
}

impl Read for Session {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            user: columns.id("user_id")?,
            login: columns.get("login")?,
            csrf: columns.get("csrf")?,
            must_set_password: columns.get("must_set_password")?,
            expires_at: columns.get("expires_at")?,
        })
    }
}

/// Sessions are known by their token's SHA-256, here and below.
pub async fn insert(
    on: &impl On,
    token: &[u8],
    user: UserId,
    csrf: &str,
    must_set_password: bool,
    idle: Duration,
) -> Result<()> {
    INSERT.run(on, &[&token, &user.0, &csrf, &must_set_password, &idle.as_secs_f64()]).await.map(drop)
}

/// One that is still valid.
pub async fn find(on: &impl On, token: &[u8]) -> Result<Option<Session>> {
    FIND.first(on, &[&token]).await
}

pub async fn extend(on: &impl On, token: &[u8], idle: Duration) -> Result<()> {
    EXTEND.run(on, &[&token, &idle.as_secs_f64()]).await.map(drop)
}

pub async fn password_set(on: &impl On, token: &[u8]) -> Result<()> {
    PASSWORD_SET.run(on, &[&token]).await.map(drop)
}

pub async fn end(on: &impl On, token: &[u8]) -> Result<()> {
    END.run(on, &[&token]).await.map(drop)
}

/// Ends a user's sessions, all but the given one.
pub async fn end_others(on: &impl On, user: UserId, but: Option<&[u8]>) -> Result<()> {
    END_OTHERS.run(on, &[&user.0, &but]).await.map(drop)
}

pub async fn end_idle(on: &impl On) -> Result<u64> {
    END_IDLE.run(on, &[]).await
}

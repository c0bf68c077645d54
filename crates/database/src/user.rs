use std::time::Duration;

use jiff::Timestamp;
use model::UserId;

use crate::query::{Columns, Query, Read, query};
use crate::{On, Result};

const INSERT: Query = query!("user/insert");
const FIND: Query = query!("user/find");
const GIVE_ONE_TIME: Query = query!("user/give_one_time");
const USE_ONE_TIME: Query = query!("user/use_one_time");
const SET_PASSWORD: Query = query!("user/set_password");

#[derive(Debug, Clone)]
pub struct User {
    pub id: UserId,
    pub login: String,
    /// None before one was chosen.
    pub password_hash: Option<String>,
    /// A one-time password's, if one is still valid.
    pub one_time_hash: Option<String>,
    pub created_at: Timestamp,
}

impl Read for User {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        let valid = columns.get::<Option<bool>>("one_time_valid")?.unwrap_or(false);
        Ok(Self {
            id: columns.id("id")?,
            login: columns.get("login")?,
            password_hash: columns.get("password_hash")?,
            one_time_hash: columns.get::<Option<String>>("one_time_hash")?.filter(|_| valid),
            created_at: columns.get("created_at")?,
        })
    }
}

/// Does nothing if the login is there already.
pub async fn insert(on: &impl On, id: UserId, login: &str, operator: bool) -> Result<()> {
    INSERT.run(on, &[&id.0, &login, &operator]).await.map(drop)
}

pub async fn find(on: &impl On, login: &str) -> Result<Option<User>> {
    FIND.first(on, &[&login]).await
}

pub async fn give_one_time(on: &impl On, user: UserId, hash: &str, valid: Duration) -> Result<()> {
    GIVE_ONE_TIME.run(on, &[&user.0, &hash, &valid.as_secs_f64()]).await.map(drop)
}

/// Whether the one-time password of that hash was still there to be used.
pub async fn use_one_time(on: &impl On, user: UserId, hash: &str) -> Result<bool> {
    Ok(USE_ONE_TIME.run(on, &[&user.0, &hash]).await? > 0)
}

pub async fn set_password(on: &impl On, user: UserId, hash: &str) -> Result<()> {
    SET_PASSWORD.run(on, &[&user.0, &hash]).await.map(drop)
}

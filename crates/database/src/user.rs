use std::time::Duration;

use jiff::Timestamp;
use model::UserId;

use crate::query::{Columns, Only, Query, Read, query};
use crate::{On, Result};

const INSERT: Query = query!("user/insert");
const LIST: Query = query!("user/list");
const GET: Query = query!("user/get");
const SET_DISABLED: Query = query!("user/set_disabled");
const SET_OPERATOR: Query = query!("user/set_operator");
const END_SESSIONS: Query = query!("user/end_sessions");
const FIND: Query = query!("user/find");
const BY_LOGIN: Query = query!("user/by_login");
const GIVE_ONE_TIME: Query = query!("user/give_one_time");
const USE_ONE_TIME: Query = query!("user/use_one_time");
const SET_PASSWORD: Query = query!("user/set_password");

/// A user as control signs them in.
#[derive(Debug, Clone)]
pub struct User {
    pub id: UserId,
    pub login: String,
    /// None before one was chosen.
    pub password_hash: Option<String>,
    /// A one-time password's, if one is still valid.
    pub one_time_hash: Option<String>,
    pub disabled_at: Option<Timestamp>,
}

impl Read for User {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        let valid = columns.get::<Option<bool>>("one_time_valid")?.unwrap_or(false);
        Ok(Self {
            id: columns.id("id")?,
            login: columns.get("login")?,
            password_hash: columns.get("password_hash")?,
            one_time_hash: columns.get::<Option<String>>("one_time_hash")?.filter(|_| valid),
            disabled_at: columns.get("disabled_at")?,
        })
    }
}

/// A user as others see them.
#[derive(Debug, Clone)]
pub struct Shown {
    pub id: UserId,
    pub login: String,
    /// Runs the installation.
    pub operator: bool,
    /// Since when they may not do anything.
    pub disabled_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

impl Read for Shown {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            id: columns.id("id")?,
            login: columns.get("login")?,
            operator: columns.get("operator")?,
            disabled_at: columns.get("disabled_at")?,
            created_at: columns.get("created_at")?,
        })
    }
}

/// Whether it was made; false: the login is there already.
pub async fn insert(on: &impl On, id: UserId, login: &str, operator: bool) -> Result<bool> {
    Ok(INSERT.run(on, &[&id.0, &login, &operator]).await? > 0)
}

/// Those that the caller sees, by login.
pub async fn list(on: &impl On, after: Option<&str>, at_most: i64) -> Result<Vec<Shown>> {
    LIST.all(on, &[&after, &at_most]).await
}

pub async fn get(on: &impl On, login: &str) -> Result<Option<Shown>> {
    GET.first(on, &[&login]).await
}

pub async fn set_disabled(on: &impl On, user: UserId, disabled: bool) -> Result<bool> {
    Ok(SET_DISABLED.run(on, &[&user.0, &disabled]).await? > 0)
}

pub async fn set_operator(on: &impl On, user: UserId, operator: bool) -> Result<bool> {
    Ok(SET_OPERATOR.run(on, &[&user.0, &operator]).await? > 0)
}

/// Ends all sessions of a user, for themselves or an operator.
pub async fn end_sessions(on: &impl On, user: UserId) -> Result<()> {
    END_SESSIONS.run(on, &[&user.0]).await.map(drop)
}

pub async fn find(on: &impl On, login: &str) -> Result<Option<User>> {
    FIND.first(on, &[&login]).await
}

/// For whoever may make somebody a member.
pub async fn by_login(on: &impl On, login: &str) -> Result<Option<UserId>> {
    Ok(BY_LOGIN.first::<Only<uuid::Uuid>>(on, &[&login]).await?.map(|only| UserId(only.0)))
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

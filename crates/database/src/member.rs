use jiff::Timestamp;
use model::access::{Permission, Role};
use model::{EnvironmentId, ProjectId, UserId};

use crate::query::{Columns, Only, Query, Read, query};
use crate::{On, Result};

const SET: Query = query!("member/set");
const LIST: Query = query!("member/list");
const REMOVE: Query = query!("member/remove");
const GRANT: Query = query!("member/grant");
const WITHDRAW: Query = query!("member/withdraw");

#[derive(Debug, Clone)]
pub struct Member {
    pub user: UserId,
    pub login: String,
    pub role: Role,
    /// Grows with each change, for those who read and write in two steps.
    pub version: i64,
    /// Signs in no more.
    pub disabled: bool,
    /// An environment's name, and what may be done there beyond the role.
    pub granted: Vec<(String, Permission)>,
    pub created_at: Timestamp,
}

impl Read for Member {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        let granted = columns.get::<Vec<&str>>("granted")?.into_iter().map(|text| {
            let (environment, permission) = text.split_once(':').unwrap_or((text, ""));
            let permission = permission.parse().map_err(|source| columns.fault("granted", source))?;
            Ok((environment.to_owned(), permission))
        });
        Ok(Self {
            user: columns.id("user_id")?,
            login: columns.get("login")?,
            role: columns.written("role")?,
            version: columns.get("version")?,
            disabled: columns.get("disabled")?,
            granted: granted.collect::<Result<_>>()?,
            created_at: columns.get("created_at")?,
        })
    }
}

/// Makes somebody a member, or gives a member another role. With `version`
/// only if that is still theirs; false: it is not.
pub async fn set(
    on: &impl On,
    project: ProjectId,
    user: UserId,
    role: Role,
    version: Option<i64>,
) -> Result<bool> {
    let set: Option<Only<i64>> = SET.first(on, &[&project.0, &user.0, &role.as_str(), &version]).await?;
    Ok(set.is_some())
}

/// By login.
pub async fn list(
    on: &impl On,
    project: ProjectId,
    after: Option<&str>,
    at_most: i64,
) -> Result<Vec<Member>> {
    LIST.all(on, &[&project.0, &None::<uuid::Uuid>, &after, &at_most]).await
}

pub async fn find(on: &impl On, project: ProjectId, user: UserId) -> Result<Option<Member>> {
    LIST.first(on, &[&project.0, &Some(user.0), &None::<&str>, &1i64]).await
}

/// Whether there was such a member, of that version. What was granted to them
/// goes too.
pub async fn remove(on: &impl On, project: ProjectId, user: UserId, version: Option<i64>) -> Result<bool> {
    Ok(REMOVE.first::<Only<uuid::Uuid>>(on, &[&project.0, &user.0, &version]).await?.is_some())
}

/// Lets a member do something in one environment beyond their role.
pub async fn grant(
    on: &impl On,
    environment: EnvironmentId,
    user: UserId,
    permission: Permission,
) -> Result<()> {
    GRANT.run(on, &[&environment.0, &user.0, &permission.as_str()]).await.map(drop)
}

pub async fn withdraw(
    on: &impl On,
    environment: EnvironmentId,
    user: UserId,
    permission: Permission,
) -> Result<()> {
    WITHDRAW.run(on, &[&environment.0, &user.0, &permission.as_str()]).await.map(drop)
}

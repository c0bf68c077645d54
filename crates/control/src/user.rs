use std::time::Duration;

use jiff::Timestamp;
use model::UserId;

use crate::{Control, Refusal, Result, secret};

const ADMIN: &str = "admin";

/// How long a one-time password can be used.
const ONE_TIME: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, Clone)]
pub struct User {
    pub id: UserId,
    pub login: String,
    pub created_at: Timestamp,
}

impl Control {
    /// The one-time password of the user `admin`, who is made if there is none:
    /// a new one with each call while no password has been chosen, None
    /// afterwards. Valid 24 hours and for one sign-in.
    pub async fn bootstrap_admin(&self) -> Result<Option<String>> {
        {
            let database = self.database().await?;
            database::user::insert(&database, UserId::new(), ADMIN, true).await?;
            if find(&database, ADMIN).await?.password_hash.is_some() {
                return Ok(None);
            }
        }
        self.reset_password(ADMIN).await.map(Some)
    }

    /// A new one-time password for a user who has lost theirs; ends their sessions.
    pub async fn reset_password(&self, login: &str) -> Result<String> {
        let password = secret::random(16)?;
        let hash = self.hash(&password).await?;
        let mut connection = self.database().await?;
        let user = find(&connection, login).await?;
        let transaction = database::begin(&mut connection).await?;
        database::user::give_one_time(&transaction, user.id, &hash, ONE_TIME).await?;
        database::session::end_others(&transaction, user.id, None).await?;
        database::commit(transaction).await?;
        Ok(password)
    }

    pub async fn user(&self, login: &str) -> Result<User> {
        let user = find(&self.database().await?, login).await?;
        Ok(User { id: user.id, login: user.login, created_at: user.created_at })
    }
}

async fn find(on: &impl database::On, login: &str) -> Result<database::user::User> {
    database::user::find(on, login).await?.ok_or_else(|| Refusal::not_found("user", login).into())
}

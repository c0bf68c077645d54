use std::time::Duration;

use model::UserId;

use crate::{Control, Error, Kind, Refusal, Result, secret};

/// Fewer characters are guessed too easily.
const SHORTEST_PASSWORD: usize = 12;

/// More would only cost time to hash.
const LONGEST_PASSWORD: usize = 1000;

/// A session that is valid now.
#[derive(Debug, Clone)]
pub struct Session {
    pub user: UserId,
    pub login: String,
    /// Must come with every form.
    pub csrf: String,
    /// Signed in with a one-time password: nothing else is allowed before
    /// `set_password`.
    pub must_set_password: bool,
}

/// A session just opened. The token goes into a cookie; a hash is kept.
#[derive(Clone)]
pub struct SignedIn {
    pub token: String,
    pub session: Session,
}

impl Control {
    /// `address` is where the attempt comes from; wrong passwords lock out the
    /// login at that address for a while (`too-many`).
    pub async fn sign_in(&self, login: &str, password: &str, address: &str) -> Result<SignedIn> {
        let login: String = login.trim().to_lowercase().chars().take(100).collect();
        let login = login.replace('\0', "");
        let address: String = address.chars().take(100).collect();
        let user = {
            let database = self.database().await?;
            if let Some(left) = database::sign_in_failure::locked(&database, &login, &address).await? {
                return Err(locked(left).into());
            }
            database::user::find(&database, &login).await?
        };
        let password = if password.len() > LONGEST_PASSWORD { "" } else { password };
        let chosen = user.as_ref().and_then(|user| user.password_hash.as_deref());
        let one_time = user.as_ref().and_then(|user| user.one_time_hash.as_deref());
        // One of the two is always tried, so that an unknown login takes as long.
        let mut good = if chosen.is_some() || one_time.is_none() {
            self.matches(password, chosen).await?
        } else {
            false
        };
        let mut must_set_password = false;
        if !good && let (Some(user), Some(hash)) = (&user, one_time) {
            good = self.matches(password, Some(hash)).await?
                && database::user::use_one_time(&self.database().await?, user.id, hash).await?;
            must_set_password = good;
        }
        let database = self.database().await?;
        let Some(user) = user.filter(|_| good) else {
            database::sign_in_failure::record(&database, &login, &address).await?;
            if let Some(left) = database::sign_in_failure::locked(&database, &login, &address).await? {
                drop(database);
                let attempt = format!("sign in as {login}: locked out");
                self.for_stranger_at(&address).record_refusal(&attempt, None).await?;
                return Err(locked(left).into());
            }
            return Err(Refusal::new(Kind::Unauthenticated, "the login or the password is wrong")
                .hint("a one-time password is good for one sign-in within 24 hours")
                .into());
        };
        if let Some(at) = user.disabled_at {
            return Err(Refusal::new(Kind::Forbidden, format!("the user {login} is disabled since {at}"))
                .hint("an operator can enable it: `heddle user enable LOGIN`")
                .into());
        }
        database::sign_in_failure::clear(&database, &login, &address).await?;
        let (token, csrf) = (secret::random(40)?, secret::random(32)?);
        let (hash, idle) = (secret::digest(&token), self.settings().session_idle);
        database::session::insert(&database, &hash, user.id, &csrf, must_set_password, idle).await?;
        let session = Session { user: user.id, login: user.login, csrf, must_set_password };
        Ok(SignedIn { token, session })
    }

    /// The session of a token, kept alive by this; `unauthenticated` otherwise.
    pub async fn session(&self, token: &str) -> Result<Session> {
        let hash = secret::digest(token);
        let database = self.database().await?;
        let session = database::session::find(&database, &hash).await?.ok_or_else(signed_out)?;
        database::session::extend(&database, &hash, self.settings().session_idle).await?;
        Ok(Session {
            user: session.user,
            login: session.login,
            csrf: session.csrf,
            must_set_password: session.must_set_password,
        })
    }

    /// At least 12 characters. Ends the user's other sessions.
    pub async fn set_password(&self, token: &str, password: &str) -> Result<Session> {
        let length = password.chars().count();
        if length < SHORTEST_PASSWORD || password.len() > LONGEST_PASSWORD {
            return Err(Refusal::invalid(format!(
                "the password has {length} characters, not {SHORTEST_PASSWORD}"
            ))
            .hint(format!("choose {SHORTEST_PASSWORD} characters or more; a few words are good"))
            .into());
        }
        let session = self.session(token).await?;
        if password.eq_ignore_ascii_case(&session.login) {
            return Err(Refusal::invalid("the password is the login").hint("choose another").into());
        }
        let hash = self.hash(password).await?;
        let token = secret::digest(token);
        let mut connection = self.database().await?;
        let transaction = database::begin(&mut connection).await?;
        database::user::set_password(&transaction, session.user, &hash).await?;
        database::session::password_set(&transaction, &token).await?;
        database::session::end_others(&transaction, session.user, Some(&token)).await?;
        database::commit(transaction).await?;
        Ok(Session { must_set_password: false, ..session })
    }

    pub async fn sign_out(&self, token: &str) -> Result<()> {
        Ok(database::session::end(&self.database().await?, &secret::digest(token)).await?)
    }
}

fn signed_out() -> Error {
    Refusal::new(Kind::Unauthenticated, "you are not signed in, or were idle for too long")
        .hint("sign in again")
        .into()
}

fn locked(left: Duration) -> Refusal {
    let seconds = left.as_secs_f64().ceil().max(1.0);
    let wait = if seconds > 90.0 {
        format!("{} minutes", (seconds / 60.0).ceil())
    } else {
        format!("{seconds} seconds")
    };
    Refusal::new(Kind::TooMany, "too many wrong passwords for this login from this address")
        .hint(format!("try again in {wait}; from another address it is not locked, and an operator can give a new password"))
        .after(left)
}

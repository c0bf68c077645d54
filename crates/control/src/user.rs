use std::time::Duration;

use model::UserId;
use protocol::api::Page;
use protocol::people::{NewUser, OneTimePassword, User};

use crate::{Control, Kind, Refusal, Requester, Result, Slice, secret};

const ADMIN: &str = "admin";

/// How long a one-time password can be used.
const ONE_TIME: Duration = Duration::from_secs(24 * 60 * 60);

impl Control {
    /// The one-time password of the user `admin`, who is made if there is none,
    /// as an operator: a new one with each call while no password has been
    /// chosen, None afterwards. Valid 24 hours and for one sign-in.
    pub async fn bootstrap_admin(&self) -> Result<Option<String>> {
        {
            let database = self.database().await?;
            database::user::insert(&database, UserId::new(), ADMIN, true).await?;
            let admin = database::user::find(&database, ADMIN).await?;
            if admin.is_some_and(|admin| admin.password_hash.is_some()) {
                return Ok(None);
            }
        }
        self.reset_password(ADMIN).await.map(Some)
    }

    /// Their first password is a one-time one.
    pub async fn create_user(&self, new: NewUser) -> Result<OneTimePassword> {
        let login = check_login(&new.login)?;
        let database = self.database().await?;
        self.permit_operator(&database, "make users").await?;
        if !database::user::insert(&database, UserId::new(), &login, new.operator).await? {
            return Err(Refusal::new(Kind::Taken, format!("there is a user {login} already"))
                .hint("choose another login, or make them a member: `heddle member set PROJECT LOGIN ROLE`")
                .into());
        }
        drop(database);
        let one_time_password = self.reset_password(&login).await?;
        Ok(OneTimePassword { login, one_time_password })
    }

    /// A new one-time password for a user who has lost theirs; ends their sessions.
    pub async fn reset_password(&self, login: &str) -> Result<String> {
        let password = secret::random(16)?;
        let hash = self.hash(&password).await?;
        let mut connection = self.database().await?;
        self.permit_operator(&connection, &format!("give {login} a new password")).await?;
        let user = find(&connection, login).await?;
        let transaction = database::begin(&mut connection).await?;
        database::user::give_one_time(&transaction, user.id, &hash, ONE_TIME).await?;
        database::user::end_sessions(&transaction, user.id).await?;
        database::commit(transaction).await?;
        Ok(password)
    }

    /// By login: all for an operator; for others themselves and those they
    /// share a project with.
    pub async fn users(&self, slice: &Slice<String>) -> Result<Page<User>> {
        let users =
            database::user::list(&self.database().await?, slice.after.as_deref(), slice.rows()).await?;
        let users: Vec<User> = users.into_iter().map(shown).collect();
        Ok(slice.page(users, |user| user.login.clone()))
    }

    pub async fn user(&self, login: &str) -> Result<User> {
        find(&self.database().await?, login).await.map(shown)
    }

    /// From now on they cannot sign in, and neither their sessions nor their
    /// keys do anything. What they have made stays.
    pub async fn disable_user(&self, login: &str) -> Result<User> {
        let mut connection = self.database().await?;
        self.permit_operator(&connection, &format!("disable {login}")).await?;
        let user = find(&connection, login).await?;
        self.not_oneself(&user, "disable")?;
        let transaction = database::begin(&mut connection).await?;
        database::user::set_disabled(&transaction, user.id, true).await?;
        database::user::end_sessions(&transaction, user.id).await?;
        database::commit(transaction).await?;
        self.inner.keyring.forget_user(user.id);
        find(&connection, login).await.map(shown)
    }

    pub async fn enable_user(&self, login: &str) -> Result<User> {
        let database = self.database().await?;
        self.permit_operator(&database, &format!("enable {login}")).await?;
        let user = find(&database, login).await?;
        database::user::set_disabled(&database, user.id, false).await?;
        find(&database, login).await.map(shown)
    }

    /// An operator runs the installation: every project, the workers, the users.
    pub async fn set_operator(&self, login: &str, operator: bool) -> Result<User> {
        let database = self.database().await?;
        self.permit_operator(&database, "make and unmake operators").await?;
        let user = find(&database, login).await?;
        if !operator {
            self.not_oneself(&user, "unmake")?;
        }
        database::user::set_operator(&database, user.id, operator).await?;
        find(&database, login).await.map(shown)
    }

    /// Nobody locks themselves out: there is always another operator who could
    /// have done it.
    fn not_oneself(&self, user: &database::user::Shown, verb: &str) -> Result<(), Refusal> {
        if self.claims.user != Some(user.id) {
            return Ok(());
        }
        let mut refusal = Refusal::wrong_state(format!("you cannot {verb} yourself"));
        if let Requester::User(_) | Requester::ApiKey(_) = self.requester() {
            refusal = refusal.hint("another operator can");
        }
        Err(refusal)
    }
}

async fn find(on: &impl database::On, login: &str) -> Result<database::user::Shown> {
    database::user::get(on, login)
        .await?
        .ok_or_else(|| Refusal::not_found("user", login).hint("`heddle user list` shows them").into())
}

fn check_login(login: &str) -> Result<String, Refusal> {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"@._-".contains(&byte);
    let first = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if login.len() <= 100 && login.bytes().all(good) && login.as_bytes().first().is_some_and(first) {
        return Ok(login.to_owned());
    }
    Err(Refusal::invalid("this is not a login")
        .hint("1 to 100 lower-case letters, digits, @, ., _ and -, a letter or digit first; an e-mail address is good"))
}

fn shown(user: database::user::Shown) -> User {
    User {
        login: user.login,
        operator: user.operator,
        disabled_at: user.disabled_at,
        created_at: user.created_at,
    }
}

//! Keys that people get for their password, for the machine they sit at.

use database::api_key::NewApiKey;
use jiff::{SignedDuration, Timestamp};
use model::ApiKeyId;
use model::access::Permission;
use protocol::api::{LoggedIn, Login};

use crate::{Control, Kind, Principal, Refusal, Requester, Result, secret};

/// A machine that nobody sits at any more does not stay logged in for ever.
const GOOD_FOR: SignedDuration = SignedDuration::from_hours(90 * 24);

impl Control {
    /// A key of the user's own, within what they may do. `address` is where the
    /// attempt comes from; wrong passwords lock out as they do at the console.
    pub async fn log_in(&self, login: &Login, address: &str) -> Result<LoggedIn> {
        crate::api_key::check_name(&login.name)?;
        let own = self.platform();
        let signed_in = own.sign_in(&login.login, &login.password, address).await?;
        // The session was only the way to the key.
        own.sign_out(&signed_in.token).await?;
        let session = signed_in.session;
        if session.must_set_password {
            let detail = "a one-time password is for the console, where another is chosen";
            return Err(Refusal::new(Kind::Forbidden, detail)
                .hint("it is used up: get a new one, sign in at the console, choose a password, then log in")
                .into());
        }
        let (prefix, secret) = (secret::random(8)?, secret::random(40)?);
        let database = self.acting_as(&Principal::user(session.user)).database().await?;
        let expires_at = database::clock::now(&database).await?;
        let expires_at = expires_at.checked_add(GOOD_FOR).unwrap_or(Timestamp::MAX);
        let new = NewApiKey {
            id: ApiKeyId::new(),
            name: &login.name,
            prefix: &prefix,
            secret_hash: &secret::digest(&secret),
            user: Some(session.user),
            project: None,
            scopes: Permission::ALL,
            expires_at: Some(expires_at),
        };
        database::api_key::insert(&database, &new).await?;
        Ok(LoggedIn { login: session.login, key: format!("hk_{prefix}_{secret}"), expires_at })
    }

    /// Revokes the key that it acts by. Not the installation's own: the host's
    /// commands would lose theirs.
    pub async fn log_out(&self) -> Result<()> {
        let (Requester::ApiKey(key), Some(_)) = (self.requester(), self.claims.user) else {
            let detail = "this is no key that somebody has logged in with";
            return Err(Refusal::invalid(detail).hint("an API key is ended by revoking it").into());
        };
        self.revoke_api_key(key).await.map(drop)
    }
}

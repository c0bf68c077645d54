//! Keys that people get for their password, for the machine they sit at.

use jiff::{SignedDuration, Timestamp};
use protocol::api::{LoggedIn, Login};
use protocol::people::NewApiKey;

use crate::{Control, Kind, Principal, Refusal, Requester, Result};

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
        let theirs = self.acting_as(&Principal::user(session.user));
        let now = database::clock::now(&theirs.database().await?).await?;
        let expires_at = now.checked_add(GOOD_FOR).unwrap_or(Timestamp::MAX);
        let name = login.name.clone();
        let new = NewApiKey { name, expires_at: Some(expires_at), ..NewApiKey::default() };
        let created = theirs.create_key(new).await?;
        Ok(LoggedIn { login: session.login, key: created.key, expires_at })
    }

    /// Revokes the key that it acts by. Not the installation's own: the host's
    /// commands would lose theirs.
    pub async fn log_out(&self) -> Result<()> {
        let (Requester::ApiKey(key), Some(user)) = (self.requester(), self.claims.user) else {
            let detail = "this is no key that somebody has logged in with";
            return Err(Refusal::invalid(detail).hint("an API key is ended by revoking it").into());
        };
        // In the user's name: the key itself sees nothing any more once it is revoked.
        self.acting_as(&Principal::user(user)).revoke_api_key(key).await.map(drop)
    }
}

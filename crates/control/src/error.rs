use std::io;
use std::path::PathBuf;
use std::time::Duration;

use uuid::Uuid;

pub type Result<T, E = Error> = std::result::Result<T, E>;

model::written_enum! {
    /// What kind of problem a refusal is: a stable word for API clients.
    pub enum Kind {
        /// The request itself is wrong.
        Invalid = "invalid",
        /// No valid key or session.
        Unauthenticated = "unauthenticated",
        /// Known, but not allowed to.
        Forbidden = "forbidden",
        NotFound = "not-found",
        /// Somebody else must approve it first; they were asked.
        NeedsApproval = "needs-approval",
        /// A name that somebody else has.
        Taken = "taken",
        /// Its present state does not allow it.
        WrongState = "wrong-state",
        /// A report under a lease that is no longer the run's.
        Stale = "stale",
        /// It is not the version that was looked at any more.
        Changed = "changed",
        /// The idempotency key was used for another request.
        KeyReused = "key-reused",
        /// Too many attempts; the hint says until when.
        TooMany = "too-many",
        /// A part that is needed does not answer now.
        Unavailable = "unavailable",
    }
}

impl Kind {
    /// The HTTP status that goes with it.
    pub fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::NeedsApproval | Self::Taken | Self::WrongState | Self::Stale => 409,
            Self::Changed => 412,
            Self::KeyReused => 422,
            Self::TooMany => 429,
            Self::Unavailable => 503,
        }
    }
}

/// What was asked for cannot be done, and it is not our fault: a sentence on
/// what is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    pub kind: Kind,
    pub detail: String,
    pub hint: Option<String>,
    /// When it makes sense to try again, where that is known.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), hint: None, retry_after: None }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub(crate) fn after(mut self, left: Duration) -> Self {
        self.retry_after = Some(left);
        self
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, detail)
    }

    pub(crate) fn not_found(what: &str, name: impl std::fmt::Display) -> Self {
        Self::new(Kind::NotFound, format!("there is no {what} {name}"))
    }

    /// Refuses a change of another version than there is. `asked` is None where
    /// any is good.
    pub(crate) fn check_version(what: &str, asked: Option<i64>, found: i64) -> Result<(), Self> {
        match asked {
            Some(asked) if asked != found => {
                let detail =
                    format!("{what} is at version {found}, not at {asked}: it has been changed since");
                Err(Self::new(Kind::Changed, detail)
                    .hint("read it again, and change it if that is still what you want"))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn wrong_state(detail: impl Into<String>) -> Self {
        Self::new(Kind::WrongState, detail)
    }
}

impl From<model::InvalidName> for Refusal {
    fn from(invalid: model::InvalidName) -> Self {
        Self::invalid(invalid.to_string())
    }
}

impl From<model::InvalidName> for Error {
    fn from(invalid: model::InvalidName) -> Self {
        Self::Refused(invalid.into())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Theirs: answered as it is.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Ours: the client gets a fixed text, the log gets this.
    #[error(transparent)]
    Database(database::Error),
    #[error("draw random bytes")]
    Random(#[source] getrandom::Error),
    #[error("use the keys of the secrets")]
    Key(#[from] crate::seal::KeyError),
    #[error("hash a password")]
    Hash(#[source] argon2::password_hash::Error),
    #[error("{what} the heads of the audit's chains at {path:?}")]
    AuditHeads {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Somebody has made a chain shorter, or another: signing it would make it good.
    #[error(
        "the audit's chain {chain} is not what was signed up to block {block}: nothing is sealed; if the management \
         database was restored from a backup, move {path:?} aside, else see `heddle audit verify`"
    )]
    AuditTurnedBack { chain: Uuid, block: i64, path: PathBuf },
    #[error("read what is stored of {what}")]
    Stored {
        what: &'static str,
        #[source]
        source: serde_json::Error,
    },
}

impl From<database::Error> for Error {
    /// What the schema's own functions and policies refuse is theirs.
    fn from(error: database::Error) -> Self {
        if let Some((refused, detail, hint)) = error.refused() {
            let kind = match refused {
                database::Refused::Missing => Kind::NotFound,
                database::Refused::WrongState => Kind::WrongState,
                database::Refused::Forbidden => Kind::Forbidden,
                database::Refused::Stale => Kind::Stale,
                database::Refused::KeyReused => Kind::KeyReused,
                database::Refused::Invalid => Kind::Invalid,
            };
            let mut refusal = Refusal::new(kind, detail);
            refusal.hint = hint.map(str::to_owned);
            return refusal.into();
        }
        let Some(forbidden) = error.forbidden() else { return Self::Database(error) };
        let detail = forbidden.said.unwrap_or("you may not do this here");
        let hint = forbidden.hint.unwrap_or("an owner or admin of the project gives permissions");
        Refusal::new(Kind::Forbidden, detail).hint(hint).into()
    }
}

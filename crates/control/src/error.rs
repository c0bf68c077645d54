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
            Self::Taken | Self::WrongState | Self::Stale => 409,
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
}

impl Refusal {
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), hint: None }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, detail)
    }

    pub(crate) fn not_found(what: &str, name: impl std::fmt::Display) -> Self {
        Self::new(Kind::NotFound, format!("there is no {what} {name}"))
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
    Database(#[from] database::Error),
    #[error("draw random bytes")]
    Random(#[source] getrandom::Error),
    #[error("use the keys of the secrets")]
    Key(#[from] crate::seal::KeyError),
    #[error("hash a password")]
    Hash(#[source] argon2::password_hash::Error),
    #[error("read what is stored of {what}")]
    Stored {
        what: &'static str,
        #[source]
        source: serde_json::Error,
    },
}

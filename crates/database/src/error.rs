use tokio_postgres::error::SqlState;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("understand the management database's address")]
    Address(#[source] tokio_postgres::Error),
    #[error("connect to the management database")]
    Connect(#[source] tokio_postgres::Error),
    #[error("get a connection to the management database")]
    Pool(#[source] Box<deadpool_postgres::PoolError>),
    #[error("begin a transaction")]
    Begin(#[source] tokio_postgres::Error),
    #[error("commit a transaction")]
    Commit(#[source] tokio_postgres::Error),
    #[error("run the query {query}")]
    Query {
        query: &'static str,
        #[source]
        source: tokio_postgres::Error,
    },
    #[error("no row came of {query}, which always has one")]
    NoRow { query: &'static str },
    #[error("read the column {column} of {query}")]
    Column {
        query: &'static str,
        column: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("prepare the roles of the management database")]
    Roles(#[source] tokio_postgres::Error),
    #[error("the role heddle_control {0}: take that from it, control must not have it")]
    ExcessRights(String),
    #[error("apply the migration {name}")]
    Migration {
        name: String,
        #[source]
        source: tokio_postgres::Error,
    },
    #[error(
        "the management database is at migration {found}, this Heddle knows {known}: a newer one has migrated \
         it; run that one"
    )]
    Newer { found: i32, known: i32 },
    #[error("the management database is at migration {found} of {known}: migrate it first")]
    Older { found: i32, known: i32 },
    #[error(
        "the migration {name} was applied with another content than this Heddle has; run the one that applied it"
    )]
    Changed { name: String },
}

/// A function of the schema has refused what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    Missing,
    WrongState,
    Forbidden,
    Stale,
    KeyReused,
    Invalid,
}

/// What a policy or one of the schema's functions has refused. Policies say
/// nothing that the one who asked could use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forbidden<'a> {
    pub said: Option<&'a str>,
    pub hint: Option<&'a str>,
}

impl Error {
    /// What a function of the schema refused, why, and what to do about it.
    pub fn refused(&self) -> Option<(Refused, &str, Option<&str>)> {
        let Self::Query { source, .. } = self else { return None };
        let fault = source.as_db_error()?;
        let refused = match fault.code().code() {
            "HD001" => Refused::Missing,
            "HD002" => Refused::WrongState,
            "HD003" => Refused::Forbidden,
            "HD004" => Refused::Stale,
            "HD005" => Refused::KeyReused,
            "HD006" => Refused::Invalid,
            _ => return None,
        };
        Some((refused, fault.message(), fault.hint()))
    }

    /// Set if whoever acts may not do this. A right that a role lacks is our
    /// own fault: no operation should need it.
    pub fn forbidden(&self) -> Option<Forbidden<'_>> {
        let Self::Query { source, .. } = self else { return None };
        let fault = source.as_db_error()?;
        if fault.code() != &SqlState::INSUFFICIENT_PRIVILEGE
            || fault.message().starts_with("permission denied")
        {
            return None;
        }
        let policy = fault.message().contains("row-level security");
        Some(Forbidden { said: (!policy).then(|| fault.message()), hint: fault.hint() })
    }

    /// The constraint that a write ran against, if that was the reason.
    pub fn constraint(&self) -> Option<&str> {
        self.violated(None)
    }

    /// The unique constraint or index that has the value already.
    pub fn taken(&self) -> Option<&str> {
        self.violated(Some(&SqlState::UNIQUE_VIOLATION))
    }

    /// The foreign key whose other end does not exist.
    pub fn dangling(&self) -> Option<&str> {
        self.violated(Some(&SqlState::FOREIGN_KEY_VIOLATION))
    }

    fn violated(&self, kind: Option<&SqlState>) -> Option<&str> {
        let Self::Query { source, .. } = self else { return None };
        let fault = source.as_db_error()?;
        if kind.is_some_and(|kind| kind != fault.code()) {
            return None;
        }
        fault.constraint()
    }

    /// Whether the database could not be reached, rather than refused.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Pool(_) => true,
            Self::Begin(source) | Self::Commit(source) | Self::Query { source, .. } => {
                source.is_closed() || source.as_db_error().is_none()
            }
            _ => false,
        }
    }
}

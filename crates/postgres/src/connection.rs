//! Connecting to a running cluster, and waiting until that is possible.

use std::error::Error;
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

use crate::{Cluster, MAINTENANCE_DATABASE, SUPERUSER};

/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(25);

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("connect to {database} as {user}")]
    Refused { database: String, user: String, source: tokio_postgres::Error },
    #[error("connect to {database} as {user}: no answer for {} seconds", TIMEOUT.as_secs())]
    NoAnswer { database: String, user: String },
}

/// Why a cluster cannot be used yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unready {
    /// Nothing listens.
    NotListening,
    /// It runs, but is still starting up or recovering.
    Recovering,
    /// It is being stopped.
    ShuttingDown,
    /// It runs, but all its connections are taken, or it does not answer.
    Busy,
}

impl std::fmt::Display for Unready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotListening => "nothing listens on its socket",
            Self::Recovering => "it is starting up or recovering",
            Self::ShuttingDown => "it is shutting down",
            Self::Busy => "it takes no more connections",
        })
    }
}

#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    #[error("the cluster was not ready within {} seconds: {last}", waited.as_secs())]
    Deadline { waited: Duration, last: Unready },
    /// Waiting would not help.
    #[error("the cluster refuses its superuser")]
    Refused(#[source] ConnectError),
}

impl ConnectError {
    /// What stands in the way, if time may take it away.
    pub fn unready(&self) -> Option<Unready> {
        let Self::Refused { source, .. } = self else { return Some(Unready::Busy) };
        if let Some(error) = source.as_db_error() {
            return match *error.code() {
                SqlState::CANNOT_CONNECT_NOW if error.message().contains("shutting down") => {
                    Some(Unready::ShuttingDown)
                }
                SqlState::CANNOT_CONNECT_NOW => Some(Unready::Recovering),
                SqlState::TOO_MANY_CONNECTIONS => Some(Unready::Busy),
                _ => None,
            };
        }
        let cause = source.source().and_then(|cause| cause.downcast_ref::<io::Error>());
        match cause.map(io::Error::kind) {
            // A socket in a folder that is not ours; a path that is too long.
            Some(io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput) => None,
            Some(io::ErrorKind::TimedOut) => Some(Unready::Busy),
            Some(_) => Some(Unready::NotListening),
            // The server closed the connection in the middle of it.
            None if source.is_closed() => Some(Unready::NotListening),
            None => None,
        }
    }
}

/// Connects over the cluster's socket. The connection is driven by a task of its
/// own and ends when the client is dropped.
pub async fn connect(
    socket_dir: &Path,
    port: u16,
    user: &str,
    password: Option<&str>,
    database: &str,
) -> Result<Client, ConnectError> {
    let mut config = Config::new();
    config.host_path(socket_dir).port(port).user(user).dbname(database).application_name("heddle");
    if let Some(password) = password {
        config.password(password);
    }
    let names = || (database.to_owned(), user.to_owned());
    let (client, connection) = match tokio::time::timeout(TIMEOUT, config.connect(NoTls)).await {
        Ok(Ok(connected)) => connected,
        Ok(Err(source)) => {
            let (database, user) = names();
            return Err(ConnectError::Refused { database, user, source });
        }
        Err(_) => {
            let (database, user) = names();
            return Err(ConnectError::NoAnswer { database, user });
        }
    };
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, port, "a connection to a cluster ended");
        }
    });
    Ok(client)
}

/// Connects as superuser as soon as the cluster accepts connections, which for a
/// recovering one means that it has been promoted. Safe to drop at any time.
pub async fn wait_ready(cluster: &Cluster, patience: Duration) -> Result<Client, NotReady> {
    let started = Instant::now();
    loop {
        let attempt = connect(&cluster.socket_dir, cluster.port, SUPERUSER, None, MAINTENANCE_DATABASE).await;
        let error = match attempt {
            Ok(client) => return Ok(client),
            Err(error) => error,
        };
        let Some(last) = error.unready() else {
            return Err(NotReady::Refused(error));
        };
        if started.elapsed() >= patience {
            return Err(NotReady::Deadline { waited: patience, last });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

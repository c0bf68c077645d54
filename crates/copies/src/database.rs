//! Where a database is, and being connected to it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::{Client, Config, NoTls, Row};
use zeroize::Zeroizing;

/// How long connecting may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A database on this machine or in its network.
#[derive(Clone)]
pub struct Database {
    /// A folder with a socket in it, or a host.
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: Option<Zeroizing<String>>,
    pub name: String,
    /// The role that is taken on after logging in, and will own what is made.
    pub role: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("connect to {0}")]
    Connect(String, #[source] tokio_postgres::Error),
    #[error("connect to {0}: no answer for {seconds} seconds", seconds = PATIENCE.as_secs())]
    NoAnswer(String),
    #[error("{0}")]
    Ask(String, #[source] tokio_postgres::Error),
    #[error("{0:?} is no address of a database: write postgresql://user@host:port/name")]
    Address(String),
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}:{} as {}", self.name, self.host, self.port, self.user)
    }
}

impl Database {
    /// From libpq's kind of address. It may hold a password, and so never
    /// stands in an error.
    pub fn parse(address: &str) -> Result<Self, DatabaseError> {
        let bad = || DatabaseError::Address(address.split('@').next_back().unwrap_or("").to_owned());
        let config: Config = address.trim().parse().map_err(|_| bad())?;
        let host = match config.get_hosts() {
            [tokio_postgres::config::Host::Tcp(host)] => host.clone(),
            [tokio_postgres::config::Host::Unix(folder)] => folder.display().to_string(),
            _ => return Err(bad()),
        };
        let text = |text: Option<&str>| text.map(str::to_owned).ok_or_else(bad);
        let password = config.get_password().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        Ok(Self {
            host,
            port: config.get_ports().first().copied().unwrap_or(5432),
            user: text(config.get_user())?,
            password: password.map(Zeroizing::new),
            name: text(config.get_dbname())?,
            role: None,
        })
    }

    /// A connection that is driven by a task of its own and ends with the client.
    pub async fn connect(&self) -> Result<Client, DatabaseError> {
        let mut config = Config::new();
        match self.host.starts_with('/') {
            true => config.host_path(PathBuf::from(&self.host)),
            false => config.host(&self.host),
        };
        config.port(self.port).user(&self.user).dbname(&self.name).application_name("heddle copy");
        if let Some(password) = &self.password {
            config.password(password.as_bytes());
        }
        let attempt = tokio::time::timeout(PATIENCE, config.connect(NoTls)).await;
        let (client, connection) = attempt
            .map_err(|_| DatabaseError::NoAnswer(self.to_string()))?
            .map_err(|source| DatabaseError::Connect(self.to_string(), source))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection of a copy ended");
            }
        });
        // Text is exchanged in a form that no setting of the database changes.
        let mut setup =
            "SET client_encoding = 'UTF8'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'; \
                         SET extra_float_digits = 3; SET statement_timeout = 0; SET lock_timeout = '10s'; \
                         SET search_path = pg_catalog"
                .to_owned();
        if let Some(role) = &self.role {
            setup += &format!("; SET ROLE {}", postgres::quote_identifier(role));
        }
        run(&client, "set the connection up", &setup).await?;
        Ok(client)
    }

    /// For PostgreSQL's own programs: their command lines are seen by others.
    pub fn environment(&self) -> BTreeMap<&'static str, String> {
        let mut environment = BTreeMap::from([
            ("PGHOST", self.host.clone()),
            ("PGPORT", self.port.to_string()),
            ("PGUSER", self.user.clone()),
            ("PGDATABASE", self.name.clone()),
            ("PGCONNECT_TIMEOUT", PATIENCE.as_secs().to_string()),
            ("PGCLIENTENCODING", "UTF8".to_owned()),
        ]);
        if let Some(password) = &self.password {
            environment.insert("PGPASSWORD", password.to_string());
        }
        environment
    }
}

pub(crate) async fn query(client: &Client, what: &str, sql: &str) -> Result<Vec<Row>, DatabaseError> {
    client.query(sql, &[]).await.map_err(|source| DatabaseError::Ask(what.to_owned(), source))
}

pub(crate) async fn run(client: &Client, what: &str, sql: &str) -> Result<(), DatabaseError> {
    client.batch_execute(sql).await.map_err(|source| DatabaseError::Ask(what.to_owned(), source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_passwords_are_not_told() {
        let database = Database::parse("postgresql://ada:s3cret@db.example:5433/acme").unwrap();
        assert_eq!(database.to_string(), "acme at db.example:5433 as ada");
        assert_eq!(format!("{database:?}"), database.to_string());
        let socket = Database::parse("host=/run/pg user=odoo dbname=acme port=5499").unwrap();
        assert_eq!((socket.host.as_str(), socket.port), ("/run/pg", 5499));
        for bad in ["", "postgresql://ada:s3cret@/", "acme", "postgresql://ada:s3cret@a,b/acme"] {
            let error = Database::parse(bad).unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}

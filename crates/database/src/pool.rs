use std::str::FromStr;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, RecyclingMethod, Runtime};
use tokio_postgres::NoTls;

use crate::migrate;
use crate::{Error, Result};

pub type Connection = deadpool_postgres::Object;
pub type Transaction<'a> = deadpool_postgres::Transaction<'a>;

/// Connections to the management database, as control's lesser role. Cheap to clone.
#[derive(Clone)]
pub struct Pool {
    pool: deadpool_postgres::Pool,
}

impl Pool {
    /// Connects to see that the schema is this Heddle's: a newer or older one
    /// is refused. `url` is a PostgreSQL connection string.
    pub async fn connect(url: &str, connections: usize) -> Result<Self> {
        let mut config = tokio_postgres::Config::from_str(url).map_err(Error::Address)?;
        config.application_name("heddle-control").connect_timeout(Duration::from_secs(5)).options(
            "-c statement_timeout=15s -c lock_timeout=10s -c idle_in_transaction_session_timeout=30s \
             -c search_path=",
        );
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let pool = deadpool_postgres::Pool::builder(Manager::from_config(config, NoTls, recycling))
            .max_size(connections)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(Duration::from_secs(10)))
            .create_timeout(Some(Duration::from_secs(10)))
            .build()
            .expect("a pool with a runtime always builds");
        let pool = Self { pool };
        migrate::check(&pool.get().await?).await?;
        Ok(pool)
    }

    pub async fn get(&self) -> Result<Connection> {
        self.pool.get().await.map_err(|source| Error::Pool(Box::new(source)))
    }
}

/// Begins a transaction; dropped without `commit`, it is rolled back.
pub async fn begin(connection: &mut Connection) -> Result<Transaction<'_>> {
    connection.transaction().await.map_err(Error::Begin)
}

pub async fn commit(transaction: Transaction<'_>) -> Result<()> {
    transaction.commit().await.map_err(Error::Commit)
}

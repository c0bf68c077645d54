use std::str::FromStr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, RecyclingMethod, Runtime};
use tokio_postgres::NoTls;

use crate::claims::{Claims, Role};
use crate::connection::Connection;
use crate::migrate;
use crate::{Error, Result};

/// An idle connection is closed after this long, and looked for this often.
const IDLE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_secs(15);

/// How many connections there are at most; they are made when they are needed.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub control: usize,
    pub user: usize,
    pub worker: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { control: 4, user: 12, worker: 8 }
    }
}

impl Sizes {
    pub fn each(size: usize) -> Self {
        Self { control: size, user: size, worker: size }
    }

    fn of(self, role: Role) -> usize {
        match role {
            Role::Control => self.control,
            Role::User => self.user,
            Role::Worker => self.worker,
        }
    }
}

/// How much one role's pool is used.
#[derive(Debug, Clone, Copy)]
pub struct PoolUsage {
    pub role: &'static str,
    pub connections: usize,
    pub used: usize,
    /// Who waits for one.
    pub waiting: usize,
    pub most: usize,
}

/// Connections to the management database, one pool for each role: a
/// connection keeps its role, so that its statements' plans stay good. Cheap to
/// clone.
#[derive(Clone)]
pub struct Pool {
    pools: Arc<[deadpool_postgres::Pool; 3]>,
    platform: Arc<Claims>,
}

impl Pool {
    /// Connects to see that the schema is this Heddle's: a newer or older one
    /// is refused. `url` is a PostgreSQL connection string, control's own.
    pub async fn connect(url: &str, sizes: Sizes) -> Result<Self> {
        let config = tokio_postgres::Config::from_str(url).map_err(Error::Address)?;
        let pools = Arc::new(Role::ALL.map(|role| of(role, &config, sizes.of(role))));
        let pool = Self { pools, platform: Arc::new(Claims::platform()) };
        migrate::check(&pool.get().await?).await?;
        tokio::spawn(close_idle(Arc::downgrade(&pool.pools)));
        Ok(pool)
    }

    /// For control's own acts.
    pub async fn get(&self) -> Result<Connection> {
        self.get_as(&self.platform).await
    }

    /// How much each role's pool is used.
    pub fn usage(&self) -> [PoolUsage; 3] {
        Role::ALL.map(|role| {
            let status = self.pools[role as usize].status();
            PoolUsage {
                role: role.as_str(),
                connections: status.size,
                used: status.size.saturating_sub(status.available),
                waiting: status.waiting,
                most: status.max_size,
            }
        })
    }

    /// For whoever the claims say, as their role.
    pub async fn get_as(&self, claims: &Arc<Claims>) -> Result<Connection> {
        let client = self.pools[claims.role as usize].get().await;
        let client = client.map_err(|source| Error::Pool(Box::new(source)))?;
        Ok(Connection::new(client, claims.clone()))
    }
}

fn of(role: Role, config: &tokio_postgres::Config, connections: usize) -> deadpool_postgres::Pool {
    let mut config = config.clone();
    let turn = role.turns_into().map(|role| format!(" -c role={role}")).unwrap_or_default();
    config.application_name(role.application()).connect_timeout(Duration::from_secs(5)).options(format!(
        "-c statement_timeout=15s -c lock_timeout=10s -c idle_in_transaction_session_timeout=30s \
         -c search_path={turn}"
    ));
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    deadpool_postgres::Pool::builder(Manager::from_config(config, NoTls, recycling))
        .max_size(connections)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(Duration::from_secs(10)))
        .create_timeout(Some(Duration::from_secs(10)))
        .build()
        .expect("a pool with a runtime always builds")
}

/// Ends with the pools.
async fn close_idle(pools: Weak<[deadpool_postgres::Pool; 3]>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(pools) = pools.upgrade() else { return };
        for pool in &*pools {
            pool.retain(|_, metrics| metrics.last_used() < IDLE);
        }
    }
}

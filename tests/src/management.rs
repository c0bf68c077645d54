//! The management database past Heddle, as the cluster's superuser: to count
//! what is there, to fill it, and to disturb it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use tokio_postgres::{Client, Config, NoTls};

/// The cluster's superuser, whom only the user that started it can become.
const SUPERUSER: &str = "heddle";
const DATABASE: &str = "heddle";

/// Where the embedded cluster of a data folder listens.
pub fn config(data: &Path, run_dir: &Path) -> Result<Config> {
    let port = fs::read_to_string(data.join("management.port")).context("read management.port")?;
    let mut config = Config::new();
    config.host_path(run_dir.join("management")).port(port.trim().parse()?).user(SUPERUSER).dbname(DATABASE);
    Ok(config)
}

pub async fn connect(config: &Config) -> Result<Client> {
    let (client, connection) = config.connect(NoTls).await.context("connect to the management database")?;
    // Its errors are those of what is asked over it.
    tokio::spawn(connection);
    Ok(client)
}

/// One number.
pub async fn count(client: &Client, sql: &str) -> Result<i64> {
    Ok(client.query_one(sql, &[]).await.with_context(|| format!("ask {sql:?}"))?.get(0))
}

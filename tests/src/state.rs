//! What a tenant is made of, row by row and file by file: read from its cell
//! and its filestore themselves, not through Odoo.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sha1::{Digest, Sha1};
use tokio_postgres::{Client, Config, NoTls};

use crate::platform::{Platform, text};

/// What Odoo changes by itself while nobody asks anything of it: jobs' times,
/// the bus, who is signed in from where.
const RESTLESS: &[&str] = &[
    "bus_bus",
    "bus_presence",
    "ir_cron",
    "ir_cron_progress",
    "ir_cron_trigger",
    "ir_logging",
    "res_device_log",
    "res_users_log",
];

/// Every table's rows and every file that the database names, by hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Table to (rows, hash over all rows in order).
    pub tables: BTreeMap<String, (i64, String)>,
    /// Files named by the database; the hash is of the bytes on disk.
    pub files: BTreeMap<String, String>,
}

/// Where a tenant's present cell is.
pub struct Place {
    pub tenant: Value,
    pub lineage: String,
    pub folder: PathBuf,
    pub socket_dir: PathBuf,
    pub port: u16,
}

impl Place {
    pub async fn of(platform: &Platform, tenant: &str) -> Result<Self> {
        let settings = platform.heddle(&["settings"]).await?;
        let settings = settings.as_array().context("a list of settings")?;
        let run_dir =
            settings.iter().find(|row| row["setting"] == "run_dir").context("the setting run_dir")?;
        let run_dir = PathBuf::from(run_dir["value"].as_str().context("run_dir's value")?);
        Self::of_in(platform, &run_dir, tenant).await
    }

    /// Where the setting `run_dir` is known.
    pub async fn of_in(platform: &Platform, run_dir: &Path, tenant: &str) -> Result<Self> {
        let tenant = platform.heddle(&["tenant", "show", tenant]).await?;
        let lineage = text(&tenant, "lineage");
        let folder = platform.data.join("tenants").join(text(&tenant, "id")).join(&lineage);
        let card: Value =
            serde_json::from_slice(&fs::read(folder.join("cell.json")).context("read cell.json")?)?;
        let short = lineage.replace('-', "");
        Ok(Self {
            lineage,
            socket_dir: run_dir.join(&short[short.len() - 12..]),
            port: card["port"].as_u64().context("the cell's port")? as u16,
            folder,
            tenant,
        })
    }

    pub fn filestore(&self) -> PathBuf {
        self.folder.join("odoo/filestore").join(text(&self.tenant, "database"))
    }

    pub async fn connect(&self) -> Result<Client> {
        let mut config = Config::new();
        config
            .host_path(&self.socket_dir)
            .port(self.port)
            .user("heddle")
            .dbname(text(&self.tenant, "database"));
        let (client, connection) = config.connect(NoTls).await.context("connect to the tenant's cell")?;
        tokio::spawn(connection);
        Ok(client)
    }
}

impl State {
    pub async fn of(platform: &Platform, tenant: &str) -> Result<Self> {
        let place = Place::of(platform, tenant).await?;
        let mut client = place.connect().await?;
        // One snapshot for all tables.
        let client =
            client.build_transaction().isolation_level(tokio_postgres::IsolationLevel::RepeatableRead);
        let client = client.start().await?;
        let names = "SELECT table_name::text FROM information_schema.tables \
                     WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY 1";
        let mut tables = BTreeMap::new();
        for row in client.query(names, &[]).await? {
            let table: String = row.get(0);
            if RESTLESS.contains(&table.as_str()) {
                continue;
            }
            // Odoo makes its pages' assets anew whenever they are missing.
            let rows = if table == "ir_attachment" { "WHERE url IS NULL" } else { "" };
            let sql = format!(
                "SELECT count(*), md5(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '')) \
                 FROM public.\"{table}\" t {rows}"
            );
            let row = client.query_one(&sql, &[]).await.with_context(|| format!("read {table}"))?;
            tables.insert(table, (row.get(0), row.get(1)));
        }
        let named =
            "SELECT DISTINCT store_fname::text FROM ir_attachment WHERE store_fname <> '' AND url IS NULL";
        let mut files = BTreeMap::new();
        for row in client.query(named, &[]).await? {
            let name: String = row.get(0);
            let hash = match fs::read(place.filestore().join(&name)) {
                Ok(bytes) => hex::encode(Sha1::digest(&bytes)),
                Err(error) => format!("{error}"),
            };
            files.insert(name, hash);
        }
        Ok(Self { tables, files })
    }

    /// Every file has the bytes it is named by.
    pub fn check_files(&self) -> Result<()> {
        for (name, hash) in &self.files {
            ensure!(name.ends_with(hash.as_str()), "the file {name} has the hash {hash}");
        }
        Ok(())
    }

    /// The tables and files in which two states differ.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for table in self.tables.keys().chain(other.tables.keys()) {
            let (one, two) = (self.tables.get(table), other.tables.get(table));
            if one != two && !found.iter().any(|seen: &String| seen.starts_with(&format!("{table}:"))) {
                found.push(format!("{table}: {one:?} and {two:?}"));
            }
        }
        for file in self.files.keys().chain(other.files.keys()) {
            if self.files.get(file) != other.files.get(file) {
                found.push(format!("file {file}"));
            }
        }
        found
    }

    pub fn rows(&self) -> i64 {
        self.tables.values().map(|(rows, _)| rows).sum()
    }
}

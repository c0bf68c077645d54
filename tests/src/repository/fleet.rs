//! The tenants, and the same databases in a cluster of their own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use tokio_postgres::{Client, Config};

use super::peer::{Cluster, How, PgBackRest, Stanza};
use super::rows::Rows;
use super::{Scale, archived};
use crate::house::House;
use crate::management;
use crate::queue::Door;
use crate::state::Place;

/// The tenant that is given back, of about 60 MB.
pub const RESTORED: &str = "bench-00";
pub const LARGE: &str = "bench-large";
/// Whose WAL is pushed; it grows by that, and is not backed up with the others.
pub const PUSHED: &str = "bench-push";

const MB: u64 = 1 << 20;

pub struct Fleet {
    pub house: House,
    run_dir: PathBuf,
    pub superuser: Config,
    pub door: Door,
    /// Those that are backed up.
    pub tenants: Vec<String>,
    /// The shared cluster's.
    pub stanza: Stanza,
}

impl Fleet {
    pub async fn place(&self, tenant: &str) -> Result<Place> {
        Place::of_in(&self.house.platform, &self.run_dir, tenant).await
    }

    pub fn repository(&self) -> PathBuf {
        self.house.platform.data.join("repository")
    }

    /// Where a tenant's present lineage keeps its base backups.
    pub fn backups(&self, place: &Place) -> PathBuf {
        let tenant = crate::platform::text(&place.tenant, "id");
        self.repository().join("tenants").join(tenant).join("lineages").join(&place.lineage).join("backups")
    }
}

/// Who has how many bytes of rows besides what Odoo begins with (25 MB).
fn sizes(scale: Scale) -> Vec<(String, u64)> {
    let small = (0..scale.tenants).map(|number| {
        let megabytes = match number {
            0 => 33,
            _ => (number as u64 * 7) % 34,
        };
        (format!("bench-{number:02}"), megabytes * MB)
    });
    // The one that takes the longest is begun first.
    [(LARGE.to_owned(), scale.large - 25 * MB), (PUSHED.to_owned(), MB)].into_iter().chain(small).collect()
}

/// Databases' names have no hyphens.
pub fn database(tenant: &str) -> String {
    tenant.replace('-', "_")
}

/// Makes tenants, whose Odoos are then stopped, and the same databases beside them.
pub async fn make(house: House, run_dir: &Path, peer: &PgBackRest, scale: Scale) -> Result<(Fleet, Cluster)> {
    let sizes = sizes(scale);
    println!("making {} tenants", sizes.len());
    let platform = &house.platform;
    let made = stream::iter(sizes.iter().enumerate().map(|(number, (tenant, bytes))| async move {
        platform.heddle(&["tenant", "create", tenant, "--env", "demo/production"]).await?;
        platform.heddle(&["tenant", "suspend", tenant]).await?;
        let client = Place::of_in(platform, run_dir, tenant).await?.connect().await?;
        fill(&client, number, *bytes).await
    }));
    made.buffer_unordered(2).try_collect::<Vec<()>>().await?;

    println!("making the same databases in one cluster for pgBackRest");
    let data = platform.data.parent().context("the bench's folder")?.join("shared");
    let shared = Cluster::copy(&template(&platform.data)?, &data, 16)?;
    let stanza = peer.stanza("shared", &shared.data, &shared.sockets, How::LikeHeddle)?;
    // What fills it is not to be archived.
    shared.configure("true")?;
    shared.start()?;
    let client = shared.connect("postgres").await?;
    let sql = "SELECT datname::text FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'";
    let odoo: String = client.query_one(sql, &[]).await.context("find the template's database")?.get(0);
    let (cluster, odoo) = (&shared, &odoo);
    let made = stream::iter(sizes.iter().enumerate().map(|(number, (tenant, bytes))| async move {
        let database = database(tenant);
        let create = format!("CREATE DATABASE \"{database}\" TEMPLATE \"{odoo}\" STRATEGY file_copy");
        let client = cluster.connect("postgres").await?;
        client.batch_execute(&create).await.with_context(|| format!("create {database}"))?;
        let client = cluster.connect(&database).await?;
        fill(&client, number, *bytes).await
    }));
    made.buffer_unordered(2).try_collect::<Vec<()>>().await?;
    // It would be one database more than there are tenants.
    client.batch_execute(&format!("DROP DATABASE \"{odoo}\"")).await?;
    stanza.run(&["stanza-create"])?;
    shared.configure(&stanza.archive_command())?;
    client.batch_execute("SELECT pg_reload_conf()").await?;
    archived(&client).await?;

    let superuser = management::config(&platform.data, run_dir)?;
    let key = fs::read_to_string(platform.data.join("secrets/admin.key")).context("read the key")?;
    let door = Door {
        address: platform.console.trim_start_matches("http://").to_owned(),
        key: key.trim().to_owned(),
        worker: None,
    };
    let tenants = sizes.into_iter().map(|(tenant, _)| tenant).filter(|tenant| tenant != PUSHED).collect();
    let run_dir = run_dir.to_owned();
    Ok((Fleet { house, run_dir, superuser, door, tenants, stanza }, shared))
}

/// The same rows for the same tenant, wherever its database is.
async fn fill(client: &Client, number: usize, bytes: u64) -> Result<()> {
    // Nothing is named by these rows that a trigger would have to look for.
    client.batch_execute("SET session_replication_role = replica").await?;
    Rows::new(number as u64).add(client, bytes).await?;
    client.batch_execute("ANALYZE; CHECKPOINT").await.context("write a database")
}

/// The stopped cell that tenants were copied from.
fn template(data: &Path) -> Result<PathBuf> {
    let build = fs::read_dir(data.join("builds"))?.next().context("no build")??;
    Ok(build.path().join("data"))
}

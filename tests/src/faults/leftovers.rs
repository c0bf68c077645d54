//! What must not be left over when nothing is under way.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio_postgres::NoTls;
use uuid::Uuid;

use crate::platform::{Platform, text};

/// Temporaries of pushes come and go, and a clean-up is a run of its own.
const PATIENCE: Duration = Duration::from_secs(30);

/// Fails if something is left over for longer than a moment.
pub async fn none(platform: &Platform) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = look(platform).await?;
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("left over: {}", left.join("; "));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn look(platform: &Platform) -> Result<Vec<String>> {
    let tenants = platform.heddle(&["tenant", "list"]).await?;
    let tenants = tenants.as_array().context("a list of tenants")?;
    let serving: BTreeSet<String> =
        tenants.iter().map(|tenant| text(tenant, "lineage")).filter(|lineage| !lineage.is_empty()).collect();
    let mut left = Vec::new();
    cells(platform, &serving, &mut left)?;
    left.extend(names(&platform.data.join("peeks"))?.into_iter().map(|id| format!("peek {id}")));
    programs(platform, &serving, &mut left)?;
    clusters(platform, serving.len(), &mut left).await?;
    repository(&platform.data.join("repository"), &mut left)?;
    Ok(left)
}

/// A tenant's folder has the cell it serves, and fenced ones.
fn cells(platform: &Platform, serving: &BTreeSet<String>, left: &mut Vec<String>) -> Result<()> {
    for tenant in names(&platform.data.join("tenants"))? {
        let folder = platform.data.join("tenants").join(&tenant);
        for lineage in names(&folder)?.into_iter().filter(|name| Uuid::parse_str(name).is_ok()) {
            let parts = names(&folder.join(&lineage))?;
            let (cell, fenced) = (has(&parts, "cell"), has(&parts, "cell.fenced"));
            if (cell, fenced) != (serving.contains(&lineage), !serving.contains(&lineage)) {
                left.push(format!("lineage {lineage} with {parts:?}"));
            }
            if has(&parts, "cell.new") {
                left.push(format!("lineage {lineage} has a cell.new"));
            }
        }
    }
    Ok(())
}

fn programs(platform: &Platform, serving: &BTreeSet<String>, left: &mut Vec<String>) -> Result<()> {
    let mut wanted = BTreeSet::from(["management".to_owned()]);
    for lineage in serving {
        wanted.extend([format!("cell-{lineage}"), format!("odoo-{lineage}")]);
    }
    let there: BTreeSet<String> = names(&platform.data.join("programs"))?.into_iter().collect();
    left.extend(there.difference(&wanted).map(|id| format!("program {id}")));
    left.extend(wanted.difference(&there).map(|id| format!("no program {id}")));
    Ok(())
}

async fn clusters(platform: &Platform, serving: usize, left: &mut Vec<String>) -> Result<()> {
    let url =
        fs::read_to_string(platform.data.join("secrets/control.url")).context("find control's database")?;
    let (client, connection) =
        tokio_postgres::connect(url.trim(), NoTls).await.context("connect to control's database")?;
    let connection = tokio::spawn(connection);
    let rows = client.query("SELECT state, count(*) FROM ops.clusters GROUP BY state", &[]).await?;
    for row in rows {
        let (state, count): (String, i64) = (row.get(0), row.get(1));
        match state.as_str() {
            "fenced" | "dropped" => {}
            "ready" if count == serving as i64 => {}
            _ => left.push(format!("{count} clusters are {state}, and {serving} tenants serve")),
        }
    }
    drop(client);
    connection.await??;
    Ok(())
}

/// No temporaries, and no backup without its manifest.
fn repository(root: &Path, left: &mut Vec<String>) -> Result<()> {
    left.extend(names(&root.join("tmp"))?.into_iter().map(|name| format!("temporary {name}")));
    for tenant in names(&root.join("tenants"))? {
        let lineages = root.join("tenants").join(tenant).join("lineages");
        for lineage in names(&lineages)? {
            let backups = lineages.join(lineage).join("backups");
            for backup in names(&backups)? {
                if !backups.join(&backup).join("manifest").exists() {
                    left.push(format!("backup {backup} without a manifest"));
                }
            }
        }
    }
    Ok(())
}

fn has(names: &[String], name: &str) -> bool {
    names.iter().any(|one| one == name)
}

/// The names in a folder; none if there is no such folder.
fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("list {}", folder.display()))?,
    };
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

//! Snapshots of the large tenant while rows and attachments are written to it.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use sha1::{Digest, Sha1};
use tokio::task::JoinSet;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use super::fleet::LARGE;
use super::rows::Rows;
use super::{Bench, timed};
use crate::figures::Bounds::AtMost;
use crate::figures::percentile;
use crate::state::Place;

/// Clients that write, a transaction of so many bytes of rows each, and the
/// pause between two.
const WRITERS: u64 = 2;
const BYTES: u64 = 32 * 1024;
const PAUSE: Duration = Duration::from_millis(20);

/// New attachments before each snapshot: so many, of so many bytes; and before
/// every so-manyth more, 16 MB in all.
const FILES: usize = 2;
const MOST_FILES: usize = 16;
const MOST_EVERY: usize = 5;
const FILE: usize = 1 << 20;

pub async fn measure(bench: &mut Bench) -> Result<()> {
    println!("snapshots of the large tenant under writes");
    let place = bench.fleet.place(LARGE).await?;
    let stop = CancellationToken::new();
    let mut writers = JoinSet::new();
    for seed in 0..WRITERS {
        writers.spawn(write(place.connect().await?, seed, stop.clone()));
    }
    let client = place.connect().await?;
    let before = reached(&client).await?;
    let (mut times, mut noise) = (Vec::new(), Rows::new(5));
    for number in 0..bench.scale.snapshots {
        let files = if number % MOST_EVERY == 0 { MOST_FILES } else { FILES };
        attach(&place, &client, &mut noise, files).await?;
        let (name, platform) = (format!("bench-{number}"), &bench.fleet.house.platform);
        let (took, _) = timed(platform.heddle(&["snapshot", "create", LARGE, "--name", &name])).await?;
        times.push(took * 1000.0);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let written = (reached(&client).await? - before) as f64 / (1 << 20) as f64;
    stop.cancel();
    while let Some(writer) = writers.join_next().await {
        writer??;
    }
    println!("  {written:.0} MB of WAL meanwhile, median {:.0} ms", percentile(&times, 50.0));
    bench.beside["snapshot_ms"] = json!(&times);
    bench.beside["snapshot_wal_mb"] = json!(written);
    let p99 = percentile(&times, 99.0);
    bench.figures.counted("snapshots", times.len() as i64);
    bench.figures.note(
        "snapshot under writes, command to durable, p99",
        "ms",
        AtMost { gate: 1000.0, aim: 200.0 },
        p99,
    );
    Ok(())
}

/// Bytes of WAL that were ever written.
async fn reached(client: &Client) -> Result<i64> {
    let sql = "SELECT (pg_current_wal_lsn() - '0/0')::bigint";
    Ok(client.query_one(sql, &[]).await.context("ask for the WAL's end")?.get(0))
}

async fn write(client: Client, seed: u64, stop: CancellationToken) -> Result<()> {
    let mut rows = Rows::new(500 + seed);
    while !stop.is_cancelled() {
        rows.add(&client, BYTES).await?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Attachments as Odoo writes them: a file that is named by its content, and a
/// row that names it.
async fn attach(place: &Place, client: &Client, noise: &mut Rows, count: usize) -> Result<()> {
    let root = place.filestore();
    let owner = fs::metadata(place.folder.join("odoo"))?;
    let own = |path: &std::path::Path| chown(path, Some(owner.uid()), Some(owner.gid()));
    for folder in [root.parent().context("the filestores")?, &root] {
        if !folder.exists() {
            fs::DirBuilder::new().mode(0o700).create(folder)?;
            own(folder)?;
        }
    }
    for _ in 0..count {
        let bytes = noise.noise(FILE);
        let sha1 = hex::encode(Sha1::digest(&bytes));
        let folder = root.join(&sha1[..2]);
        if !folder.exists() {
            fs::DirBuilder::new().mode(0o700).create(&folder)?;
            own(&folder)?;
        }
        let path = folder.join(&sha1);
        fs::write(&path, &bytes)?;
        own(&path)?;
        let sql = "INSERT INTO ir_attachment (name, type, store_fname, checksum, file_size, create_date)
                   VALUES ($1, 'binary', $2, $1, $3, now())";
        client
            .execute(sql, &[&sha1, &format!("{}/{sha1}", &sha1[..2]), &(FILE as i32)])
            .await
            .context("name an attachment")?;
    }
    Ok(())
}

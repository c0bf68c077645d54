//! One tenant to a second in the past: until it answers SQL with the rows that
//! it had then.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::json;
use tokio_postgres::Client;

use super::fleet::{self, RESTORED};
use super::peer::{Cluster, How, Stanza, ended_well, folder};
use super::rows::Rows;
use super::{Bench, archived, settled, timed};
use crate::figures::Bounds::AtMost;
use crate::figures::median;
use crate::platform::until;

/// Written after the backup: before the time that is restored to, and after it.
const BEFORE: u64 = 10 << 20;
const AFTER: u64 = 2 << 20;

/// A time in the past, and the messages that there were.
struct Past {
    at: Timestamp,
    messages: i64,
}

pub async fn measure(bench: &mut Bench) -> Result<()> {
    println!("one tenant to a second in the past");
    let database = fleet::database(RESTORED);
    let alone = alone(bench).await?;
    alone.stanza.run(&["--type=full", "backup"])?;
    bench.fleet.stanza.run(&["--type=full", "backup"])?;
    bench.back_up(&[RESTORED.to_owned()]).await?;

    let own = past(&bench.fleet.place(RESTORED).await?.connect().await?).await?;
    let in_shared = past(&bench.shared.connect(&database).await?).await?;
    let in_alone = past(&alone.cluster.connect(&database).await?).await?;
    let (mut ours, mut pooled, mut single) = (Vec::new(), Vec::new(), Vec::new());
    // Nothing is removed in between: ext4 looks for free inodes the longer, the
    // more were freed a moment ago.
    for round in 0..bench.scale.restores {
        for turn in 0..3 {
            settled();
            match (round + turn) % 3 {
                0 => {
                    let (took, _) = timed(restore(bench, &own)).await?;
                    println!("  Heddle {took:.2} s");
                    ours.push(took);
                    // Or it would be taken while the next one is measured.
                    bench.back_up(&[RESTORED.to_owned()]).await?;
                }
                1 => {
                    let to = bench.top.join(format!("restored-{round}"));
                    let (took, restored) = timed(from_shared(bench, &in_shared, &to)).await?;
                    println!("  pgBackRest, out of one cluster {took:.2} s");
                    pooled.push(took);
                    restored.stop()?;
                }
                _ => {
                    let (took, restored) = timed(alone.restore(&in_alone, &database)).await?;
                    println!("  pgBackRest, a stanza of its own {took:.2} s");
                    single.push(took);
                    restored.stop()?;
                    fs::rename(&alone.cluster.data, bench.top.join(format!("alone-{round}")))?;
                    fs::rename(alone.aside(), &alone.cluster.data)?;
                    alone.cluster.start()?;
                }
            }
        }
    }
    alone.cluster.stop()?;
    bench.beside["restore_s"] =
        json!({"heddle": &ours, "pgbackrest_shared": &pooled, "pgbackrest_own": &single});
    let (ours, pooled, single) = (median(&ours), median(&pooled), median(&single));
    let what = "restore of a 60 MB tenant to a second, beside one cluster";
    bench.figures.note_beside(what, AtMost { gate: 0.2, aim: 0.1 }, ours, pooled, "s");
    let what = "restore of it, beside a stanza for each cell";
    bench.figures.note_beside(what, AtMost { gate: 0.5, aim: 0.25 }, ours, single, "s");
    Ok(())
}

/// The tenant's own cluster, as it would be with pgBackRest.
struct Alone {
    cluster: Cluster,
    stanza: Stanza,
}

impl Alone {
    fn aside(&self) -> PathBuf {
        self.cluster.data.with_extension("aside")
    }

    /// In its place and at its address, the present state kept aside.
    async fn restore(&self, past: &Past, database: &str) -> Result<Cluster> {
        self.cluster.stop()?;
        fs::rename(&self.cluster.data, self.aside())?;
        let restored = from_repository(&self.stanza, past, &self.cluster.data, &[]).await?;
        check(&restored.connect(database).await?, past).await?;
        Ok(restored)
    }
}

async fn alone(bench: &Bench) -> Result<Alone> {
    let given = bench.top.join("given");
    let to = given.to_str().context("a path")?;
    let database = fleet::database(RESTORED);
    let platform = &bench.fleet.house.platform;
    platform.heddle(&["archive", "restore", &database, "--latest", "--to", to]).await?;
    let cluster = Cluster::copy(&given.join("data"), &bench.top.join("alone"), 1)?;
    let stanza = bench.peer.stanza("alone", &cluster.data, &cluster.sockets, How::LikeHeddle)?;
    cluster.configure(&stanza.archive_command())?;
    // The first segment may come before the stanza; it is tried again.
    cluster.start()?;
    stanza.run(&["stanza-create"])?;
    Ok(Alone { cluster, stanza })
}

/// Writes, notes the time, and writes again; all of it is archived.
async fn past(client: &Client) -> Result<Past> {
    // A backup of the same second is too new for pgBackRest.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let mut rows = Rows::new(99);
    rows.add(client, BEFORE).await?;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let past = Past { at: Timestamp::now(), messages: messages(client).await? };
    tokio::time::sleep(Duration::from_millis(1100)).await;
    rows.add(client, AFTER).await?;
    ensure!(messages(client).await? > past.messages, "nothing was written");
    archived(client).await?;
    Ok(past)
}

async fn messages(client: &Client) -> Result<i64> {
    let row =
        client.query_one("SELECT count(*) FROM mail_message", &[]).await.context("count the messages")?;
    Ok(row.get(0))
}

async fn check(client: &Client, past: &Past) -> Result<()> {
    let there = messages(client).await?;
    ensure!(there == past.messages, "{there} messages were given back, not {}", past.messages);
    Ok(())
}

async fn restore(bench: &Bench, past: &Past) -> Result<()> {
    let platform = &bench.fleet.house.platform;
    platform.heddle(&["restore", RESTORED, "--at", &past.at.to_string(), "--yes"]).await?;
    let place = bench.fleet.place(RESTORED).await?;
    until(Duration::from_secs(60), "the restored tenant answers SQL", async || {
        Ok(place.connect().await.is_ok())
    })
    .await?;
    check(&place.connect().await?, past).await
}

/// What pgBackRest's guide says: all other databases become files of zeros, the
/// one is dumped and loaded where it belongs.
async fn from_shared(bench: &Bench, past: &Past, to: &Path) -> Result<Cluster> {
    let database = fleet::database(RESTORED);
    let include = format!("--db-include={database}");
    let restored = from_repository(&bench.fleet.stanza, past, to, &[&include]).await?;
    let back = to.file_name().context("a folder")?.to_string_lossy().replace('-', "_");
    let dump = bench.top.join("peer").join(&back);
    let (out, into) = (restored.client("pg_dump"), bench.shared.client("pg_restore"));
    let create = format!("CREATE DATABASE \"{back}\" TEMPLATE template0");
    bench.shared.connect("postgres").await?.batch_execute(&create).await?;
    let (name, loaded, jobs) = (database.clone(), back.clone(), ["-j", "2"]);
    tokio::task::spawn_blocking(move || {
        let (mut out, mut into) = (out, into);
        ended_well(out.args(jobs).args(["-Fd", "-f"]).arg(&dump).arg(&name))?;
        ended_well(into.args(jobs).arg("-d").arg(&loaded).arg(&dump))
    })
    .await??;
    check(&bench.shared.connect(&back).await?, past).await?;
    Ok(restored)
}

/// A cluster of its own in a new folder, recovered and open for writes.
async fn from_repository(stanza: &Stanza, past: &Past, to: &Path, more: &[&str]) -> Result<Cluster> {
    folder(to)?;
    let cluster = Cluster::at(to)?;
    // As PostgreSQL reads it, to the microsecond.
    let target = format!("--target={}+00", past.at.strftime("%Y-%m-%d %H:%M:%S%.6f"));
    let path = format!("--pg1-path={}", to.display());
    let mut arguments = vec![&path, "--type=time", &target, "--target-action=promote"];
    arguments.extend(more);
    arguments.push("restore");
    stanza.run(&arguments)?;
    // Its settings came along; its socket is its own, and it archives nothing.
    let own = format!("\nunix_socket_directories = '{}'\narchive_mode = off\n", cluster.sockets.display());
    let settings = to.join("postgresql.conf");
    fs::write(&settings, fs::read_to_string(&settings)? + &own)?;
    cluster.start()?;
    let client = cluster.connect("postgres").await?;
    until(Duration::from_secs(120), "the restored cluster is promoted", async || {
        Ok(client.query_one("SELECT NOT pg_is_in_recovery()", &[]).await?.get(0))
    })
    .await?;
    Ok(cluster)
}

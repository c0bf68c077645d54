//! What is lost at most where WAL is streamed: commits are acknowledged, every
//! process is killed, the data directory is removed, and what was acknowledged
//! is looked for in what the repository alone gives back.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls};
use tokio_util::sync::CancellationToken;

use super::Bench;
use super::fleet;
use super::peer::{ended_well, identity, program};
use crate::figures::Bounds::AtMost;
use crate::figures::{median, percentile};
use crate::platform::{Platform, text, until};

/// Between two commits of the one client.
const PAUSE: Duration = Duration::from_millis(2);

/// It is not killed at the same point of the receiver's turns.
const LEAST: Duration = Duration::from_millis(3000);
const UNEVEN: Duration = Duration::from_millis(137);

/// Idle cells are looked at for so long.
const QUIET: Duration = Duration::from_secs(20);

/// When each commit was acknowledged, by the number in its row.
type Acknowledged = Vec<Instant>;

pub async fn measure(bench: &mut Bench) -> Result<()> {
    println!("recovery point, streaming on");
    let tenants: Vec<String> = bench
        .fleet
        .tenants
        .iter()
        .filter(|name| *name != fleet::LARGE)
        .take(bench.scale.streams)
        .cloned()
        .collect();
    idle(bench).await?;
    let (mut lost, mut commits, mut missing) = (Vec::new(), 0, 0);
    for (round, tenant) in tenants.iter().enumerate() {
        let place = bench.fleet.place(tenant).await?;
        streamed(&bench.fleet.house.platform, tenant).await?;
        let client = place.connect().await?;
        client.batch_execute("CREATE TABLE bench_stream (n bigint PRIMARY KEY)").await?;
        let stop = CancellationToken::new();
        let writer = tokio::spawn(write(client, stop.clone()));
        tokio::time::sleep(LEAST + UNEVEN * round as u32).await;
        let platform = &mut bench.fleet.house.platform;
        platform.lose().await?;
        let acknowledged = ended(writer, &stop).await?;
        fs::remove_dir_all(place.folder.join("cell")).context("remove the data directory")?;

        let to = bench.top.join(format!("lost-{round}"));
        let newest = restored(&bench.fleet.house.platform, &text(&place.tenant, "database"), &to).await?;
        let newest = usize::try_from(newest).context("a number")?;
        let last = acknowledged.len().checked_sub(1).context("nothing was written")?;
        // One that was durable, and whose word never came.
        let there = newest.min(last);
        let seconds = acknowledged[last].duration_since(acknowledged[there]).as_secs_f64();
        println!("  {} commits, {} lost: {:.0} ms", last + 1, last - there, seconds * 1000.0);
        lost.push(seconds);
        (commits, missing) = (commits + last + 1, missing + last - there);
        fs::remove_dir_all(&to).context("remove what was restored")?;
        bench.fleet.house.platform.start_again().await?;
    }
    bench.beside["recovery_point_seconds"] = json!(&lost);
    println!("  median {:.0} ms, {missing} of {commits} commits lost", median(&lost) * 1000.0);
    bench.figures.counted("commits before everything was killed", commits as i64);
    bench.figures.note(
        "recovery point, streaming on, the worst",
        "s",
        AtMost { gate: 1.0, aim: 0.2 },
        percentile(&lost, 100.0),
    );
    Ok(())
}

/// Tells what streaming costs where nothing is written.
async fn idle(bench: &mut Bench) -> Result<()> {
    let pieces = |folder: &Path| -> Result<usize> {
        let found =
            ended_well(std::process::Command::new("find").arg(folder).args(["-name", "*.partial-*"]))?;
        Ok(found.lines().count())
    };
    for tenant in &bench.fleet.tenants {
        streamed(&bench.fleet.house.platform, tenant).await?;
    }
    let (repository, worker) = (bench.fleet.repository(), bench.fleet.house.platform.role("worker"));
    let worker = worker.context("the worker runs")?;
    let (before, cpu) = (pieces(&repository)?, cpu_seconds(worker)?);
    tokio::time::sleep(QUIET).await;
    let (after, used) = (pieces(&repository)?, cpu_seconds(worker)? - cpu);
    println!(
        "  idle, {} cells for {} s: {} pieces written, {used:.2} s of the worker's processor time",
        bench.fleet.tenants.len() + 1,
        QUIET.as_secs(),
        after.saturating_sub(before)
    );
    bench.beside["idle"] = json!({"pieces": after.saturating_sub(before), "worker_cpu_seconds": used});
    Ok(())
}

fn cpu_seconds(pid: i32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit_once(") ").context("a line of numbers")?.1.split(' ').collect();
    let ticks = |place: usize| fields.get(place).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((ticks(11) + ticks(12)) / rustix::param::clock_ticks_per_second() as f64)
}

/// Waits until the worker has said that it is.
async fn streamed(platform: &Platform, tenant: &str) -> Result<()> {
    until(Duration::from_secs(120), "the tenant's WAL is streamed", async || {
        let shown = platform.heddle(&["tenant", "show", tenant]).await?;
        let lag = &shown["wal_lag"];
        Ok(lag["bytes"] == 0 && lag["ms"] == 0)
    })
    .await
}

async fn write(client: Client, stop: CancellationToken) -> Acknowledged {
    let mut acknowledged = Vec::new();
    while !stop.is_cancelled() {
        let number = acknowledged.len() as i64;
        match client.execute("INSERT INTO bench_stream (n) VALUES ($1)", &[&number]).await {
            Ok(_) => acknowledged.push(Instant::now()),
            Err(_) => break,
        }
        tokio::time::sleep(PAUSE).await;
    }
    acknowledged
}

async fn ended(writer: JoinHandle<Acknowledged>, stop: &CancellationToken) -> Result<Acknowledged> {
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), writer).await.context("the writer goes on")?.context("join")
}

/// The number of the newest row that the repository gives back.
async fn restored(platform: &Platform, database: &str, to: &Path) -> Result<i64> {
    let target = to.display().to_string();
    let done = platform.heddle(&["archive", "restore", database, "--latest", "--to", &target]).await?;
    let port = done["restored"]["port"].as_u64().context("the restored cluster's port")?;
    let binaries = postgres::Binaries::find(None)?;
    let data = to.join("data");
    let ctl = |verb: &str| {
        let mut command = program(&binaries.program("pg_ctl"), identity().unwrap_or(None));
        command.args([verb, "-w", "-s", "-t", "120", "-m", "fast"]).arg("-D").arg(&data);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        command
    };
    let started = ctl("start").status().context("start the restored cluster")?;
    ensure!(started.success(), "the restored cluster did not start; see {}", to.display());
    let mut config = Config::new();
    config.host_path(to.join("run")).port(port as u16).user("heddle").dbname(database);
    let (client, connection) = config.connect(NoTls).await.context("connect to the restored cluster")?;
    tokio::spawn(connection);
    let sql = "SELECT coalesce(max(n), -1), count(*) FROM bench_stream";
    let row = client.query_one(sql, &[]).await.context("look for the rows")?;
    let (newest, count): (i64, i64) = (row.get(0), row.get(1));
    drop(client);
    ended_well(&mut ctl("stop"))?;
    ensure!(newest + 1 == count, "{count} rows up to {newest}: some in between are lost");
    Ok(newest)
}

//! `make bench-queue`: the queue and what stands around it, through the API and
//! the real worker, beside Graphile Worker on the same PostgreSQL.

mod events;
mod graphile;
mod latency;
mod lifecycles;
mod line;
mod lists;
mod tenants;

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde_json::json;
use tokio_postgres::{Client, Config};

use self::events::Talker;
use self::graphile::Graphile;
pub use self::line::Door;
use crate::figures::Bounds::{AtLeast, AtMost};
use crate::figures::{Figures, median, percentile};
use crate::management;
use crate::memory::Memory;
use crate::platform::Platform;

/// Whose runs are counted.
const PROJECT: &str = "bench";

/// Of what is queued in batches: runs or jobs in one, and clients that do so.
const BATCH: usize = 1_000;
const ADDERS: usize = 2;

/// Between two looks at whether all is done.
const LOOK: Duration = Duration::from_millis(5);

/// Runs and jobs of one round, and rounds of each queue in turn.
const RUNS: usize = 100_000;
const ROUNDS: usize = 5;

/// Clients that queue a run each and wait for its end.
const SINGLE_CLIENTS: usize = 32;
const SINGLE_LASTING: Duration = Duration::from_secs(10);

/// Runs a second of an idle platform, and of a busy one.
const IDLE_RATE: u32 = 20;
const BUSY_RATE: u32 = 500;
const LATENCY_LASTING: Duration = Duration::from_secs(30);

/// How long a transaction is held open, unless HELD_SECONDS says otherwise; its
/// last part counts.
const HELD: u64 = 600;
const HELD_COUNTS: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    Batched,
    Single,
    Latency,
    Held,
    Events,
    Lists,
    Tenants,
}

/// What the audit must tell of each run.
const AUDITED: [(&str, &str); 3] = [
    ("queued", "a.act = 'runs.created'"),
    ("claimed", "a.act = 'runs.changed' AND a.detail -> 'state' ->> 1 = 'running'"),
    ("finished", "a.act = 'runs.changed' AND a.detail -> 'state' ->> 1 = 'succeeded'"),
];

struct Bench {
    platform: Platform,
    superuser: Config,
    database: Client,
    door: Door,
    figures: Figures,
    /// Runs that must be in the database, each queued, claimed and finished once.
    done: i64,
}

/// Measures on a platform of its own in `top`. `graphile` is the folder with its
/// worker.mjs. Returns whether all gates hold.
pub async fn run(heddle: &Path, graphile: &Path, top: &Path, parts: &[Part]) -> Result<bool> {
    let (data, run_dir) = (top.join("data"), top.join("run"));
    // One key asks for everything here; what it may ask for in a second is not what is measured.
    let env =
        [("HEDDLE_RUN_DIR", run_dir.display().to_string()), ("HEDDLE_REQUESTS_PER_SECOND", "0".to_owned())];
    let platform = Platform::start(heddle, &data, &env).await?;
    let superuser = management::config(&data, &run_dir)?;
    let database = management::connect(&superuser).await?;
    let key = fs::read_to_string(data.join("secrets/admin.key")).context("read the key")?;
    let door = Door {
        address: platform.console.trim_start_matches("http://").to_owned(),
        key: key.trim().to_owned(),
        worker: None,
    };
    settings_are_durable(&database).await?;
    // Before anything else has been asked of it.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let idle = Memory::of(platform.role("control").context("control does not run")?)?;
    platform.heddle(&["project", "create", PROJECT]).await?;
    let mut bench = Bench { platform, superuser, database, door, figures: Figures::default(), done: 0 };

    let wanted = |part| parts.is_empty() || parts.contains(&part);
    let mut beside = json!({"idle_share_mb": idle.share});
    if wanted(Part::Batched) {
        beside["batched"] = bench.batched(graphile).await?;
    }
    if wanted(Part::Single) {
        bench.single().await?;
    }
    if wanted(Part::Latency) {
        bench.latency().await?;
    }
    if wanted(Part::Held) {
        bench.held().await?;
    }
    if wanted(Part::Events) {
        bench.events().await?;
    }
    bench.counts().await?;
    if wanted(Part::Lists) {
        bench.lists().await?;
    }
    let figures = &mut bench.figures;
    figures.note("control in memory, idle", "MB", AtMost { gate: 80.0, aim: 40.0 }, idle.resident);
    if wanted(Part::Tenants) {
        bench.tenants().await?;
    }
    let met = bench.figures.report("queue", beside)?;
    bench.platform.stop().await?;
    Ok(met)
}

impl Bench {
    /// The two queues in turn, so that what else the machine does meets both.
    async fn batched(&mut self, folder: &Path) -> Result<serde_json::Value> {
        println!("{RUNS} lifecycles in batches of {BATCH}, {ROUNDS} rounds");
        let peer = Graphile::prepare(folder, &self.superuser, RUNS / 2).await?;
        let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        // The first round of each is to warm up.
        for round in 0..=ROUNDS {
            let own = lifecycles::batched(&self.door, &self.database, RUNS).await?;
            self.done += RUNS as i64;
            self.database.batch_execute("VACUUM (ANALYZE) ops.run_ready, ops.leases").await?;
            let other = peer.round(RUNS).await?;
            println!("  Heddle {own:.0}/s, Graphile Worker {other:.0}/s");
            if round > 0 {
                ours.push(own);
                theirs.push(other);
                ratios.push(own / other);
            }
        }
        let (rate, ratio) = (median(&ours), median(&ratios));
        self.figures.note("batched lifecycles", "/s", AtLeast { gate: 10_000.0, aim: 20_000.0 }, rate);
        self.figures.note("beside Graphile Worker", "x", AtLeast { gate: 1.0, aim: 1.0 }, ratio);
        Ok(json!({
            "heddle": ours, "graphile_worker": theirs, "graphile_worker_median": median(&theirs),
            "graphile_worker_processes": peer.processes(),
        }))
    }

    async fn single(&mut self) -> Result<()> {
        println!("single lifecycles, {SINGLE_CLIENTS} at once");
        let watching = management::connect(&self.superuser).await?;
        let (rate, done) = lifecycles::single(&self.door, watching, SINGLE_CLIENTS, SINGLE_LASTING).await?;
        self.done += done as i64;
        self.figures.note(
            "single lifecycles, 32 at once",
            "/s",
            AtLeast { gate: 1_000.0, aim: 3_000.0 },
            rate,
        );
        Ok(())
    }

    async fn latency(&mut self) -> Result<()> {
        println!("from queued to started");
        let starts = latency::steady(&self.door, &self.database, IDLE_RATE, LATENCY_LASTING).await?;
        self.done += starts.len() as i64;
        let times: Vec<f64> = starts.iter().map(|start| start.milliseconds).collect();
        let (p50, p99) = (percentile(&times, 50.0), percentile(&times, 99.0));
        self.figures.note("queued to started, idle, p50", "ms", AtMost { gate: 10.0, aim: 5.0 }, p50);
        self.figures.note("queued to started, idle, p99", "ms", AtMost { gate: 50.0, aim: 25.0 }, p99);
        let starts = latency::steady(&self.door, &self.database, BUSY_RATE, LATENCY_LASTING).await?;
        self.done += starts.len() as i64;
        let times: Vec<f64> = starts.iter().map(|start| start.milliseconds).collect();
        let p99 = percentile(&times, 99.0);
        self.figures.note("  at 500 lifecycles/s, p99", "ms", AtMost { gate: 50.0, aim: 20.0 }, p99);
        Ok(())
    }

    /// An old snapshot keeps every dead row in its place.
    async fn held(&mut self) -> Result<()> {
        let seconds = match std::env::var("HELD_SECONDS") {
            Ok(text) => text.parse().context("HELD_SECONDS must be a number")?,
            Err(_) => HELD,
        };
        println!("the same with a transaction held open for {seconds} s");
        let holder = management::connect(&self.superuser).await?;
        holder
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM ops.projects")
            .await?;
        let lasting = Duration::from_secs(seconds);
        let starts = latency::steady(&self.door, &self.database, BUSY_RATE, lasting).await?;
        holder.batch_execute("COMMIT").await?;
        self.done += starts.len() as i64;
        let p99 = percentile(&latency::last(&starts, HELD_COUNTS), 99.0);
        let what = format!("  with a transaction open for {seconds} s, p99");
        self.figures.note(&what, "ms", AtMost { gate: 75.0, aim: 25.0 }, p99);
        Ok(())
    }

    async fn events(&mut self) -> Result<()> {
        println!("events");
        let platform = fs::read_to_string(self.platform.data.join("secrets/platform.key"))?;
        let door = Door { key: platform.trim().to_owned(), ..self.door.clone() };
        let talker = Talker::register(door).await?;
        let (rate, rows, runs) = talker.ingest(&self.door, &self.database).await?;
        self.done += runs;
        self.figures.counted("events taken in", rows);
        let bounds = AtLeast { gate: 100_000.0, aim: 150_000.0 };
        self.figures.note("events taken in, batched", "/s", bounds, rate);
        let (times, runs) = talker.watched(&self.door, &self.database).await?;
        self.done += runs;
        self.figures.counted("events told to browsers", times.len() as i64);
        let p99 = percentile(&times, 99.0);
        self.figures.note("event to browser, p99", "ms", AtMost { gate: 300.0, aim: 100.0 }, p99);
        Ok(())
    }

    async fn lists(&mut self) -> Result<()> {
        println!("lists of runs under row-level security");
        let member = lists::fill(&self.database, &self.door).await?;
        let times = lists::ask(&member).await?;
        self.figures.counted("lists of runs answered", times.len() as i64);
        let p99 = percentile(&times, 99.0);
        self.figures.note(
            "list of runs, 1 million in 200 projects, p99",
            "ms",
            AtMost { gate: 50.0, aim: 15.0 },
            p99,
        );
        Ok(())
    }

    async fn tenants(&mut self) -> Result<()> {
        println!("a router that is told ten thousand tenants");
        let (memory, tenants) = tenants::crowd(&self.database, &self.platform).await?;
        self.figures.counted("tenants routed", tenants);
        let what = "control in memory, 10,000 tenants";
        self.figures.note(what, "MB", AtMost { gate: 250.0, aim: 120.0 }, memory.resident);
        Ok(())
    }

    /// What was done must be there: each run queued, claimed and finished, and
    /// told of.
    async fn counts(&mut self) -> Result<()> {
        let row = self
            .database
            .query_one(
                "SELECT count(*), count(*) FILTER (WHERE r.state = 'succeeded'), sum(r.attempts)::bigint
                 FROM ops.runs r JOIN ops.projects p ON p.id = r.project_id WHERE p.name = $1",
                &[&PROJECT],
            )
            .await?;
        let (there, succeeded, attempts): (i64, i64, Option<i64>) = (row.get(0), row.get(1), row.get(2));
        let (done, attempts) = (self.done, attempts.unwrap_or_default());
        ensure!(
            there == done && succeeded == done && attempts == done,
            "{done} runs were queued; {there} are there, {succeeded} have succeeded, in {attempts} attempts"
        );
        self.figures.counted("runs queued, claimed and finished, each once", succeeded);
        for (what, condition) in AUDITED {
            let sql = format!(
                "SELECT COALESCE(sum(cardinality(a.subjects)), 0)::bigint
                 FROM ops.audit a JOIN ops.projects p ON p.id = a.project_id
                 WHERE p.name = '{PROJECT}' AND {condition}"
            );
            let audited = management::count(&self.database, &sql).await?;
            ensure!(audited == done, "{done} runs were {what}, the audit tells of {audited}");
            self.figures.counted(&format!("{what}, in the audit"), audited);
        }
        Ok(())
    }
}

/// Both queues are measured on a server that loses nothing it has acknowledged.
async fn settings_are_durable(database: &Client) -> Result<()> {
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        let value: String = database.query_one("SELECT current_setting($1)", &[&setting]).await?.get(0);
        ensure!(value == "on", "{setting} is {value}: nothing would be durable");
    }
    Ok(())
}

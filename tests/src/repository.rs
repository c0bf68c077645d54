//! `make bench-archive`: what the archive does for real Odoo tenants, through
//! the real worker, beside pgBackRest on the same databases in one cluster.

mod backup;
mod changes;
mod fleet;
mod peer;
mod push;
mod restore;
mod rows;
mod snapshot;
mod stream;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde_json::{Value, json};
use tokio_postgres::Client;

use self::fleet::Fleet;
use self::peer::{Cluster, PgBackRest};
use crate::figures::Bounds::AtMost;
use crate::figures::Figures;
use crate::house::{House, MODULES};
use crate::management;
use crate::platform::{Platform, until};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    Push,
    Backup,
    Restore,
    Changes,
    Snapshot,
    Stream,
}

/// How much there is, and how often it is measured.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Small tenants, besides the large one.
    tenants: usize,
    /// Bytes of the large tenant's database.
    large: u64,
    /// Segments of each size that are pushed.
    segments: usize,
    backups: usize,
    restores: usize,
    snapshots: usize,
    /// How often everything is killed and lost.
    streams: usize,
}

impl Scale {
    pub fn whole() -> Result<Self> {
        Self {
            tenants: 30,
            large: 2 << 30,
            segments: 40,
            backups: 3,
            restores: 3,
            snapshots: 100,
            streams: 7,
        }
        .chosen()
    }

    /// For those who work on it: some minutes, and no figures to be told.
    pub fn quick() -> Result<Self> {
        Self {
            tenants: 3,
            large: 200 << 20,
            segments: 10,
            backups: 2,
            restores: 2,
            snapshots: 15,
            streams: 3,
        }
        .chosen()
    }

    /// What the environment says instead.
    fn chosen(mut self) -> Result<Self> {
        for (name, count) in [
            ("TENANTS", &mut self.tenants),
            ("SEGMENTS", &mut self.segments),
            ("BACKUPS", &mut self.backups),
            ("RESTORES", &mut self.restores),
            ("SNAPSHOTS", &mut self.snapshots),
            ("STREAMS", &mut self.streams),
        ] {
            if let Ok(text) = std::env::var(name) {
                *count = text.parse().with_context(|| format!("{name} must be a number"))?;
            }
            ensure!(*count > 0, "{name} must be at least 1");
        }
        Ok(self)
    }
}

struct Bench {
    top: PathBuf,
    scale: Scale,
    fleet: Fleet,
    /// All tenants' databases, as they are with anybody but Heddle.
    shared: Cluster,
    peer: PgBackRest,
    figures: Figures,
    beside: Value,
}

/// Measures on a platform of its own in `top`. Returns whether all gates hold.
pub async fn run(heddle: &Path, odoo: &Path, top: &Path, scale: Scale, parts: &[Part]) -> Result<bool> {
    let (data, run_dir) = (top.join("data"), top.join("run"));
    let platform =
        Platform::start(heddle, &data, &[("HEDDLE_RUN_DIR", run_dir.display().to_string())]).await?;
    println!("making a template of Odoo with {MODULES}");
    let house = House::move_in(platform, odoo, None, MODULES).await?;
    let peer = PgBackRest::new(&top.join("peer"))?;
    let (fleet, shared) = fleet::make(house, &run_dir, &peer, scale).await?;
    let beside = json!({"pgbackrest": peer.version()?, "scale": format!("{scale:?}")});
    let mut bench =
        Bench { top: top.to_owned(), scale, fleet, shared, peer, figures: Figures::default(), beside };
    let wanted = |part| parts.is_empty() || parts.contains(&part);
    if wanted(Part::Push) {
        push::measure(&mut bench).await?;
    } else {
        push::forget(&bench).await?;
    }
    if wanted(Part::Backup) {
        backup::measure(&mut bench).await?;
    }
    if wanted(Part::Changes) {
        changes::measure(&mut bench).await?;
    }
    if wanted(Part::Restore) {
        restore::measure(&mut bench).await?;
    }
    if wanted(Part::Snapshot) {
        snapshot::measure(&mut bench).await?;
    }
    // Tenants are lost by it.
    if wanted(Part::Stream) {
        stream::measure(&mut bench).await?;
    }
    let Bench { fleet, shared, mut figures, beside, .. } = bench;
    if parts.is_empty() {
        figures.not_built("clone of the large tenant, reflink", "s", AtMost { gate: 2.0, aim: 0.5 });
        figures.not_built("clone of the large tenant, beside cp -a", "x", AtMost { gate: 1.1, aim: 1.0 });
    }
    let met = figures.report("archive", beside)?;
    shared.stop()?;
    fleet.house.platform.stop().await?;
    Ok(met)
}

/// What was written before must not be paid for by what is measured next.
fn settled() {
    rustix::fs::sync();
}

/// Seconds that it took.
async fn timed<T>(work: impl Future<Output = Result<T>>) -> Result<(f64, T)> {
    let began = Instant::now();
    let done = work.await?;
    Ok((began.elapsed().as_secs_f64(), done))
}

/// Waits until the cluster has archived what it has written so far.
async fn archived(client: &Client) -> Result<()> {
    let sql = "SELECT pg_walfile_name(pg_switch_wal())";
    // Where nothing was written since the last switch there is nothing to wait for.
    client.batch_execute("SELECT pg_logical_emit_message(false, 'bench', 'switch')").await?;
    let name: String = client.query_one(sql, &[]).await?.get(0);
    until(Duration::from_secs(300), &format!("{name} is archived"), async || {
        let sql = "SELECT coalesce(last_archived_wal >= $1, false) FROM pg_stat_archiver";
        Ok(client.query_one(sql, &[&name]).await?.get(0))
    })
    .await
}

impl Bench {
    /// Base backups of these tenants, through the API and the worker; seconds
    /// until all are durable and recorded.
    async fn back_up(&self, tenants: &[String]) -> Result<f64> {
        let mut line = self.fleet.door.open().await?;
        let runs: Vec<Value> = tenants
            .iter()
            .map(|tenant| json!({"project": "demo", "kind": "backup", "tenant": tenant}))
            .collect();
        let database = management::connect(&self.fleet.superuser).await?;
        let began = Instant::now();
        let answer = line.post_json("/api/v1/runs", &json!({"runs": runs})).await?;
        let queued = answer["runs"].as_array().context("the runs that were queued")?;
        let ids = queued.iter().map(|run| Ok(run["id"].as_str().context("an id")?.parse()?));
        let ids = ids.collect::<Result<Vec<uuid::Uuid>>>()?;
        let sql = "SELECT count(*) FILTER (WHERE state = 'succeeded'),
                          count(*) FILTER (WHERE state NOT IN ('queued', 'running', 'succeeded'))
                   FROM ops.runs WHERE id = ANY($1)";
        loop {
            let row = database.query_one(sql, &[&ids]).await.context("look at the runs")?;
            let (done, failed): (i64, i64) = (row.get(0), row.get(1));
            ensure!(failed == 0, "{failed} base backups failed; see `heddle run list`");
            if done == ids.len() as i64 {
                return Ok(began.elapsed().as_secs_f64());
            }
            ensure!(began.elapsed() < Duration::from_secs(600), "the base backups do not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

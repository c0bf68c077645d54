//! Runs from being queued to having succeeded: in batches, and one by one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use super::line::{Door, Line};
use super::{ADDERS, BATCH, LOOK, PROJECT};

/// How long one measurement may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// What is asked to queue so many probes.
pub fn probes(count: usize) -> Value {
    let probe = json!({"project": PROJECT, "kind": "probe"});
    json!({"runs": vec![probe; count]})
}

/// Queues so many runs in batches while the worker works on them, from the first
/// batch to the last run ended. Runs a second.
pub async fn batched(door: &Door, database: &Client, runs: usize) -> Result<f64> {
    let lines = door.lines(ADDERS).await?;
    let queued = AtomicUsize::new(0);
    let began = Instant::now();
    futures::future::try_join_all(lines.into_iter().map(|line| add(line, &queued, runs))).await?;
    emptied(database, began + PATIENCE).await?;
    Ok(runs as f64 / began.elapsed().as_secs_f64())
}

async fn add(mut line: Line, queued: &AtomicUsize, runs: usize) -> Result<()> {
    loop {
        let first = queued.fetch_add(BATCH, Ordering::Relaxed);
        if first >= runs {
            return Ok(());
        }
        // Made for each, as Graphile Worker's are.
        let body = probes(BATCH.min(runs - first)).to_string();
        line.post("/api/v1/runs", body).await.context("queue a batch")?;
    }
}

/// Waits until nothing is queued and nothing runs.
pub async fn emptied(database: &Client, deadline: Instant) -> Result<()> {
    let empty = "SELECT NOT EXISTS (SELECT FROM ops.run_ready) AND NOT EXISTS (SELECT FROM ops.leases)";
    let empty = database.prepare(empty).await?;
    while !database.query_one(&empty, &[]).await?.get::<_, bool>(0) {
        ensure!(Instant::now() < deadline, "the runs do not end");
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// So many clients at once, each queuing one run and the next when it has
/// succeeded, for a while. Runs a second, and how many.
pub async fn single(
    door: &Door,
    watching: Client,
    clients: usize,
    lasting: Duration,
) -> Result<(f64, usize)> {
    let watch = Arc::new(Watch::new(watching).await?);
    let began = Instant::now();
    let until = began + lasting;
    let lines = door.lines(clients).await?;
    let looks = {
        let watch = watch.clone();
        tokio::spawn(async move { watch.run().await })
    };
    let done = lines.into_iter().map(|line| one_by_one(line, &watch, until));
    let done: usize = futures::future::try_join_all(done).await?.into_iter().sum();
    let took = began.elapsed().as_secs_f64();
    looks.abort();
    Ok((done as f64 / took, done))
}

async fn one_by_one(mut line: Line, watch: &Watch, until: Instant) -> Result<usize> {
    let probe = probes(1).to_string();
    let mut done = 0;
    while Instant::now() < until {
        let answer: Value = serde_json::from_slice(&line.post("/api/v1/runs", probe.clone()).await?)?;
        watch.ended(queued_ids(&answer)?[0]).await?;
        done += 1;
    }
    Ok(done)
}

/// The ids that were given to what was queued.
pub fn queued_ids(answer: &Value) -> Result<Vec<Uuid>> {
    let runs = answer["runs"].as_array().context("no runs in the answer")?;
    runs.iter().map(|run| Ok(run["id"].as_str().context("a run's id")?.parse()?)).collect()
}

/// One look at the database for all who wait for a run to end: what waiting
/// costs is not what is measured.
struct Watch {
    database: Client,
    ended: Statement,
    waiting: std::sync::Mutex<Vec<(Uuid, tokio::sync::oneshot::Sender<()>)>>,
}

impl Watch {
    async fn new(database: Client) -> Result<Self> {
        let ended =
            database.prepare("SELECT id FROM ops.runs WHERE id = ANY ($1) AND ended_at IS NOT NULL").await?;
        Ok(Self { database, ended, waiting: Default::default() })
    }

    async fn ended(&self, run: Uuid) -> Result<()> {
        let (tell, told) = tokio::sync::oneshot::channel();
        self.waiting.lock().expect("nobody panics with it").push((run, tell));
        tokio::time::timeout(PATIENCE, told).await.context("a run does not end")?.context("nobody looks")
    }

    async fn run(&self) -> Result<()> {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let runs: Vec<Uuid> =
                self.waiting.lock().expect("nobody panics with it").iter().map(|(run, _)| *run).collect();
            if runs.is_empty() {
                continue;
            }
            for row in self.database.query(&self.ended, &[&runs]).await? {
                let ended: Uuid = row.get(0);
                let mut waiting = self.waiting.lock().expect("nobody panics with it");
                if let Some(place) = waiting.iter().position(|(run, _)| *run == ended) {
                    let _ = waiting.swap_remove(place).1.send(());
                }
            }
        }
    }
}

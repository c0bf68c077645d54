//! Events: taken in as workers report them, and told on to who watches.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use super::PROJECT;
use super::lifecycles::queued_ids;
use super::line::{Door, Line};

/// What runs are marked with that no other worker may take.
const LABEL: &str = "bench";

/// Taken in by so many connections at once, each of a run of its own, so many
/// rows with one request.
const TELLERS: usize = 4;
const ROWS: usize = 2_000;
const LASTING: Duration = Duration::from_secs(10);

/// Browsers, each with a run of its own, and how often each run says something.
const BROWSERS: usize = 20;
const SAYS_EVERY: Duration = Duration::from_millis(50);
const SAYINGS: usize = 300;

/// Within half of the lease.
const BEAT: Duration = Duration::from_secs(3);

/// A worker that does nothing but hold runs and talk.
pub struct Talker {
    door: Door,
    worker: Uuid,
}

/// A run that it holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    run: Uuid,
    fence: i64,
}

impl Talker {
    /// `door` is the platform's own.
    pub async fn register(mut door: Door) -> Result<Self> {
        let body = json!({"name": LABEL, "version": "0", "labels": [LABEL]});
        let answer = door.open().await?.post_json("/internal/workers", &body).await?;
        let worker = answer["worker"].as_str().context("a worker's id")?.parse()?;
        door.worker = Some(worker);
        Ok(Self { door, worker })
    }

    /// Queues so many runs, and holds them.
    async fn hold(&self, api: &Door, count: usize) -> Result<Vec<Held>> {
        let run = json!({"project": PROJECT, "kind": "probe", "labels": [LABEL]});
        let queued = api.open().await?.post_json("/api/v1/runs", &json!({"runs": vec![run; count]})).await?;
        ensure!(queued_ids(&queued)?.len() == count, "not all were queued");
        let claim = json!({"worker": self.worker, "kinds": ["probe"], "n": count, "wait_ms": 5000});
        let claimed = self.door.open().await?.post_json("/internal/runs/claim", &claim).await?;
        let held: Vec<Held> = claimed
            .as_array()
            .context("a list of runs")?
            .iter()
            .map(|run| {
                Ok(Held {
                    run: run["run"].as_str().context("a run's id")?.parse()?,
                    fence: run["fence"].as_i64().context("a fence")?,
                })
            })
            .collect::<Result<_>>()?;
        ensure!(held.len() == count, "{count} runs were queued, {} claimed", held.len());
        Ok(held)
    }

    /// Keeps the leases; without end.
    async fn beat(&self, held: &[Held]) -> Result<()> {
        let mut line = self.door.open().await?;
        let runs: Vec<_> =
            held.iter().map(|held| json!({"run": held.run, "fence": held.fence, "begun": true})).collect();
        let body = json!({"worker": self.worker, "runs": runs});
        loop {
            line.post_json("/internal/runs/heartbeat", &body).await?;
            tokio::time::sleep(BEAT).await;
        }
    }

    async fn finish(&self, held: &[Held]) -> Result<()> {
        let runs: Vec<_> = held
            .iter()
            .map(|held| json!({"run": held.run, "fence": held.fence, "outcome": "succeeded"}))
            .collect();
        let body = json!({"worker": self.worker, "runs": runs});
        let answer = self.door.open().await?.post_json("/internal/runs/finish", &body).await?;
        ensure!(answer["stale"].as_array().is_none_or(Vec::is_empty), "leases were lost: {answer}");
        Ok(())
    }

    /// Rows a second, how many rows, and of how many runs.
    pub async fn ingest(&self, api: &Door, database: &Client) -> Result<(f64, i64, i64)> {
        let held = self.hold(api, TELLERS).await?;
        let began = Instant::now();
        let tellers = held.iter().map(|held| self.pour(*held, began + LASTING));
        let poured = tokio::select! {
            poured = futures::future::try_join_all(tellers) => poured?,
            ended = self.beat(&held) => return ended.and(Err(anyhow::anyhow!("heartbeats ended"))),
        };
        let rows: i64 = poured.into_iter().sum();
        let rate = rows as f64 / began.elapsed().as_secs_f64();
        self.finish(&held).await?;
        found(database, &held, rows).await?;
        Ok((rate, rows, held.len() as i64))
    }

    async fn pour(&self, held: Held, until: Instant) -> Result<i64> {
        let mut line = self.door.open().await?;
        let event = json!({
            "at": Timestamp::now(), "level": "info",
            "message": "Loading module web (12/87): 43 queries, 0.21 s; as long as a line of a log is",
        });
        // The same each time but for where it goes on: the teller's own work is not measured.
        let events = serde_json::to_string(&vec![event; ROWS])?;
        let mut rows = 0;
        while Instant::now() < until {
            let (worker, run, fence, first) = (self.worker, held.run, held.fence, rows + 1);
            let body = format!(
                r#"{{"worker":"{worker}","runs":[{{"run":"{run}","fence":{fence},"first":{first},"events":{events}}}]}}"#
            );
            let answer = line.post("/internal/runs/events", body).await?;
            let answer: Value = serde_json::from_slice(&answer)?;
            ensure!(answer["stale"].as_array().is_none_or(Vec::is_empty), "a lease was lost: {answer}");
            rows += ROWS as i64;
        }
        Ok(rows)
    }

    /// Milliseconds from a worker's saying something to a browser's being told,
    /// and how many runs were watched.
    pub async fn watched(&self, api: &Door, database: &Client) -> Result<(Vec<f64>, i64)> {
        let held = self.hold(api, BROWSERS).await?;
        let clock = Arc::new(Instant::now());
        let mut browsers = Vec::new();
        for held in &held {
            let line = api.open().await?;
            browsers.push(tokio::spawn(browse(line, held.run, clock.clone())));
        }
        let said = tokio::select! {
            said = self.say(&held, &clock) => said?,
            ended = self.beat(&held) => return ended.and(Err(anyhow::anyhow!("heartbeats ended"))),
        };
        self.finish(&held).await?;
        let mut times = Vec::new();
        for browser in browsers {
            let told = tokio::time::timeout(Duration::from_secs(30), browser).await;
            times.extend(told.context("a browser is not told of the end")???);
        }
        ensure!(times.len() as i64 == said, "{said} events were said, browsers were told {}", times.len());
        found(database, &held, said).await?;
        Ok((times, held.len() as i64))
    }

    /// One event of each run at a time, as a worker sends what its runs say.
    async fn say(&self, held: &[Held], clock: &Instant) -> Result<i64> {
        let mut line = self.door.open().await?;
        let mut tick = tokio::time::interval(SAYS_EVERY);
        for number in 1..=SAYINGS {
            tick.tick().await;
            let said = clock.elapsed().as_micros().to_string();
            let runs: Vec<_> = held
                .iter()
                .map(|held| {
                    json!({
                        "run": held.run, "fence": held.fence, "first": number,
                        "events": [{"at": Timestamp::now(), "level": "info", "message": said}],
                    })
                })
                .collect();
            line.post_json("/internal/runs/events", &json!({"worker": self.worker, "runs": runs})).await?;
        }
        Ok((held.len() * SAYINGS) as i64)
    }
}

/// Follows a run to its end as a browser does.
async fn browse(line: Line, run: Uuid, clock: Arc<Instant>) -> Result<Vec<f64>> {
    let mut body = line.stream(&format!("/api/v1/runs/{run}/stream")).await?;
    let mut times = Vec::new();
    let mut unread = String::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let told = clock.elapsed().as_micros() as f64;
        unread.push_str(std::str::from_utf8(&data).context("read a stream")?);
        while let Some((event, rest)) = unread.split_once("\n\n") {
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            match (field("event:"), field("data:")) {
                (Some("event"), Some(data)) => {
                    let event: Value = serde_json::from_str(data)?;
                    // Control says something of its own now and then.
                    if let Some(said) = event["message"].as_str().and_then(|said| said.parse::<f64>().ok()) {
                        times.push((told - said) / 1e3);
                    }
                }
                (Some("end"), _) => return Ok(times),
                _ => {}
            }
            unread = rest.to_owned();
        }
    }
    anyhow::bail!("the stream of {run} ended before the run")
}

/// What was said must be there, once.
async fn found(database: &Client, held: &[Held], rows: i64) -> Result<()> {
    let runs: Vec<Uuid> = held.iter().map(|held| held.run).collect();
    let found: i64 = database
        .query_one("SELECT count(*) FROM ops.run_events WHERE run_id = ANY ($1)", &[&runs])
        .await?
        .get(0);
    ensure!(found == rows, "{rows} events were sent, {found} are in the database");
    Ok(())
}

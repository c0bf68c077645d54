//! From the moment a client asks for a run to the moment a worker has it.

use std::time::Duration;

use anyhow::{Result, ensure};
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_postgres::Client;
use uuid::Uuid;

use super::lifecycles::{emptied, probes, queued_ids};
use super::line::{Door, Line};

/// Connections that a steady rate is spread over.
const LINES: usize = 16;

/// One run: when it was to be asked for, and when it was started.
pub struct Start {
    asked: Timestamp,
    pub milliseconds: f64,
}

/// At a steady rate, whether or not what was asked for before is answered: a
/// run's time counts from when it was due to be asked for.
pub async fn steady(door: &Door, database: &Client, rate: u32, lasting: Duration) -> Result<Vec<Start>> {
    let every = Duration::from_secs(1) / rate;
    let count = (lasting.as_secs_f64() * f64::from(rate)) as u32;
    let lines = door.lines(LINES).await?;
    let (began, began_at) =
        (Instant::now() + Duration::from_millis(50), Timestamp::now() + Duration::from_millis(50));
    let askers = lines.into_iter().enumerate().map(|(number, line)| {
        let mine = (number as u32..count).step_by(LINES);
        tokio::spawn(ask(line, mine.collect(), every, began, began_at))
    });
    let mut asked = Vec::with_capacity(count as usize);
    for asker in futures::future::join_all(askers).await {
        asked.extend(asker??);
    }
    emptied(database, std::time::Instant::now() + Duration::from_secs(60)).await?;
    starts(database, asked).await
}

async fn ask(
    mut line: Line,
    numbers: Vec<u32>,
    every: Duration,
    began: Instant,
    began_at: Timestamp,
) -> Result<Vec<(Uuid, Timestamp)>> {
    let probe = probes(1).to_string();
    let mut asked = Vec::with_capacity(numbers.len());
    for number in numbers {
        let due = every * number;
        tokio::time::sleep_until(began + due).await;
        let answer = serde_json::from_slice(&line.post("/api/v1/runs", probe.clone()).await?)?;
        asked.push((queued_ids(&answer)?[0], began_at + due));
    }
    Ok(asked)
}

/// What the worker itself said of when it began, by the same machine's clock.
async fn starts(database: &Client, asked: Vec<(Uuid, Timestamp)>) -> Result<Vec<Start>> {
    let mut starts = Vec::with_capacity(asked.len());
    for some in asked.chunks(10_000) {
        let runs: Vec<Uuid> = some.iter().map(|(run, _)| *run).collect();
        let times: Vec<Timestamp> = some.iter().map(|(_, at)| *at).collect();
        let rows = database
            .query(
                "SELECT a.at, r.started_at
                 FROM unnest($1::uuid[], $2::timestamptz[]) AS a (run, at) JOIN ops.runs r ON r.id = a.run
                 WHERE r.state = 'succeeded'",
                &[&runs, &times],
            )
            .await?;
        ensure!(rows.len() == some.len(), "{} runs were asked for, {} succeeded", some.len(), rows.len());
        for row in rows {
            let (asked, started): (Timestamp, Timestamp) = (row.get(0), row.get(1));
            starts.push(Start { asked, milliseconds: started.duration_since(asked).as_secs_f64() * 1e3 });
        }
    }
    Ok(starts)
}

/// The times of those that were asked for in the last part.
pub fn last(starts: &[Start], part: Duration) -> Vec<f64> {
    let newest = starts.iter().map(|start| start.asked).max();
    let from = newest.map(|newest| newest - part);
    starts.iter().filter(|start| Some(start.asked) >= from).map(|start| start.milliseconds).collect()
}

//! A client that keeps asking a tenant, and counts what fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::rpc::Odoo;

/// Between two requests; one in two writes to the database and reads it back.
const PAUSE: Duration = Duration::from_millis(40);

pub struct Load {
    stop: CancellationToken,
    task: JoinHandle<Result<Served>>,
}

#[derive(Debug, Clone, Copy)]
pub struct Served {
    pub requests: u64,
    /// Of them, those that wrote to and read from the database.
    pub database: u64,
    pub failed: u64,
    pub per_second: f64,
    pub slowest: Duration,
}

impl Load {
    /// Starts to ask, at 25 requests a second whether or not they are answered.
    pub async fn start(odoo: &Odoo) -> Result<Self> {
        let partner = odoo.create_partner("load").await?;
        let stop = CancellationToken::new();
        let task = tokio::spawn(ask(odoo.clone(), partner, stop.clone()));
        Ok(Self { stop, task })
    }

    pub async fn stop(self) -> Result<Served> {
        self.stop.cancel();
        self.task.await?
    }
}

async fn ask(odoo: Odoo, partner: i64, stop: CancellationToken) -> Result<Served> {
    let started = Instant::now();
    let failed = Arc::new(AtomicU64::new(0));
    let slowest = Arc::new(AtomicU64::new(0));
    let (mut requests, mut database) = (0, 0);
    let mut under_way = JoinSet::new();
    let mut tick = tokio::time::interval(PAUSE);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    while !stop.is_cancelled() {
        tick.tick().await;
        while under_way.try_join_next().is_some() {}
        requests += 1;
        let calls = requests % 2 == 0;
        database += u64::from(calls);
        let (odoo, failed, slowest) = (odoo.clone(), failed.clone(), slowest.clone());
        under_way.spawn(async move {
            let began = Instant::now();
            let answered = if calls { call(&odoo, partner, requests).await } else { look(&odoo).await };
            if let Err(error) = answered {
                eprintln!("a request of the load failed: {error:#}");
                failed.fetch_add(1, Ordering::Relaxed);
            }
            slowest.fetch_max(began.elapsed().as_millis() as u64, Ordering::Relaxed);
        });
    }
    let took = started.elapsed();
    under_way.join_all().await;
    Ok(Served {
        requests,
        database,
        failed: failed.load(Ordering::Relaxed),
        per_second: requests as f64 / took.as_secs_f64(),
        slowest: Duration::from_millis(slowest.load(Ordering::Relaxed)),
    })
}

/// One call that writes and reads: a write answers with what the database took.
async fn call(odoo: &Odoo, partner: i64, number: u64) -> Result<()> {
    let note = format!("request {number}");
    let written = odoo.call("res.partner", "write", json!([[partner], {"comment": note}]), json!({})).await;
    // Two requests that write one row at once collide in any database; Odoo
    // repeats them itself.
    written?;
    let read = odoo.call("res.partner", "read", json!([[partner], ["comment"]]), json!({})).await?;
    ensure!(read[0]["comment"].as_str().is_some_and(|text| text.contains("request")), "read {read}");
    Ok(())
}

async fn look(odoo: &Odoo) -> Result<()> {
    let status = odoo.status("/web/health").await?;
    ensure!(status.is_success(), "/web/health answered {status}");
    Ok(())
}

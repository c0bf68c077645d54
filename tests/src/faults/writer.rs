//! Somebody who keeps writing, and notes what was acknowledged.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::platform::until;
use crate::rpc::Odoo;

pub struct Writer {
    stop: CancellationToken,
    /// Writes that were acknowledged since the last one that failed.
    since_failure: Arc<AtomicU64>,
    failures: Arc<AtomicU64>,
    task: JoinHandle<BTreeSet<String>>,
}

pub struct Written {
    acknowledged: BTreeSet<String>,
    pub failed: u64,
}

impl Writer {
    /// Creates partners one after the other, each named `prefix` and a number.
    pub fn start(odoo: Odoo, prefix: &str) -> Self {
        let stop = CancellationToken::new();
        let (since_failure, failures) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (stopped, acknowledged, failed) = (stop.clone(), since_failure.clone(), failures.clone());
        let prefix = prefix.to_owned();
        let task = tokio::spawn(async move {
            let mut noted = BTreeSet::new();
            for number in 0.. {
                if stopped.is_cancelled() {
                    break;
                }
                let name = format!("{prefix}{number:05}");
                match odoo.create_partner(&name).await {
                    Ok(_) => {
                        noted.insert(name);
                        acknowledged.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(_) => {
                        failed.fetch_add(1, Ordering::Relaxed);
                        acknowledged.store(0, Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            }
            noted
        });
        Self { stop, since_failure, failures, task }
    }

    /// Waits until something had failed and writes are acknowledged again.
    pub async fn acknowledged_after_a_failure(&self, patience: Duration) -> Result<()> {
        until(patience, "writes fail and are acknowledged again", async || {
            let failed = self.failures.load(Ordering::Relaxed) > 0;
            Ok(failed && self.since_failure.load(Ordering::Relaxed) >= 10)
        })
        .await
    }

    pub async fn stop(self) -> Result<Written> {
        self.stop.cancel();
        let acknowledged = self.task.await?;
        Ok(Written { acknowledged, failed: self.failures.load(Ordering::Relaxed) })
    }
}

impl Written {
    /// Every acknowledged write must be among what is there.
    pub fn check(&self, there: &[String]) -> Result<String> {
        let lost: Vec<_> = self.acknowledged.iter().filter(|name| !there.contains(name)).collect();
        ensure!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        ensure!(!self.acknowledged.is_empty(), "nothing was written");
        Ok(format!("{} writes acknowledged, all there; {} failed", self.acknowledged.len(), self.failed))
    }
}

//! Streams the WAL of this host's cells into the repository, and knows how far
//! each has come.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use archive::{Streamed, TenantArchive};
use model::{LineageId, TenantId};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Between two tries to drop the slot of a cell that is not streamed any more.
const PAUSE: Duration = Duration::from_secs(5);

pub struct Streams {
    /// The least time between two writes of a cell's new WAL; None: only whole
    /// segments are kept.
    every: Option<Duration>,
    running: Mutex<HashMap<TenantId, Stream>>,
}

struct Stream {
    lineage: LineageId,
    /// Another each time that the cell is started.
    socket: PathBuf,
    told: watch::Receiver<Streamed>,
    task: AbortHandle,
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Its connection ends with it, so that the cell does not wait for it.
        self.task.abort();
    }
}

impl Streams {
    pub fn new(every: Option<Duration>) -> Self {
        Self { every, running: Mutex::default() }
    }

    /// Sees to it that a running cell is streamed, or not any more.
    pub fn keep(&self, archive: TenantArchive, lineage: LineageId, socket: PathBuf) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |stream: &Stream| stream.lineage == lineage && stream.socket == socket;
        let tenant = archive.tenant();
        let before = running.get(&tenant);
        if before.is_some_and(same) {
            return;
        }
        // The cell was started anew; how often its slot was lost goes on.
        let before = before.filter(|stream| stream.lineage == lineage);
        let begin = before.map(|stream| stream.told.borrow().clone()).unwrap_or_default();
        let (tell, told) = watch::channel(begin);
        let (every, path) = (self.every, socket.clone());
        let task = tokio::spawn(async move {
            match every {
                Some(every) => drop(archive.stream_wal(lineage, path, every, tell).await),
                None => {
                    while let Err(error) = archive::drop_stream_slot(&path).await {
                        tracing::debug!(%lineage, %error, "the cell's slot was not dropped");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        });
        running.insert(tenant, Stream { lineage, socket, told, task: task.abort_handle() });
    }

    /// Ends the stream of a cell that is about to be stopped: it would wait
    /// until the last of its WAL is in the repository.
    pub fn end(&self, tenant: TenantId, lineage: LineageId) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.get(&tenant).is_some_and(|stream| stream.lineage == lineage) {
            running.remove(&tenant);
        }
    }

    /// Ends those of tenants that are no longer this host's.
    pub fn retain(&self, tenants: &HashSet<TenantId>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|tenant, _| tenants.contains(tenant));
    }

    /// How far a tenant's stream has come; None: it is not streamed.
    pub fn told(&self, tenant: TenantId) -> Option<Streamed> {
        self.every?;
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.get(&tenant).map(|stream| stream.told.borrow().clone())
    }
}

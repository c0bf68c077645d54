//! The runs that this worker holds, and the one heartbeat for all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use daemon::shutdown::Shutdown;
use model::run::Stop;
use model::{RunId, WorkerId};
use protocol::client::{Client, ClientError};
use protocol::internal::{Beat, Heartbeats, HeartbeatsAnswer};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// Between two heartbeats, before control has said how long a lease lives.
const PAUSE: Duration = Duration::from_millis(2500);

/// Shared by all that hold runs; cheap to clone.
#[derive(Clone, Default)]
pub struct Holds {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    held: Mutex<HashMap<RunId, Signals>>,
    /// A quarter of a lease, as control last said it.
    pause: Mutex<Option<Duration>>,
}

/// What is heard of a run while it is held.
#[derive(Clone)]
pub struct Signals {
    fence: i64,
    begun: bool,
    /// Somebody asked for it to stop, or its deadline has passed.
    pub stop: CancellationToken,
    why: Arc<OnceLock<Stop>>,
    /// The lease went to somebody else: stop, and report nothing more.
    pub lost: CancellationToken,
}

impl Signals {
    pub fn why(&self) -> Option<Stop> {
        self.why.get().copied()
    }

    fn told(&self, stop: Stop) {
        let _ = self.why.set(stop);
        self.stop.cancel();
    }
}

impl Holds {
    fn with<T>(&self, change: impl FnOnce(&mut HashMap<RunId, Signals>) -> T) -> T {
        // Each change is whole in itself, so a panic elsewhere leaves it sound.
        change(&mut self.inner.held.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on the run's lease is kept alive.
    pub fn hold(&self, run: RunId, fence: i64, lease: Duration) -> Signals {
        *self.inner.pause.lock().unwrap_or_else(PoisonError::into_inner) = Some(lease / 4);
        let signals = Signals {
            fence,
            begun: false,
            stop: CancellationToken::new(),
            why: Arc::default(),
            lost: CancellationToken::new(),
        };
        self.with(|held| held.insert(run, signals.clone()));
        signals
    }

    /// It waits for nothing any more: what it does has begun.
    pub fn begun(&self, run: RunId) {
        self.with(|held| {
            if let Some(signals) = held.get_mut(&run) {
                signals.begun = true;
            }
        });
    }

    /// It has ended, or the lease is somebody else's.
    pub fn let_go(&self, run: RunId, fence: i64) {
        self.with(|held| {
            if held.get(&run).is_some_and(|signals| signals.fence == fence) {
                held.remove(&run);
            }
        });
    }

    fn beats(&self) -> Vec<Beat> {
        self.with(|held| {
            held.iter()
                .map(|(run, signals)| Beat { run: *run, fence: signals.fence, begun: signals.begun })
                .collect()
        })
    }

    fn hear(&self, sent: &[Beat], answer: HeartbeatsAnswer) {
        let fences: HashMap<RunId, i64> = sent.iter().map(|beat| (beat.run, beat.fence)).collect();
        let of = |held: &HashMap<RunId, Signals>, run: RunId| {
            // It may have been let go of, and claimed anew, since it was sent.
            held.get(&run).filter(|signals| fences.get(&run) == Some(&signals.fence)).cloned()
        };
        self.with(|held| {
            for (run, stop) in answer.stop {
                if let Some(signals) = of(held, run) {
                    signals.told(stop);
                }
            }
            for run in answer.stale {
                if let Some(signals) = of(held, run) {
                    tracing::warn!(%run, "lease lost");
                    signals.lost.cancel();
                    held.remove(&run);
                }
            }
        });
    }
}

/// Keeps the leases of all held runs alive, until the worker ends.
pub async fn beat(holds: Holds, client: Client, worker: WorkerId, shutdown: Shutdown) -> Result<(), Failure> {
    let mut ending = false;
    loop {
        let pause = holds.inner.pause.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or(PAUSE);
        if ending {
            tokio::time::sleep(pause).await;
        } else {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // What is under way then is still held.
                () = shutdown.begun() => ending = true,
            }
        }
        let runs = holds.beats();
        if runs.is_empty() {
            if ending {
                return Ok(());
            }
            continue;
        }
        let beats = Heartbeats { worker, runs };
        match client.post::<HeartbeatsAnswer>("/internal/runs/heartbeat", &beats).await {
            Ok(answer) => holds.hear(&beats.runs, answer),
            Err(ClientError::Refused(problem)) if problem.status == 404 => {
                return Err(Failure::new("control does not know this worker any more"));
            }
            Err(error) => tracing::debug!(%error, "heartbeat not heard"),
        }
    }
}

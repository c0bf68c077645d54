//! Probes: claimed and ended in batches, since they do nothing but prove that
//! queue and workers work.

use std::sync::Arc;
use std::time::Duration;

use daemon::shutdown::Shutdown;
use jiff::Timestamp;
use model::run::{Level, Stop};
use model::{RunId, WorkerId};
use protocol::internal::{Claim, Claimed, Event, ManyFinishes, Outcome, Probe, RunFinish, Stale, Work};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::claim::{WAIT, kinds, unclaimed};
use crate::failure::Failure;
use crate::hold::{Holds, Signals};
use crate::host::Host;
use crate::report::patiently;

/// Claimed, or ended, in one call.
const BATCH: usize = 1_000;

/// Calls that end some: while one waits for its commit, the next is on its way.
const ENDING: usize = 2;

/// Under way at the same time.
const MOST: usize = 4 * BATCH;

/// A probe that has ended, until control knows of it.
struct Done {
    finish: RunFinish,
    _room: OwnedSemaphorePermit,
}

pub async fn run(host: Arc<Host>, holds: Holds, worker: WorkerId, shutdown: Shutdown) -> Result<(), Failure> {
    let kinds = kinds(&host.kinds, true);
    if kinds.is_empty() {
        shutdown.begun().await;
        return Ok(());
    }
    let room = Arc::new(Semaphore::new(MOST));
    let (done, ended) = mpsc::unbounded_channel();
    let ended = Arc::new(Mutex::new(ended));
    let mut finishing = JoinSet::new();
    for _ in 0..ENDING {
        finishing.spawn(finish(host.clone(), holds.clone(), worker, ended.clone()));
    }
    let claimed = claim(&host, &holds, worker, kinds, &room, &done, &shutdown).await;
    drop(done);
    // Those under way have a sender each.
    while finishing.join_next().await.is_some() {}
    claimed
}

async fn claim(
    host: &Host,
    holds: &Holds,
    worker: WorkerId,
    kinds: Vec<model::run::RunKind>,
    room: &Arc<Semaphore>,
    done: &mpsc::UnboundedSender<Done>,
    shutdown: &Shutdown,
) -> Result<(), Failure> {
    loop {
        // At least one; as many as there is room for.
        let first = tokio::select! {
            first = room.clone().acquire_owned() => first,
            () = shutdown.begun() => return Ok(()),
        };
        let Ok(mut permits) = first else { return Ok(()) };
        while permits.num_permits() < BATCH
            && let Ok(more) = room.clone().try_acquire_owned()
        {
            permits.merge(more);
        }
        let n = u32::try_from(permits.num_permits()).unwrap_or(1);
        let claim =
            Claim { worker, kinds: kinds.clone(), n, previews: None, wait_ms: WAIT.as_millis() as u64 };
        let claimed = tokio::select! {
            claimed = host.control.post::<Vec<Claimed>>("/internal/runs/claim", &claim) => claimed,
            () = shutdown.begun() => return Ok(()),
        };
        match claimed {
            Ok(claimed) => {
                for claimed in claimed {
                    // Claimed are never more than there is room for.
                    let Some(one) = permits.split(1) else { break };
                    begin(holds, claimed, one, done);
                }
            }
            Err(error) => unclaimed(error).await?,
        }
    }
}

fn begin(holds: &Holds, claimed: Claimed, room: OwnedSemaphorePermit, done: &mpsc::UnboundedSender<Done>) {
    let Claimed { run, work, fence, lease_ms, .. } = claimed;
    let probe = if let Work::Probe(probe) = work { probe } else { Probe::default() };
    if probe.ms == 0 {
        let _ = done.send(Done { finish: ended(run, fence, outcome(probe, None)), _room: room });
        return;
    }
    let signals = holds.hold(run, fence, Duration::from_millis(lease_ms));
    holds.begun(run);
    let done = done.clone();
    tokio::spawn(async move {
        if let Some(outcome) = wait(probe, &signals).await {
            let _ = done.send(Done { finish: ended(run, fence, outcome), _room: room });
        }
    });
}

/// None: the lease is somebody else's.
async fn wait(probe: Probe, signals: &Signals) -> Option<Outcome> {
    tokio::select! {
        () = tokio::time::sleep(Duration::from_millis(probe.ms)) => Some(outcome(probe, None)),
        () = signals.stop.cancelled() => Some(outcome(probe, signals.why())),
        () = signals.lost.cancelled() => None,
    }
}

fn outcome(probe: Probe, stopped: Option<Stop>) -> Outcome {
    match stopped {
        Some(Stop::Cancel) => Outcome::Cancelled,
        Some(Stop::Deadline) => Outcome::Failed { reason: "it took longer than it may".into(), hint: None },
        None if probe.fail => {
            Outcome::Failed { reason: "it was asked to fail".into(), hint: Some("nothing is wrong".into()) }
        }
        None => Outcome::Succeeded,
    }
}

fn ended(run: RunId, fence: i64, outcome: Outcome) -> RunFinish {
    let event = Event {
        at: Timestamp::now(),
        level: Level::Info,
        message: "A worker was here".into(),
        progress: None,
        payload: None,
    };
    RunFinish { run, fence, outcome, first: 1, events: vec![event] }
}

/// Tells control of those that have ended, as many at once as there are.
async fn finish(
    host: Arc<Host>,
    holds: Holds,
    worker: WorkerId,
    ended: Arc<Mutex<mpsc::UnboundedReceiver<Done>>>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        if ended.lock().await.recv_many(&mut batch, BATCH).await == 0 {
            return;
        }
        let (runs, room): (Vec<RunFinish>, Vec<OwnedSemaphorePermit>) =
            batch.drain(..).map(|done: Done| (done.finish, done._room)).unzip();
        let finishes = ManyFinishes { worker, runs };
        match patiently(|| host.control.post::<Stale>("/internal/runs/finish", &finishes)).await {
            Ok(Stale { stale }) if !stale.is_empty() => {
                tracing::warn!(count = stale.len(), "probes were given to others before they had ended");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the end of probes was refused"),
        }
        for finish in &finishes.runs {
            holds.let_go(finish.run, finish.fence);
        }
        drop(room);
    }
}

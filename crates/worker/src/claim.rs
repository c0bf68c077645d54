//! Claims runs and executes them, one turn for each tenant.

use std::sync::Arc;
use std::time::Duration;

use daemon::shutdown::Shutdown;
use model::WorkerId;
use model::run::{RunKind, Stop, WorkerKind};
use protocol::client::ClientError;
use protocol::internal::{Claim, Claimed, Outcome};
use tokio::task::JoinSet;

use crate::failure::Failure;
use crate::hold::Holds;
use crate::host::Host;
use crate::report::Run;
use crate::steps;

/// Runs executed side by side.
const SLOTS: usize = 4;

/// How long runs under way may take to end when the worker is stopped. What is
/// not done then is taken up by the next worker.
pub const GRACE: Duration = Duration::from_secs(30);

/// A run that was told to stop, and can be left at any point, is left after this.
const TO_STOP: Duration = Duration::from_secs(30);

/// How long control may hold a claim before it answers that there is nothing.
pub const WAIT: Duration = Duration::from_secs(20);
const SHORT_WAIT: Duration = Duration::from_secs(1);

/// The kinds of runs that a worker made for `kinds` takes; for none: all.
pub fn kinds(kinds: &[WorkerKind], alone: bool) -> Vec<RunKind> {
    let fits =
        |kind: &RunKind| kind.stands_alone() == alone && (kinds.is_empty() || kinds.contains(&kind.worker()));
    RunKind::ALL.iter().copied().filter(fits).collect()
}

pub async fn run(host: Arc<Host>, holds: Holds, worker: WorkerId, shutdown: Shutdown) -> Result<(), Failure> {
    let kinds = kinds(&host.kinds, false);
    if kinds.is_empty() {
        shutdown.begun().await;
        return Ok(());
    }
    let mut running = JoinSet::new();
    loop {
        while running.try_join_next().is_some() {}
        let free = SLOTS - running.len();
        if free == 0 {
            running.join_next().await;
            continue;
        }
        // The last free slot is kept from previews, so that nothing waits for theirs to end.
        let previews = Some(u32::from(free > 1));
        // One that becomes free meanwhile may be for previews again.
        let wait = if free > 1 { WAIT } else { SHORT_WAIT };
        let claim = Claim { worker, kinds: kinds.clone(), n: 1, previews, wait_ms: wait.as_millis() as u64 };
        let claimed = tokio::select! {
            claimed = host.control.post::<Vec<Claimed>>("/internal/runs/claim", &claim) => claimed,
            () = shutdown.begun() => break,
        };
        match claimed {
            Ok(claimed) => {
                for claimed in claimed {
                    running.spawn(execute(host.clone(), holds.clone(), claimed));
                }
            }
            Err(error) => unclaimed(error).await?,
        }
    }
    while running.join_next().await.is_some() {}
    Ok(())
}

/// A claim that control did not answer.
pub async fn unclaimed(error: ClientError) -> Result<(), Failure> {
    if let ClientError::Refused(problem) = &error
        && problem.status == 404
    {
        return Err(Failure::new("control does not know this worker any more"));
    }
    tracing::debug!(%error, "nothing claimed");
    tokio::time::sleep(Duration::from_millis(200)).await;
    Ok(())
}

async fn execute(host: Arc<Host>, holds: Holds, claimed: Claimed) {
    let Claimed { run: id, tenant, work, fence, attempt, lease_ms } = claimed;
    tracing::info!(run = %id, attempt, "claimed");
    let signals = holds.hold(id, fence, Duration::from_millis(lease_ms));
    let (run, reporting) = Run::start(host.control.clone(), id, attempt, fence, signals.clone());
    if attempt > 1 {
        run.info(format!("Taken up again, for the {attempt}. time"));
    }
    let left = steps::may_be_left(&work);
    let stopping = work.clone();
    let work = async {
        let _turn = match tenant {
            Some(tenant) => Some(host.turn(tenant).await),
            None => None,
        };
        holds.begun(id);
        steps::execute(&host, &run, work).await
    };
    let too_long = async {
        signals.stop.cancelled().await;
        if !left {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(TO_STOP).await;
    };
    let done = tokio::select! {
        done = work => done,
        () = too_long => {
            // TERM, then KILL, for what it has started.
            steps::stop(&host, &stopping).await.and(Err(Failure::cancelled()))
        }
        () = signals.lost.cancelled() => {
            holds.let_go(id, fence);
            reporting.abandon();
            return;
        }
    };
    let outcome = match done {
        Ok(()) => Outcome::Succeeded,
        Err(failure) if failure.is_cancelled() => match signals.why() {
            Some(Stop::Deadline) => Outcome::Failed {
                reason: "it took longer than it may".into(),
                hint: Some("its events show how far it came; retry it, or give it more time".into()),
            },
            _ => Outcome::Cancelled,
        },
        Err(failure) => {
            let reason = failure.reason();
            tracing::warn!(run = %id, "failed: {reason}");
            Outcome::Failed { reason, hint: failure.into_hint() }
        }
    };
    drop(run);
    if let Err(error) = reporting.finish(outcome).await {
        tracing::warn!(run = %id, %error, "the run's end was refused");
    }
    holds.let_go(id, fence);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_takes_what_it_is_made_for() {
        assert_eq!(kinds(&[], true), [RunKind::Probe]);
        assert_eq!(kinds(&[], false).len(), RunKind::ALL.len() - 1);
        assert_eq!(kinds(&[WorkerKind::Build], false), [RunKind::Build]);
        assert!(kinds(&[WorkerKind::Build], true).is_empty());
        let both = kinds(&[WorkerKind::Backup, WorkerKind::Test], false);
        assert_eq!(both, [RunKind::Backup, RunKind::Snapshot, RunKind::Expire, RunKind::Shred]);
    }
}

//! Claims runs and executes them, one turn for each tenant.

use std::sync::Arc;
use std::time::Duration;

use daemon::shutdown::Shutdown;
use model::WorkerId;
use model::run::RunKind;
use protocol::client::ClientError;
use protocol::internal::{Claim, Claimed, Outcome};
use tokio::task::JoinSet;

use crate::failure::Failure;
use crate::host::Host;
use crate::report::Run;
use crate::steps;

/// Runs executed side by side.
const SLOTS: usize = 4;

/// How long runs under way may take to end when the worker is stopped. What is
/// not done then is taken up by the next worker.
pub const GRACE: Duration = Duration::from_secs(30);

/// How long control may hold a claim before it answers that there is nothing.
const WAIT: Duration = Duration::from_secs(20);

pub async fn run(host: Arc<Host>, worker: WorkerId, shutdown: Shutdown) -> Result<(), Failure> {
    let mut running = JoinSet::new();
    loop {
        while running.try_join_next().is_some() {}
        if running.len() >= SLOTS {
            running.join_next().await;
            continue;
        }
        let claim = Claim { worker, kinds: RunKind::ALL.to_vec(), wait_ms: WAIT.as_millis() as u64 };
        let claimed = tokio::select! {
            claimed = host.control.post::<Option<Claimed>>("/internal/runs/claim", &claim) => claimed,
            () = shutdown.begun() => break,
        };
        match claimed {
            Ok(Some(claimed)) => {
                running.spawn(execute(host.clone(), claimed));
            }
            Ok(None) => {}
            Err(ClientError::Refused(problem)) if problem.status == 404 => {
                return Err(Failure::new("control does not know this worker any more"));
            }
            Err(error) => {
                tracing::debug!(%error, "nothing claimed");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
    while running.join_next().await.is_some() {}
    Ok(())
}

async fn execute(host: Arc<Host>, claimed: Claimed) {
    let Claimed { run: id, tenant, work, fence, attempt, lease_ms } = claimed;
    tracing::info!(run = %id, attempt, "claimed");
    let lease = Duration::from_millis(lease_ms);
    let (run, reporting) = Run::start(host.control.clone(), id, attempt, fence, lease);
    if attempt > 1 {
        run.info(format!("Taken up again, for the {attempt}. time"));
    }
    let work = async {
        let _turn = match tenant {
            Some(tenant) => Some(host.turn(tenant).await),
            None => None,
        };
        steps::execute(&host, &run, work).await
    };
    let outcome = tokio::select! {
        done = work => match done {
            Ok(()) => Outcome::Succeeded,
            Err(failure) if failure.is_cancelled() => Outcome::Cancelled,
            Err(failure) => {
                let reason = failure.reason();
                tracing::warn!(run = %id, "failed: {reason}");
                Outcome::Failed { reason, hint: failure.into_hint() }
            }
        },
        () = run.lost() => {
            reporting.abandon();
            return;
        }
    };
    drop(run);
    if let Err(error) = reporting.finish(outcome).await {
        tracing::warn!(run = %id, %error, "the run's end was refused");
    }
}

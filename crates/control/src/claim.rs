use std::pin::pin;
use std::time::Duration;

use database::run::Claim as Looked;
use model::RunId;
use model::run::RunState;
use protocol::internal::{Claim, Claimed};
use tokio::time::{Instant, timeout_at};

use crate::matter::Matter;
use crate::{Control, Error, Kind, LOOK_AGAIN, Refusal, Result};

/// A worker does not wait longer than this in one call.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

impl Control {
    /// Waits up to `claim.wait_ms` (at most 30 s) for a run.
    pub async fn claim(&self, claim: Claim) -> Result<Option<Claimed>> {
        let deadline = Instant::now() + Duration::from_millis(claim.wait_ms).min(LONGEST_WAIT);
        loop {
            // Subscribed before looking, so that nothing falls in between.
            let mut queued = pin!(self.inner.queued.notified());
            queued.as_mut().enable();
            self.worker_seen(claim.worker).await?;
            if let Some(claimed) = self.look(&claim).await? {
                return Ok(Some(claimed));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            // Woken or not, it looks again.
            let _ = timeout_at(deadline.min(Instant::now() + LOOK_AGAIN), queued).await;
        }
    }

    async fn look(&self, claim: &Claim) -> Result<Option<Claimed>> {
        let lease = self.settings().lease;
        loop {
            let looked = {
                let database = self.database().await?;
                database::run::claim(&database, claim.worker, &claim.kinds, lease).await?
            };
            match looked {
                Looked::Nothing => return Ok(None),
                Looked::Beaten => {}
                Looked::Claimed { run, fence } => {
                    self.told();
                    match self.claimed(run, fence).await {
                        Ok(claimed) => return Ok(Some(claimed)),
                        // What it needs is not there: nobody could do it.
                        Err(Error::Refused(refusal)) => self.give_up(run, fence, &refusal).await?,
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }

    async fn claimed(&self, run: RunId, fence: i64) -> Result<Claimed> {
        let database = self.database().await?;
        let run = crate::run::find(&database, run).await?;
        self.metrics().claimed(run.kind);
        Ok(Claimed {
            run: run.id,
            tenant: run.tenant_id,
            work: self.work(&database, &run).await?,
            fence,
            attempt: run.attempts,
            lease_ms: u64::try_from(self.settings().lease.as_millis()).unwrap_or(u64::MAX),
        })
    }

    async fn give_up(&self, run: RunId, fence: i64, refusal: &Refusal) -> Result<()> {
        let mut connection = self.database().await?;
        let transaction = database::begin(&mut connection).await?;
        let Some(held) = database::lease::hold(&transaction, run, fence).await? else { return Ok(()) };
        let reason = refusal.to_string();
        Matter::from(&held).fail(&transaction, &reason).await?;
        let (from, to) = ([RunState::Running], RunState::Failed);
        let hint = refusal.hint.as_deref();
        database::run::set_state(&transaction, run, &from, to, Some(&reason), hint).await?;
        database::lease::release(&transaction, run).await?;
        database::commit(transaction).await?;
        self.told();
        Ok(())
    }

    /// Any word of a worker shows that it lives.
    pub(crate) async fn worker_seen(&self, worker: model::WorkerId) -> Result<()> {
        if database::worker::seen(&self.database().await?, worker).await? {
            return Ok(());
        }
        Err(Refusal::new(Kind::NotFound, format!("there is no worker {worker}"))
            .hint("a worker registers when it starts")
            .into())
    }
}

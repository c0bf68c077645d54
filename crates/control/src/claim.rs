use std::pin::pin;
use std::time::Duration;

use database::lease::{End, Ended};
use model::run::RunState;
use protocol::internal::{Claim, Claimed, Probe, Work};
use tokio::time::{Instant, timeout_at};

use crate::matter::Matter;
use crate::{Control, Error, LOOK_AGAIN, Refusal, Result};

/// A worker does not wait longer than this in one call.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// In one call.
const MOST_RUNS: u32 = 1000;

impl Control {
    /// Waits up to `claim.wait_ms` (at most 30 s) for runs, at most `claim.n`.
    pub async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>> {
        let deadline = Instant::now() + Duration::from_millis(claim.wait_ms).min(LONGEST_WAIT);
        loop {
            // Subscribed before looking, so that nothing falls in between.
            let mut alone = pin!(self.inner.queued.alone.notified());
            let mut others = pin!(self.inner.queued.others.notified());
            alone.as_mut().enable();
            others.as_mut().enable();
            let claimed = self.look(&claim).await?;
            if !claimed.is_empty() || Instant::now() >= deadline {
                return Ok(claimed);
            }
            let queued = async {
                tokio::select! {
                    () = alone, if claim.kinds.iter().any(|kind| kind.stands_alone()) => {}
                    () = others, if claim.kinds.iter().any(|kind| !kind.stands_alone()) => {}
                    else => std::future::pending().await,
                }
            };
            // Woken or not, it looks again.
            let _ = timeout_at(deadline.min(Instant::now() + LOOK_AGAIN), queued).await;
        }
    }

    async fn look(&self, claim: &Claim) -> Result<Vec<Claimed>> {
        let n = i32::try_from(claim.n.clamp(1, MOST_RUNS)).unwrap_or(1);
        let previews = claim.previews.map_or(n, |most| i32::try_from(most).unwrap_or(n).min(n));
        let wanted = database::lease::Claim {
            worker: claim.worker,
            kinds: &claim.kinds,
            at_most: n,
            previews,
            lease: self.settings().lease,
        };
        loop {
            let looked = {
                let database = self.database().await?;
                database::lease::claim(&database, &wanted).await?
            };
            if looked.is_empty() {
                return Ok(Vec::new());
            }
            self.told();
            for kind in &claim.kinds {
                let count = looked.iter().filter(|run| run.kind == *kind).count();
                self.metrics().claimed(*kind, count as u64);
            }
            let mut claimed = Vec::with_capacity(looked.len());
            for run in looked {
                match self.claimed(&run).await {
                    Ok(one) => claimed.push(one),
                    // What it needs is not there: nobody could do it.
                    Err(Error::Refused(refusal)) => self.give_up(&run, &refusal).await?,
                    Err(error) => return Err(error),
                }
            }
            if !claimed.is_empty() {
                return Ok(claimed);
            }
        }
    }

    async fn claimed(&self, run: &database::lease::Claimed) -> Result<Claimed> {
        let work = if run.kind.stands_alone() {
            // What it was asked with is not always something that it understands.
            let probe = serde_json::from_value(run.metadata.clone()).unwrap_or_else(|_| Probe::default());
            Work::Probe(probe)
        } else {
            let database = self.database().await?;
            let found = crate::run::find(&database, run.run).await?;
            self.work(&database, &found).await?
        };
        Ok(Claimed {
            run: run.run,
            // It takes no turn of its tenant.
            tenant: run.tenant.filter(|_| !run.kind.is_beside()),
            work,
            fence: run.fence,
            attempt: run.attempt,
            lease_ms: u64::try_from(self.settings().lease.as_millis()).unwrap_or(u64::MAX),
        })
    }

    async fn give_up(&self, run: &database::lease::Claimed, refusal: &Refusal) -> Result<()> {
        let mut connection = self.database().await?;
        let transaction = database::begin(&mut connection).await?;
        let Some(held) = database::lease::hold(&transaction, run.run, run.fence).await? else {
            return Ok(());
        };
        let reason = refusal.to_string();
        if !held.has_another_attempt() {
            Matter::from(&held).fail(&transaction, &reason).await?;
        }
        let end = End {
            run: run.run,
            fence: run.fence,
            state: RunState::Failed,
            reason: Some(&reason),
            hint: refusal.hint.as_deref(),
        };
        let ended = database::lease::finish(&transaction, &[end]).await?;
        if ended.iter().any(|(_, ended)| *ended == Ended::Stale) {
            return Ok(());
        }
        database::commit(transaction).await?;
        self.told();
        Ok(())
    }
}

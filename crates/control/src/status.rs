use protocol::api::{Status, WorkerStatus};

use crate::{Control, Result};

/// More are for `tenants` to list, piece by piece.
const MOST_TENANTS: i64 = 1000;

impl Control {
    pub async fn status(&self) -> Result<Status> {
        let database = self.database().await?;
        let now = database::clock::now(&database).await?;
        let silence = self.settings().worker_silence;
        let workers = database::worker::list(&database).await?;
        let counts = database::run::counts(&database).await?;
        let tenants = database::tenant::list(&database, None, None, MOST_TENANTS).await?;
        let mut tenants: Vec<_> = tenants.into_iter().map(|tenant| self.shown(tenant)).collect();
        crate::tenant::add_wal_lag(&database, &mut tenants).await?;
        Ok(Status {
            version: self.settings().version.clone(),
            workers: workers
                .into_iter()
                .map(|worker| WorkerStatus {
                    alive: worker.gone_at.is_none()
                        && worker.seen_at.checked_add(silence).is_ok_and(|until| until > now),
                    name: worker.name,
                    version: worker.version,
                    kinds: worker.kinds.unwrap_or_default(),
                    labels: worker.labels,
                    draining: worker.draining_at.is_some(),
                    runs: worker.runs,
                    seen_at: worker.seen_at,
                })
                .collect(),
            runs_queued: counts.queued,
            runs_running: counts.running,
            tenants,
        })
    }
}

use std::collections::{BTreeMap, HashMap};

use database::observation::{Observation, SeenWal, WalLag};
use model::{BuildId, WorkerId};
use protocol::internal::{Assignments, BuildWork, Observed, Register, Registered};

use crate::{Control, Kind, Refusal, Result};

impl Control {
    /// A worker's process has started: the runs that earlier processes of its
    /// name held are taken from them.
    pub async fn register_worker(&self, register: Register) -> Result<Registered> {
        if register.name.is_empty() || register.name.len() > 100 {
            return Err(Refusal::invalid("a worker's name must have 1 to 100 characters").into());
        }
        check_labels(&register.labels)?;
        let mut connection = self.database().await?;
        let transaction = database::begin(&mut connection).await?;
        let name = &register.name;
        let new = database::worker::Register {
            name,
            version: &register.version,
            kinds: (!register.kinds.is_empty()).then_some(&register.kinds),
            labels: &register.labels,
        };
        let worker = database::worker::register(&transaction, WorkerId::new(), &new).await?;
        let lost = database::lease::lost(&transaction, i32::MAX, self.patience(), Some(worker)).await?;
        if !lost.is_empty() {
            crate::lease::lose(&transaction, &lost).await?;
        }
        database::commit(transaction).await?;
        if !lost.is_empty() {
            tracing::warn!(worker = name, runs = lost.len(), "took the runs of the worker's earlier process");
            self.told();
            self.queued();
        }
        Ok(Registered { worker })
    }

    /// Any word of a worker shows that it lives.
    pub(crate) async fn worker_seen(&self, worker: WorkerId) -> Result<()> {
        if database::worker::seen(&self.database().await?, worker).await? {
            return Ok(());
        }
        Err(Refusal::new(Kind::NotFound, format!("there is no worker {worker}"))
            .hint("a worker registers when it starts")
            .into())
    }

    /// From now on it takes nothing more, and ends what it has; or it takes
    /// runs again.
    pub async fn drain_worker(&self, name: &str, drain: bool) -> Result<()> {
        database::worker::drain(&self.database().await?, name, drain).await?;
        if !drain {
            self.queued();
        }
        Ok(())
    }

    /// The tenants whose clusters are on the worker's host, archived ones
    /// included until their clusters are dropped.
    pub async fn assignments(&self, worker: WorkerId) -> Result<Assignments> {
        self.worker_seen(worker).await?;
        let database = self.database().await?;
        let mut builds: HashMap<BuildId, BuildWork> = HashMap::new();
        let mut tenants = Vec::new();
        for tenant in database::tenant::assigned(&database, worker).await? {
            let build = match builds.get(&tenant.build_id) {
                Some(build) => build.clone(),
                None => {
                    let build = crate::build::work(crate::build::find(&database, tenant.build_id).await?);
                    builds.insert(tenant.build_id, build.clone());
                    build
                }
            };
            tenants.push(self.tenant_work(&tenant, build));
        }
        Ok(Assignments { tenants })
    }

    pub async fn observed(&self, worker: WorkerId, observed: Observed) -> Result<()> {
        self.worker_seen(worker).await?;
        // Of several words on one tenant, the last counts.
        let latest: HashMap<_, _> = observed.tenants.iter().map(|seen| (seen.tenant, seen)).collect();
        let rows: Vec<Observation<'_>> = latest
            .into_values()
            .map(|seen| Observation {
                tenant: seen.tenant,
                serving: seen.serving,
                http: seen.http.as_deref(),
                gevent: seen.gevent.as_deref(),
                router_key: seen.router_key.as_deref(),
                cell_port: seen.cell_port,
            })
            .collect();
        let database = self.database().await?;
        let changed = database::observation::record(&database, worker, &rows).await?;
        if !observed.disks.is_empty() {
            let disks: BTreeMap<_, _> = observed.disks.iter().map(|disk| (disk.place, disk)).collect();
            let disks: Vec<_> = disks.into_values().map(|disk| (disk.place, disk.total, disk.free)).collect();
            database::observation::disks(&database, worker, &disks).await?;
        }
        if !observed.wal.is_empty() {
            let wal: BTreeMap<_, _> = observed.wal.iter().map(|wal| (wal.tenant, wal)).collect();
            let wal: Vec<_> = wal
                .into_values()
                .map(|wal| SeenWal {
                    tenant: wal.tenant,
                    bytes: wal.bytes,
                    lag: wal.stream.map(|stream| WalLag {
                        bytes: stream.lag_bytes,
                        ms: stream.lag_ms,
                        slots_lost: stream.slots_lost,
                    }),
                })
                .collect();
            database::observation::wal(&database, worker, &wal).await?;
        }
        if changed > 0 {
            self.routed();
        }
        Ok(())
    }
}

/// Labels are words, so that they can be joined by commas.
pub(crate) fn check_labels(labels: &[String]) -> Result<(), Refusal> {
    if labels.len() > 20 {
        return Err(Refusal::invalid("there are at most 20 labels"));
    }
    for label in labels {
        let good =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.' | '=');
        if label.is_empty() || label.len() > 63 || !label.chars().all(good) {
            return Err(Refusal::invalid(format!("{label:?} is not a label"))
                .hint("a label is up to 63 small letters, digits, -, _, . and ="));
        }
    }
    Ok(())
}

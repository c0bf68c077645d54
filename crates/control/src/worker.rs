use std::collections::{BTreeMap, HashMap};

use database::observation::Observation;
use model::{BuildId, WorkerId};
use protocol::internal::{Assignments, BuildWork, Observed, Register, Registered};

use crate::{Control, Refusal, Result};

impl Control {
    /// A worker's process has started: the runs that earlier processes of its
    /// name held are taken from them.
    pub async fn register_worker(&self, register: Register) -> Result<Registered> {
        if register.name.is_empty() || register.name.len() > 100 {
            return Err(Refusal::invalid("a worker's name must have 1 to 100 characters").into());
        }
        let mut connection = self.database().await?;
        let transaction = database::begin(&mut connection).await?;
        let (name, version) = (&register.name, &register.version);
        let worker = database::worker::register(&transaction, WorkerId::new(), name, version).await?;
        let lost = database::lease::of_worker(&transaction, worker).await?;
        for lost in &lost {
            crate::lease::lose(&transaction, lost).await?;
        }
        database::commit(transaction).await?;
        if !lost.is_empty() {
            tracing::warn!(worker = name, runs = lost.len(), "took the runs of the worker's earlier process");
            self.told();
            self.queued();
        }
        Ok(Registered { worker })
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
            let wal: BTreeMap<_, _> = observed.wal.iter().map(|wal| (wal.tenant, wal.bytes)).collect();
            database::observation::wal(&database, worker, &wal.into_iter().collect::<Vec<_>>()).await?;
        }
        if changed > 0 {
            self.routed();
        }
        Ok(())
    }
}

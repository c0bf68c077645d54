//! What a claimed run is to do, put together from what is known now.

use std::time::Duration;

use database::On;
use model::restore::{Plan, Target};
use model::run::RunKind;
use model::{ClusterId, RestoreId, TenantId};
use protocol::internal::{BuildWork, Placed, Probe, SnapshotTerms, TenantWork, Work};

use crate::tenant::ADMIN_HASH;
use crate::{Control, Error, Refusal, Result};

/// Where an expire run's payload says whether it looks through the history.
pub(crate) const SWEEP: &str = "sweep";

impl Control {
    pub(crate) async fn work(&self, on: &impl On, run: &database::run::Run) -> Result<Work> {
        let missing = |what: &str| Error::from(Refusal::not_found(what, format!("of the run {}", run.id)));
        if run.kind == RunKind::Probe {
            return Ok(Work::Probe(Probe::default()));
        }
        if run.kind == RunKind::Build {
            let build = crate::build::find(on, run.build_id.ok_or_else(|| missing("build"))?).await?;
            return Ok(Work::Build { build: crate::build::work(build) });
        }
        let row = crate::tenant::get(on, run.tenant_id.ok_or_else(|| missing("tenant"))?).await?;
        let build = crate::build::work(crate::build::find(on, row.build_id).await?);
        let tenant = self.tenant_work(&row, build.clone());
        if !matches!(run.kind, RunKind::Provision | RunKind::Expire | RunKind::Shred) {
            crate::snapshot::serves(&row)?;
        }
        Ok(match run.kind {
            RunKind::Build | RunKind::Probe | RunKind::Provision => {
                let hash = run.payload.get(ADMIN_HASH).and_then(|hash| hash.as_str());
                let admin_password_hash = hash.ok_or_else(|| missing("administrator password"))?.to_owned();
                Work::Provision { tenant, build, admin_password_hash }
            }
            RunKind::Backup => Work::Backup { tenant },
            RunKind::Snapshot => {
                let snapshot =
                    crate::snapshot::get(on, run.snapshot_id.ok_or_else(|| missing("snapshot"))?).await?;
                let terms = SnapshotTerms {
                    snapshot: snapshot.id,
                    pinned: snapshot.pinned,
                    expires_at: snapshot.expires_at,
                    note: snapshot.note,
                    version: snapshot.terms,
                };
                Work::Snapshot { tenant, snapshot: snapshot.id, name: snapshot.name, terms }
            }
            RunKind::PlanRestore => {
                let restore =
                    crate::restore::get(on, run.restore_id.ok_or_else(|| missing("restore"))?).await?;
                Work::PlanRestore { tenant, restore: restore.id, target: restore.target }
            }
            RunKind::Restore => {
                let restore = run.restore_id.ok_or_else(|| missing("restore"))?;
                restore_work(on, tenant, restore).await?
            }
            RunKind::Peek => {
                let peek = crate::peek::of_run(on, run.id).await?;
                Work::Peek { tenant, peek: crate::peek::work(&peek, &run.payload)? }
            }
            RunKind::Expire => {
                let retention = self.settings().retention;
                let terms = database::snapshot::terms(on, row.id).await?;
                Work::Expire {
                    tenant,
                    clusters: retired(on, retention.window(), row.id).await?,
                    retention,
                    terms: terms.into_iter().map(told).collect(),
                    sweep: row.shredded_at.is_none()
                        && run.payload.get(SWEEP).and_then(serde_json::Value::as_bool).unwrap_or(false),
                }
            }
            // Whatever there is of it, of an archived one.
            RunKind::Shred => {
                crate::tenant::may_be_shredded(&row)?;
                Work::Shred { tenant, clusters: retired(on, Duration::ZERO, row.id).await? }
            }
        })
    }

    pub(crate) fn tenant_work(&self, tenant: &database::tenant::Tenant, build: BuildWork) -> TenantWork {
        let settings = self.settings();
        TenantWork {
            tenant: tenant.id,
            name: tenant.name.clone(),
            ordinal: tenant.ordinal,
            database: tenant.database.clone(),
            hostnames: vec![hostname(settings, &tenant.subdomain)],
            url: crate::tenant::url(settings, &tenant.subdomain),
            state: tenant.state,
            build,
            placed: tenant.placed.map(|placed| Placed {
                tenant_database: placed.tenant_database,
                cluster: placed.cluster,
                lineage: placed.lineage,
            }),
            activated_at: tenant.placed.and_then(|placed| placed.activated_at),
            retention_days: settings.retention.days,
        }
    }
}

async fn retired(on: &impl On, window: Duration, tenant: TenantId) -> Result<Vec<ClusterId>> {
    let retired = database::cluster::retired(on, window, Some(tenant), Duration::ZERO).await?;
    Ok(retired.into_iter().flat_map(|(_, clusters)| clusters).collect())
}

fn told(terms: database::snapshot::Terms) -> SnapshotTerms {
    let database::snapshot::Terms { snapshot, expires_at, note, pinned, terms: version } = terms;
    SnapshotTerms { snapshot, pinned, expires_at, note, version }
}

async fn restore_work(on: &impl On, tenant: TenantWork, restore: RestoreId) -> Result<Work> {
    let restore = crate::restore::get(on, restore).await?;
    let target: Target = restore.target;
    let plan = restore
        .plan
        .ok_or_else(|| Refusal::wrong_state(format!("the restore {} has no plan", restore.id)))?;
    let plan: Plan =
        serde_json::from_value(plan).map_err(|source| Error::Stored { what: "a restore's plan", source })?;
    let to =
        restore.to.map(|(tenant_database, cluster, lineage)| Placed { tenant_database, cluster, lineage });
    Ok(Work::Restore { tenant, restore: restore.id, state: restore.state, target, plan, to })
}

pub(crate) fn hostname(settings: &crate::Settings, subdomain: &str) -> String {
    format!("{subdomain}.{}", settings.base_domain)
}

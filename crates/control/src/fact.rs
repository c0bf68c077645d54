//! Facts that workers report under the lease of the run that made them.

use database::lease::Held;
use database::run::About;
use database::snapshot::Proof;
use database::{Guarded, On};
use model::archive::{Activation, Backup, Lineage};
use model::cluster::{ClusterKind, ClusterState};
use model::project::BuildState;
use model::restore::RestoreState;
use model::run::RunKind;
use model::snapshot::SnapshotState;
use model::tenant::TenantState;
use model::{BuildId, ClusterId, RestoreId, RunId, SnapshotId, TenantId};
use protocol::internal::{Fact, Placed, Recorded, Report};
use serde_json::json;

use crate::matter::{expect, move_cluster, release_snapshot};
use crate::once::Once;
use crate::{Control, Error, Refusal, Result};

impl Control {
    /// Commits a fact, guarded by the lease's fence. The same fact again succeeds.
    pub async fn record(&self, run: RunId, report: Report) -> Result<Recorded> {
        let mut connection = self.database().await?;
        let transaction = database::begin(&mut connection).await?;
        let held = crate::lease::hold(&transaction, run, report.fence).await?;
        crate::audit::because_of(&transaction, run).await?;
        let activation = commit_fact(&transaction, &held, report.fact).await.map_err(dangling)?;
        database::commit(transaction).await?;
        drop(connection);
        daemon::fault::reach("control.record").await;
        self.routed();
        if activation.is_some() {
            self.queued();
        }
        Ok(Recorded { activation })
    }
}

/// A reference to what was never recorded is the reporter's fault.
fn dangling(error: Error) -> Error {
    match &error {
        Error::Database(inner) => match inner.dangling() {
            Some(key) => {
                Refusal::invalid(format!("the fact names something that was not recorded before ({key})"))
                    .into()
            }
            None => error,
        },
        _ => error,
    }
}

async fn commit_fact(on: &impl On, held: &Held, fact: Fact) -> Result<Option<Activation>> {
    match fact {
        Fact::BuildReady { build, odoo_version } => {
            about(held.build == Some(build))?;
            build_ready(on, build, &odoo_version).await?;
        }
        Fact::CellCreated { tenant, placed, lineage } => {
            about(held.tenant == Some(tenant))?;
            cell_created(on, held, tenant, placed, &lineage).await?;
        }
        Fact::TenantProvisioned { tenant, placed } => {
            about(held.tenant == Some(tenant) && held.kind == RunKind::Provision)?;
            return provisioned(on, tenant, placed).await.map(Some);
        }
        Fact::BackupCompleted { tenant, backup } => {
            about(held.tenant == Some(tenant))?;
            backup_completed(on, tenant, &backup).await?;
        }
        Fact::SnapshotReady { snapshot, lineage, lsn, wal_file, backup, size, missing_files, taken_at } => {
            about(held.snapshot == Some(snapshot))?;
            let proof = Proof { lineage, lsn, wal_file: &wal_file, backup, size, missing_files, taken_at };
            snapshot_ready(on, snapshot, &proof).await?;
        }
        Fact::RestorePlanned { restore, plan, shown } => {
            about(held.restore == Some(restore) && held.kind == RunKind::PlanRestore)?;
            let stored = |source| Error::Stored { what: "the reported plan", source };
            let plan = serde_json::to_value(plan).map_err(stored)?;
            let shown = serde_json::to_value(shown).map_err(stored)?;
            match database::restore::set_planned(on, restore, &plan, &shown).await? {
                Guarded::Found(RestoreState::Planned) => {}
                other => expect(other, "restore")?,
            }
        }
        Fact::RestoreStarted { restore } => {
            about_restore(held, restore)?;
            let (from, to) = ([RestoreState::Planned], RestoreState::Materialising);
            advance(on, restore, &from, to, None).await?;
        }
        Fact::RestoreChecked { restore, to } => {
            about_restore(held, restore)?;
            restore_checked(on, held, restore, to).await?;
        }
        Fact::RestoreSwitched { restore, from, to } => {
            about_restore(held, restore)?;
            return restore_switched(on, held, restore, from, to).await.map(Some);
        }
        Fact::RestoreServed { restore } => {
            about_restore(held, restore)?;
            advance(on, restore, &[RestoreState::Switched], RestoreState::Succeeded, None).await?;
            release_snapshot(on, restore).await?;
        }
        Fact::PeekOpened { peek, port } => {
            about(held.kind == RunKind::Peek)?;
            crate::peek::opened(on, held, peek, port).await?;
        }
        Fact::ClusterDropped { cluster } => cluster_dropped(on, held, cluster).await?,
        Fact::SnapshotTermsKept { tenant, snapshot, version } => {
            about(held.tenant == Some(tenant) && held.kind == RunKind::Expire)?;
            database::snapshot::set_kept(on, tenant, snapshot, version).await?;
        }
        Fact::HistoryDropped { tenant, backups, snapshots } => {
            about(held.tenant == Some(tenant) && held.kind == RunKind::Expire)?;
            database::backup::set_dropped(on, tenant, Some(&backups)).await?;
            database::snapshot::set_dropped(on, tenant, Some(&snapshots)).await?;
        }
        Fact::TenantShredded { tenant } => {
            about(held.tenant == Some(tenant) && held.kind == RunKind::Shred)?;
            if !database::tenant::set_shredded(on, tenant).await? {
                return Err(Refusal::wrong_state("the tenant is not archived").into());
            }
            database::backup::set_dropped(on, tenant, None).await?;
            database::snapshot::set_dropped(on, tenant, None).await?;
        }
    }
    Ok(None)
}

/// A run reports of what it is about, and of nothing else.
fn about(fits: bool) -> Result<()> {
    if fits { Ok(()) } else { Err(Refusal::invalid("the fact is not about what its run is about").into()) }
}

fn about_restore(held: &Held, restore: RestoreId) -> Result<()> {
    about(held.restore == Some(restore) && held.kind == RunKind::Restore)
}

/// Moves a restore on; being there already, or further, is the same fact again.
async fn advance(
    on: &impl On,
    restore: RestoreId,
    from: &[RestoreState],
    to: RestoreState,
    database: Option<model::TenantDatabaseId>,
) -> Result<()> {
    match database::restore::set_state(on, restore, from, to, None, database).await? {
        Guarded::Found(state) if state != RestoreState::Failed && state >= to => Ok(()),
        other => expect(other, "restore"),
    }
}

async fn build_ready(on: &impl On, build: BuildId, version: &str) -> Result<()> {
    let (from, to) = ([BuildState::Building], BuildState::Ready);
    match database::build::set_state(on, build, &from, to, Some(version)).await? {
        Guarded::Found(BuildState::Ready) => Ok(()),
        other => expect(other, "build"),
    }
}

async fn cell_created(
    on: &impl On,
    held: &Held,
    tenant: TenantId,
    placed: Placed,
    lineage: &Lineage,
) -> Result<()> {
    about(lineage.id == placed.lineage && lineage.tenant == tenant)?;
    database::cluster::insert(on, placed.cluster, ClusterKind::Cell, held.worker).await?;
    database::lineage::insert(on, lineage).await?;
    let Placed { tenant_database, cluster, lineage: line } = placed;
    database::tenant_database::insert(on, tenant_database, tenant, cluster, line, &lineage.database).await?;
    // Said before, it must have been the same.
    let known = database::lineage::find(on, lineage.id).await?;
    if known.is_none_or(|known| known.lineage != *lineage) {
        return Err(Refusal::invalid(format!("the lineage {} was recorded otherwise", lineage.id)).into());
    }
    check_placed(on, tenant, placed).await?;
    if let (RunKind::Restore, Some(restore)) = (held.kind, held.restore) {
        database::restore::place(on, restore, placed.tenant_database).await?;
    }
    Ok(())
}

/// What a report names must be what was recorded of the cell.
async fn check_placed(on: &impl On, tenant: TenantId, placed: Placed) -> Result<()> {
    let known = database::tenant_database::find(on, placed.tenant_database).await?;
    let same = known.is_some_and(|known| {
        known.tenant == tenant && known.cluster == placed.cluster && known.lineage == placed.lineage
    });
    if same {
        return Ok(());
    }
    let detail = format!("the tenant's database {} was not recorded so", placed.tenant_database);
    Err(Refusal::invalid(detail).hint("record its cell first").into())
}

async fn provisioned(on: &impl On, tenant: TenantId, placed: Placed) -> Result<Activation> {
    check_placed(on, tenant, placed).await?;
    let (from, to) = ([TenantState::Provisioning], TenantState::Active);
    match database::tenant::set_state(on, tenant, &from, to, Some(placed.tenant_database)).await? {
        Guarded::Found(TenantState::Active | TenantState::Suspended) => {
            let serves = crate::tenant::get(on, tenant).await?.placed.map(|now| now.tenant_database);
            if serves != Some(placed.tenant_database) {
                return Err(Refusal::wrong_state("the tenant serves another database already").into());
            }
        }
        other => {
            expect(other, "tenant")?;
            move_cluster(on, placed.cluster, &[ClusterState::Creating], ClusterState::Ready).await?;
        }
    }
    Ok(Activation { lineage: placed.lineage, at: database::lineage::activate(on, placed.lineage).await? })
}

async fn backup_completed(on: &impl On, tenant: TenantId, backup: &Backup) -> Result<()> {
    database::backup::insert(on, tenant, backup).await?;
    let known = database::backup::find(on, backup.id).await?;
    if known.is_none_or(|known| known.tenant != tenant || known.backup.lineage != backup.lineage) {
        return Err(Refusal::invalid(format!("the backup {} was recorded otherwise", backup.id)).into());
    }
    Ok(())
}

async fn snapshot_ready(on: &impl On, snapshot: SnapshotId, proof: &Proof<'_>) -> Result<()> {
    match database::snapshot::set_ready(on, snapshot, proof).await? {
        Guarded::Found(SnapshotState::Ready | SnapshotState::Restoring) => {
            let known = crate::snapshot::get(on, snapshot).await?;
            if known.lsn == Some(proof.lsn) && known.lineage_id == Some(proof.lineage) {
                return Ok(());
            }
            Err(Refusal::wrong_state(format!("the snapshot {snapshot} is ready at another point")).into())
        }
        other => expect(other, "snapshot"),
    }
}

async fn restore_checked(on: &impl On, held: &Held, restore: RestoreId, to: Placed) -> Result<()> {
    check_placed(on, tenant_of(held)?, to).await?;
    let from = [RestoreState::Materialising];
    advance(on, restore, &from, RestoreState::Switching, Some(to.tenant_database)).await?;
    move_cluster(on, to.cluster, &[ClusterState::Creating], ClusterState::Ready).await
}

async fn restore_switched(
    on: &impl On,
    held: &Held,
    restore: RestoreId,
    from: Placed,
    to: Placed,
) -> Result<Activation> {
    let tenant = tenant_of(held)?;
    check_placed(on, tenant, from).await?;
    check_placed(on, tenant, to).await?;
    let (switching, switched) = ([RestoreState::Switching], RestoreState::Switched);
    let moved =
        database::restore::set_state(on, restore, &switching, switched, None, Some(to.tenant_database))
            .await?;
    match moved {
        // It had happened: answered so again.
        Guarded::Found(RestoreState::Switched | RestoreState::Succeeded) => {
            let done = crate::restore::get(on, restore).await?.to;
            about(done.is_some_and(|(database, ..)| database == to.tenant_database))?;
        }
        other => {
            expect(other, "restore")?;
            match database::tenant::point(on, tenant, from.tenant_database, to.tenant_database).await? {
                Guarded::Moved => {}
                Guarded::Missing => return Err(Refusal::not_found("tenant", tenant).into()),
                Guarded::Found(_) => {
                    return Err(
                        Refusal::wrong_state("the tenant does not serve what is switched from").into()
                    );
                }
            }
            move_cluster(on, from.cluster, &[ClusterState::Ready], ClusterState::Fenced).await?;
            database::observation::reset(on, tenant).await?;
        }
    }
    let at = database::lineage::activate(on, to.lineage).await?;
    // Until it has a base backup of its own, its history is replayed from its parent's.
    let key = format!("backup:{}:first", to.lineage);
    Once::platform(Some(&key)).queue(on, held.project, About::Backup(tenant), json!({})).await?;
    Ok(Activation { lineage: to.lineage, at })
}

async fn cluster_dropped(on: &impl On, held: &Held, cluster: ClusterId) -> Result<()> {
    let tenant = tenant_of(held)?;
    about(database::cluster::is_of(on, cluster, tenant).await?)?;
    for (served, state) in database::cluster::current_of(on, cluster).await? {
        if state != TenantState::Archived {
            let detail = format!("the cluster {cluster} serves the tenant {served}");
            return Err(Refusal::wrong_state(detail).hint("it must not be dropped").into());
        }
    }
    let from = database::sources(ClusterState::Dropped);
    move_cluster(on, cluster, &from, ClusterState::Dropped).await
}

fn tenant_of(held: &Held) -> Result<TenantId> {
    held.tenant.ok_or_else(|| Refusal::invalid("the run is about no tenant").into())
}

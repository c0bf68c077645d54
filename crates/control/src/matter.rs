//! What a run is about, and how it moves along with the run.

use database::{Guarded, On, sources};
use jiff::Timestamp;
use model::cluster::ClusterState;
use model::peek::PeekState;
use model::project::BuildState;
use model::restore::{RestoreState, Target};
use model::run::RunKind;
use model::snapshot::SnapshotState;
use model::tenant::TenantState;
use model::{BuildId, RestoreId, RunId, SnapshotId, TenantId};

use crate::{Refusal, Result};

/// What a run is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matter {
    pub run: RunId,
    pub kind: RunKind,
    pub tenant: Option<TenantId>,
    pub build: Option<BuildId>,
    pub snapshot: Option<SnapshotId>,
    pub restore: Option<RestoreId>,
}

impl From<&database::run::Run> for Matter {
    fn from(run: &database::run::Run) -> Self {
        Self {
            run: run.id,
            kind: run.kind,
            tenant: run.tenant_id,
            build: run.build_id,
            snapshot: run.snapshot_id,
            restore: run.restore_id,
        }
    }
}

impl From<&database::lease::Held> for Matter {
    fn from(held: &database::lease::Held) -> Self {
        Self {
            run: held.run,
            kind: held.kind,
            tenant: held.tenant,
            build: held.build,
            snapshot: held.snapshot,
            restore: held.restore,
        }
    }
}

impl Matter {
    /// Its run has ended without having done it, for `reason`. What the run
    /// did before it ended stays as it is: a restore that has switched, for one.
    pub async fn fail(self, on: &impl On, reason: &str) -> Result<()> {
        match (self.kind, self.build, self.tenant, self.snapshot, self.restore) {
            (RunKind::Build, Some(build), ..) => {
                database::build::set_state(on, build, &[BuildState::Building], BuildState::Failed, None)
                    .await?;
            }
            (RunKind::Provision, _, Some(tenant), ..) => {
                let from = [TenantState::Provisioning];
                database::tenant::set_state(on, tenant, &from, TenantState::Draft, None).await?;
            }
            (RunKind::Snapshot, _, _, Some(snapshot), _) => {
                let from = [SnapshotState::Creating];
                database::snapshot::set_state(on, snapshot, &from, SnapshotState::Failed).await?;
            }
            (RunKind::PlanRestore, .., Some(restore)) => {
                let (from, to) = ([RestoreState::Planning], RestoreState::Failed);
                database::restore::set_state(on, restore, &from, to, Some(reason), None).await?;
            }
            (RunKind::Peek, ..) => {
                let peek = crate::peek::of_run(on, self.run).await?;
                let (from, to) = ([PeekState::Opening], PeekState::Failed);
                database::peek::set_state(on, peek.id, &from, to, reason).await?;
            }
            (RunKind::Restore, .., Some(restore)) => {
                let from: Vec<RestoreState> = sources(RestoreState::Failed)
                    .into_iter()
                    .filter(|state| *state != RestoreState::Planning)
                    .collect();
                let to = RestoreState::Failed;
                let moved = database::restore::set_state(on, restore, &from, to, Some(reason), None).await?;
                if moved.moved() {
                    release_snapshot(on, restore).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Its run is queued again after it had ended.
    pub async fn revive(self, on: &impl On) -> Result<()> {
        match (self.kind, self.build, self.tenant, self.snapshot, self.restore) {
            (RunKind::Build, Some(build), ..) => {
                let (from, to) = ([BuildState::Failed], BuildState::Building);
                expect(database::build::set_state(on, build, &from, to, None).await?, "build")?;
            }
            (RunKind::Provision, _, Some(tenant), ..) => {
                let (from, to) = ([TenantState::Draft], TenantState::Provisioning);
                expect(database::tenant::set_state(on, tenant, &from, to, None).await?, "tenant")?;
            }
            (RunKind::Snapshot, ..) => {
                return Err(Refusal::wrong_state("a failed snapshot is not tried again")
                    .hint("take a new one; its name is free")
                    .into());
            }
            (RunKind::PlanRestore, ..) => {
                return Err(Refusal::wrong_state("a failed plan is not tried again")
                    .hint("ask for the restore anew")
                    .into());
            }
            (RunKind::Peek, ..) => {
                return Err(Refusal::wrong_state("a failed peek is not tried again")
                    .hint("ask for another one; it gets another password")
                    .into());
            }
            (RunKind::Restore, _, Some(tenant), _, Some(restore)) => {
                self.revive_restore(on, tenant, restore).await?;
            }
            (RunKind::Shred, _, Some(tenant), ..) => {
                crate::tenant::may_be_shredded(&crate::tenant::get(on, tenant).await?)?;
            }
            (RunKind::Backup | RunKind::Expire, _, Some(tenant), ..) => {
                let tenant = crate::tenant::get(on, tenant).await?;
                if self.kind == RunKind::Backup && tenant.state != TenantState::Active {
                    let detail =
                        format!("{} is {}: only an active tenant is backed up", tenant.name, tenant.state);
                    return Err(Refusal::wrong_state(detail).into());
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn revive_restore(self, on: &impl On, tenant: TenantId, restore: RestoreId) -> Result<()> {
        let restore = crate::restore::get(on, restore).await?;
        // It has switched already: what is left is to serve.
        if restore.state == RestoreState::Switched {
            return Ok(());
        }
        crate::restore::still_fits(&restore, &crate::tenant::get(on, tenant).await?)?;
        let (from, to) = ([RestoreState::Failed], RestoreState::Materialising);
        expect(database::restore::set_state(on, restore.id, &from, to, None, None).await?, "restore")?;
        crate::restore::take_snapshot(on, &restore).await
    }

    /// What is missing of what its run says to have done; None: nothing.
    pub async fn unmet(self, on: &impl On, since: Timestamp) -> Result<Option<String>> {
        let unmet = |met: bool, what: &str| (!met).then(|| format!("it reported success, but {what}"));
        Ok(match (self.kind, self.build, self.tenant, self.snapshot, self.restore) {
            (RunKind::Build, Some(build), ..) => {
                let state = crate::build::find(on, build).await?.state;
                unmet(state == BuildState::Ready, &format!("the build is {state}"))
            }
            (RunKind::Provision, _, Some(tenant), ..) => {
                // It may have been suspended since it became active.
                let tenant = crate::tenant::get(on, tenant).await?;
                unmet(tenant.placed.is_some(), &format!("{} is {}", tenant.name, tenant.state))
            }
            (RunKind::Backup, _, Some(tenant), ..) => {
                let met = database::backup::recorded_since(on, tenant, since).await?;
                unmet(met, "no base backup was recorded")
            }
            (RunKind::Snapshot, _, _, Some(snapshot), _) => {
                let state = crate::snapshot::get(on, snapshot).await?.state;
                let met =
                    matches!(state, SnapshotState::Ready | SnapshotState::Restoring | SnapshotState::Expired);
                unmet(met, &format!("the snapshot is {state}"))
            }
            (RunKind::Shred, _, Some(tenant), ..) => {
                let tenant = crate::tenant::get(on, tenant).await?;
                unmet(tenant.shredded_at.is_some(), &format!("{} is not shredded", tenant.name))
            }
            (RunKind::PlanRestore, .., Some(restore)) => {
                let restore = crate::restore::get(on, restore).await?;
                unmet(restore.plan.is_some(), "there is no plan")
            }
            (RunKind::Peek, ..) => {
                let state = crate::peek::of_run(on, self.run).await?.state;
                let met = matches!(state, PeekState::Open | PeekState::Ending | PeekState::Ended);
                unmet(met, &format!("the peek is {state}"))
            }
            (RunKind::Restore, .., Some(restore)) => {
                let state = crate::restore::get(on, restore).await?.state;
                unmet(state == RestoreState::Succeeded, &format!("the restore is {state}"))
            }
            _ => None,
        })
    }
}

/// The restore under way is over: its snapshot can be restored to again.
pub(crate) async fn release_snapshot(on: &impl On, restore: RestoreId) -> Result<()> {
    if let Target::Snapshot(snapshot) = crate::restore::get(on, restore).await?.target {
        let (from, to) = ([SnapshotState::Restoring], SnapshotState::Ready);
        database::snapshot::set_state(on, snapshot, &from, to).await?;
    }
    Ok(())
}

/// Turns a guarded update that did not move anything into a refusal.
pub(crate) fn expect<S: std::fmt::Display>(guarded: Guarded<S>, what: &str) -> Result<()> {
    match guarded {
        Guarded::Moved => Ok(()),
        Guarded::Missing => Err(Refusal::new(crate::Kind::NotFound, format!("the {what} is gone")).into()),
        Guarded::Found(state) => {
            Err(Refusal::wrong_state(format!("the {what} is {state}, which does not allow this")).into())
        }
    }
}

/// Moves a cluster on; being there already is fine.
pub(crate) async fn move_cluster(
    on: &impl On,
    cluster: model::ClusterId,
    from: &[ClusterState],
    to: ClusterState,
) -> Result<()> {
    match database::cluster::set_state(on, cluster, from, to).await? {
        Guarded::Found(state) if state == to => Ok(()),
        other => expect(other, "cluster"),
    }
}

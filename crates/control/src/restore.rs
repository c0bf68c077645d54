use database::run::{About, NewRun};
use jiff::{Timestamp, Unit};
use model::access::Permission;
use model::restore::{RestoreState, Target};
use model::run::RunKind;
use model::snapshot::SnapshotState;
use model::{RestoreId, RunId};
use protocol::api::{NewRestore, Page, Restore, RestorePlan};
use serde_json::json;

use crate::maintenance_window::held_until;
use crate::matter::expect;
use crate::once::{Once, Queued};
use crate::permit::missed;
use crate::tenant::restorable_from;
use crate::{Asked, Control, Error, Refusal, Result, Slice};

impl Control {
    /// Queues the making of a plan; nothing is restored before `confirm_restore`.
    pub async fn create_restore(&self, asked: &Asked, tenant: &str, new: NewRestore) -> Result<Restore> {
        let mut connection = self.database().await?;
        let tenant = crate::tenant::find(&connection, tenant).await?;
        let once = Once::new(asked, "restore", &tenant.id.to_string(), &new)?;
        if let Some(run) = once.before(&connection).await? {
            return made_by(&connection, &run).await;
        }
        let what = format!("restore {}", tenant.name);
        let place = &tenant.environment;
        self.permit_in(&connection, tenant.environment_id, place, Permission::Test, &what).await?;
        crate::snapshot::serves(&tenant)?;
        let target = match (&new.snapshot, new.at) {
            (Some(snapshot), None) => {
                let snapshot = crate::snapshot::find(&connection, &tenant, snapshot).await?;
                crate::snapshot::restorable(&snapshot)?;
                Target::Snapshot(snapshot.id)
            }
            (None, Some(at)) => {
                let now = database::clock::now(&connection).await?;
                self.check_time(&tenant, at, now)?;
                Target::Time(at)
            }
            _ => {
                return Err(Refusal::invalid("a restore needs one target: a snapshot or a time")
                    .hint("name a snapshot with --to, or a time with --at")
                    .into());
            }
        };
        let id = RestoreId::new();
        let transaction = database::begin(&mut connection).await?;
        database::restore::insert(&transaction, id, tenant.id, target).await?;
        let about = About::PlanRestore(tenant.id, id);
        match once.queue(&transaction, tenant.project_id, about, json!({})).await? {
            Queued::New(_) => {
                database::commit(transaction).await?;
                self.queued();
                shown(get(&connection, id).await?)
            }
            Queued::Before(run) => {
                drop(transaction);
                made_by(&connection, &run).await
            }
            Queued::Busy(kind) => Err(crate::run::busy(&tenant.name, kind)),
        }
    }

    /// Says yes to the plan: queues the run that carries it out. Where
    /// maintenance windows are defined and none is open, it waits for one.
    pub async fn confirm_restore(&self, asked: &Asked, restore: RestoreId) -> Result<Restore> {
        self.confirm(asked, restore, false).await
    }

    /// The same without waiting for a maintenance window. That is kept with the run.
    pub async fn confirm_restore_now(&self, asked: &Asked, restore: RestoreId) -> Result<Restore> {
        self.confirm(asked, restore, true).await
    }

    async fn confirm(&self, asked: &Asked, restore: RestoreId, now: bool) -> Result<Restore> {
        let mut connection = self.database().await?;
        let once = Once::new(asked, if now { "confirm now" } else { "confirm" }, &restore.to_string(), &())?;
        if once.before(&connection).await?.is_some() {
            return shown(get(&connection, restore).await?);
        }
        let found = get(&connection, restore).await?;
        let tenant = crate::tenant::get(&connection, found.tenant_id).await?;
        let what = format!("restore {}", tenant.name);
        let place = &tenant.environment;
        self.permit_in(&connection, tenant.environment_id, place, Permission::Test, &what).await?;
        let transaction = database::begin(&mut connection).await?;
        database::tenant::lock(&transaction, found.tenant_id).await?;
        // Read again under the lock: two who confirm come one after the other.
        let found = get(&transaction, found.id).await?;
        let tenant = crate::tenant::get(&transaction, found.tenant_id).await?;
        confirmable(&transaction, &found).await?;
        crate::snapshot::serves(&tenant)?;
        still_fits(&found, &tenant)?;
        let mut run = NewRun::new(tenant.project_id, About::Restore(tenant.id, found.id));
        let held = held_until(&transaction, RunKind::Restore, tenant.environment_id).await?;
        match held {
            Some(opens) if now => {
                let what = format!("{what} outside of its maintenance windows");
                self.permit_in(&transaction, tenant.environment_id, place, Permission::Operate, &what)
                    .await?;
                run.metadata = Some(json!({"maintenance_window": "overridden", "opens_at": opens}));
            }
            opens => run.run_at = opens,
        }
        match once.queue_run(&transaction, run).await? {
            Queued::New(_) => {}
            Queued::Before(_) => return shown(found),
            Queued::Busy(kind) => return Err(crate::run::busy(&tenant.name, kind)),
        }
        take_snapshot(&transaction, &found).await?;
        database::commit(transaction).await?;
        self.queued();
        shown(get(&connection, restore).await?)
    }

    pub async fn restore(&self, restore: RestoreId) -> Result<Restore> {
        shown(get(&self.database().await?, restore).await?)
    }

    /// A tenant's, newest first.
    pub async fn restores(&self, tenant: &str, slice: &Slice<RestoreId>) -> Result<Page<Restore>> {
        let database = self.database().await?;
        let tenant = crate::tenant::find(&database, tenant).await?;
        let restores = database::restore::list(&database, tenant.id, slice.after, slice.rows()).await?;
        let restores: Result<Vec<Restore>> = restores.into_iter().map(shown).collect();
        Ok(slice.page(restores?, |restore| restore.id.to_string()))
    }

    /// A time is good if the tenant's history covers it.
    pub(crate) fn check_time(
        &self,
        tenant: &database::tenant::Tenant,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let Some(first) = restorable_from(self.settings(), tenant.first_backup_at, now) else {
            let detail = format!("{} has no base backup yet, so no time can be restored", tenant.name);
            return Err(Refusal::wrong_state(detail)
                .hint("its first one is queued once it is provisioned; wait for it"));
        };
        let whole = |time: Timestamp| time.round(Unit::Second).unwrap_or(time);
        let window = format!("choose a time from {} to {}", whole(first), whole(now));
        if at > now {
            return Err(
                Refusal::invalid(format!("{at} is in the future: it is {} now", whole(now))).hint(window)
            );
        }
        if at < first {
            let days = self.settings().retention.days;
            let detail = format!(
                "{at} is before what is kept of {}: every second of {days} days, and nothing before its first backup",
                tenant.name
            );
            return Err(Refusal::invalid(detail).hint(window));
        }
        Ok(())
    }
}

async fn confirmable(on: &impl database::On, restore: &database::restore::Restore) -> Result<()> {
    let refuse = |what: &str, hint: &str| {
        let detail = format!("the restore {} of {} {what}", restore.id, restore.tenant);
        Err(Refusal::wrong_state(detail).hint(hint).into())
    };
    match restore.state {
        RestoreState::Planned => {
            if let Some(run) = restore.run_id
                && crate::run::find(on, run).await?.kind == RunKind::Restore
            {
                return refuse("is confirmed already", "follow its run");
            }
            Ok(())
        }
        RestoreState::Planning => refuse("is still being planned", "wait for its plan, and read it"),
        RestoreState::Failed => refuse("has failed", "retry its run, or ask for a new plan"),
        RestoreState::Succeeded => refuse("is done", "ask for a new one"),
        RestoreState::Materialising | RestoreState::Switching | RestoreState::Switched => {
            refuse("is under way", "follow its run")
        }
    }
}

/// Refuses a plan that was made before the tenant was switched to another
/// lineage: it would not be what was read.
pub(crate) fn still_fits(
    restore: &database::restore::Restore,
    tenant: &database::tenant::Tenant,
) -> Result<()> {
    let Some(shown) = restore.shown.clone() else {
        return Err(Refusal::wrong_state(format!("the restore {} has no plan", restore.id)).into());
    };
    let plan: RestorePlan =
        serde_json::from_value(shown).map_err(|source| Error::Stored { what: "a restore's plan", source })?;
    if tenant.placed.map(|placed| placed.lineage.0) != Some(plan.current_lineage) {
        let detail = format!("{} has been restored since this plan was made", tenant.name);
        return Err(Refusal::wrong_state(detail).hint("ask for a new plan, and read it").into());
    }
    Ok(())
}

/// Marks the snapshot that is being restored to.
pub(crate) async fn take_snapshot(
    on: &impl database::On,
    restore: &database::restore::Restore,
) -> Result<()> {
    let Target::Snapshot(snapshot) = restore.target else { return Ok(()) };
    let (from, to) = ([SnapshotState::Ready], SnapshotState::Restoring);
    match database::snapshot::set_state(on, snapshot, &from, to).await? {
        database::Guarded::Found(_) => {
            Ok(crate::snapshot::restorable(&crate::snapshot::get(on, snapshot).await?)?)
        }
        other => expect(other, "snapshot"),
    }
}

pub(crate) async fn get(on: &impl database::On, restore: RestoreId) -> Result<database::restore::Restore> {
    match database::restore::get(on, restore).await? {
        Some(found) => Ok(found),
        None => {
            missed(on, "restore", &restore.to_string()).await?;
            Err(Refusal::not_found("restore", restore).into())
        }
    }
}

async fn made_by(on: &impl database::On, run: &database::run::Run) -> Result<Restore> {
    let id = run.restore_id.ok_or_else(|| Refusal::not_found("restore of the run", run.id))?;
    shown(get(on, id).await?)
}

fn shown(restore: database::restore::Restore) -> Result<Restore> {
    let run: RunId = crate::run::of(restore.run_id, "restore", restore.id)?;
    let plan = restore
        .shown
        .map(serde_json::from_value)
        .transpose()
        .map_err(|source| Error::Stored { what: "a restore's plan", source })?;
    Ok(Restore {
        id: restore.id.0,
        tenant: restore.tenant,
        state: restore.state,
        snapshot: restore.snapshot,
        at: match restore.target {
            Target::Time(at) => Some(at),
            Target::Snapshot(_) => None,
        },
        plan,
        reason: restore.reason,
        run: run.0,
        created_at: restore.created_at,
    })
}

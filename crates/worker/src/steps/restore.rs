//! Gives a tenant back as it was: a new cell is made beside the serving one and
//! checked, the old one is fenced, and the tenant is switched in one update.

use daemon::fault;
use model::restore::{Plan, RestoreState};
use model::tenant::{Serving, TenantState};
use model::{ClusterId, LineageId, RestoreId, TenantDatabaseId};
use protocol::internal::{Fact, Placed, TenantWork};

use super::clear_leftovers;
use super::materialise::materialise;
use crate::cell::Cell;
use crate::failure::{Doing, Failure};
use crate::host::Host;
use crate::report::Run;
use crate::serve::Serve;

pub async fn execute(
    host: &Host,
    run: &Run,
    tenant: &TenantWork,
    restore: RestoreId,
    state: RestoreState,
    plan: Plan,
    to: Option<Placed>,
) -> Result<(), Failure> {
    // The switch may have happened just before the last worker was killed.
    if matches!(state, RestoreState::Switched | RestoreState::Succeeded) {
        return arrive(host, run, tenant, restore).await;
    }
    let from = tenant.placed.ok_or_else(|| Failure::new("the tenant has no database yet"))?;
    let old = Cell::new(host, tenant, from);
    let to = match to
        .filter(|to| state == RestoreState::Switching && host.layout.cell(tenant.tenant, to.lineage).exists())
    {
        Some(to) => to,
        None => {
            // An attempt may have been killed between fencing the old cell and
            // its switch; it serves again while the new one is made.
            old.unfence()?;
            prepare(host, run, tenant, restore, &plan).await?
        }
    };
    let new = Cell::new(host, tenant, to);
    // If this fails, the keeper takes the fence away: it asks whom the tenant
    // points at, which a lost answer leaves open here.
    switch(host, run, tenant, restore, &old, &new).await?;
    let tenant = TenantWork { placed: Some(to), ..tenant.clone() };
    arrive(host, run, &tenant, restore).await
}

/// Makes the new cell and checks it.
async fn prepare(
    host: &Host,
    run: &Run,
    tenant: &TenantWork,
    restore: RestoreId,
    plan: &Plan,
) -> Result<Placed, Failure> {
    run.record(Fact::RestoreStarted { restore }).await?;
    let keep: Vec<LineageId> = tenant.placed.iter().map(|placed| placed.lineage).collect();
    clear_leftovers(host, run, tenant.tenant, &keep).await?;
    let to = Placed {
        tenant_database: TenantDatabaseId::new(),
        cluster: ClusterId::new(),
        lineage: LineageId::new(),
    };
    let cell = Cell::new(host, tenant, to);
    let made = async {
        let lineage = materialise(host, run, tenant, &cell, plan).await?;
        run.record(Fact::CellCreated { tenant: tenant.tenant, placed: to, lineage }).await?;
        fault::reach("restore.checked").await;
        // From here on it is carried through.
        run.go_on()?;
        run.record(Fact::RestoreChecked { restore, to }).await
    }
    .await;
    if let Err(failure) = made {
        clear_leftovers(host, run, tenant.tenant, &keep).await?;
        return Err(failure);
    }
    Ok(to)
}

/// Stops and fences the old cell, then points the tenant at the new one.
async fn switch(
    host: &Host,
    run: &Run,
    tenant: &TenantWork,
    restore: RestoreId,
    old: &Cell<'_>,
    new: &Cell<'_>,
) -> Result<(), Failure> {
    run.progress(0.8, "Stopping and fencing the present cell");
    let serve = Serve::new(host, tenant, Cell::new(host, tenant, old.placed));
    tell(host, &serve, Serving::Starting).await;
    serve.stop().await?;
    old.stop().await?;
    let folder = host.layout.cell(tenant.tenant, old.lineage());
    if folder.exists() {
        old.archive().take_pg_wal(old.lineage(), &folder).await.doing("take the present cell's last WAL")?;
    }
    old.archive().sync_filestore(&old.filestore()).await.doing("keep the present filestore's files")?;
    old.fence()?;
    old.close_archive();
    fault::reach("restore.fenced").await;

    let fact = Fact::RestoreSwitched { restore, from: old.placed, to: new.placed };
    run.record(fact).await?;
    Ok(())
}

/// Starts Odoo on the cell that the tenant points at now. Repeatable.
async fn arrive(host: &Host, run: &Run, tenant: &TenantWork, restore: RestoreId) -> Result<(), Failure> {
    let cell = Cell::serving(host, tenant)?;
    // Asked again, control answers with the same activation.
    let fact = Fact::RestoreSwitched { restore, from: cell.placed, to: cell.placed };
    let recorded = run.record(fact).await?;
    fault::reach("restore.switched").await;
    let activation = recorded.activation.ok_or_else(|| Failure::new("control named no activation"))?;
    // Before Odoo's first write: what the tenant serves from here on is this
    // lineage's, and the repository alone must tell.
    cell.archive().put_activation(activation).await.doing("record the activation")?;
    let serve = Serve::new(host, tenant, Cell::serving(host, tenant)?);
    cell.start().await?;
    if tenant.state == TenantState::Active {
        run.progress(0.9, "Starting Odoo");
        serve.start().await?;
        serve.ready().await?;
        tell(host, &serve, Serving::Serving).await;
    }
    run.record(Fact::RestoreServed { restore }).await?;
    run.progress(1.0, format!("{} is given back", tenant.name));
    Ok(())
}

/// Tells control at once, so that the router does not have to find out. The
/// keeper says it again.
pub async fn tell(host: &Host, serve: &Serve<'_>, serving: Serving) {
    let told = async {
        let observed = serve.observe(serving).await?;
        host.observed(vec![observed]).await
    }
    .await;
    if let Err(failure) = told {
        tracing::debug!("control was not told: {}", failure.reason());
    }
}

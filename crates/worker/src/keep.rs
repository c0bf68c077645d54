//! Keeps this host's tenants as control wants them: active ones running,
//! suspended ones stopped with their history intact.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use daemon::shutdown::Shutdown;
use model::archive::Activation;
use model::program::ProgramState;
use model::tenant::{Serving, TenantState};
use model::{TenantId, WorkerId};
use protocol::internal::{ObservedTenant, TenantWork};
use tokio::task::JoinSet;

use crate::cell::Cell;
use crate::failure::{Doing, Failure};
use crate::host::Host;
use crate::serve::Serve;

/// Between two looks at a tenant that is not as it should be.
const TICK: Duration = Duration::from_millis(500);

/// Between two looks at a tenant that serves.
const CALM: Duration = Duration::from_secs(5);

/// Between two scans of a tenant's filestore.
const SCAN: Duration = Duration::from_secs(30);

/// What was seen of a tenant last.
struct Seen {
    serving: Serving,
    pid: u32,
    state: TenantState,
    looked: Instant,
    scanned: Option<Instant>,
}

pub async fn run(host: Arc<Host>, worker: WorkerId, shutdown: Shutdown) -> Result<(), Failure> {
    let seen = Arc::new(Mutex::new(HashMap::new()));
    loop {
        if let Err(failure) = tick(&host, worker, &seen).await {
            tracing::debug!("cannot keep tenants: {}", failure.reason());
        }
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = shutdown.begun() => return Ok(()),
        }
    }
}

/// Moves every tenant that nobody else acts on one step.
async fn tick(
    host: &Arc<Host>,
    worker: WorkerId,
    seen: &Arc<Mutex<HashMap<TenantId, Seen>>>,
) -> Result<(), Failure> {
    let tenants = host.assignments(worker).await?;
    host.streams.retain(&tenants.iter().map(|tenant| tenant.tenant).collect());
    let mut looks = JoinSet::new();
    for tenant in tenants {
        if is_calm(seen, &tenant) {
            continue;
        }
        let Some(turn) = host.try_turn(tenant.tenant) else { continue };
        let (host, seen) = (host.clone(), seen.clone());
        looks.spawn(async move {
            let _turn = turn;
            match step(&host, worker, &tenant, &seen).await {
                Ok(observed) => Some(observed),
                Err(failure) => {
                    tracing::warn!(tenant = %tenant.name, "cannot keep the tenant: {}", failure.reason());
                    Some(failing(tenant.tenant))
                }
            }
        });
    }
    let observed: Vec<ObservedTenant> = looks.join_all().await.into_iter().flatten().collect();
    if !observed.is_empty() {
        host.observed(observed).await.inspect_err(|_| {
            // Said again at the next tick.
            seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
        })?;
    }
    Ok(())
}

/// Whether a tenant was as it should be a moment ago.
fn is_calm(seen: &Mutex<HashMap<TenantId, Seen>>, tenant: &TenantWork) -> bool {
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.get(&tenant.tenant).is_some_and(|seen| {
        seen.state == tenant.state
            && matches!(seen.serving, Serving::Serving | Serving::Stopped)
            && seen.looked.elapsed() < CALM
    })
}

async fn step(
    host: &Host,
    worker: WorkerId,
    tenant: &TenantWork,
    seen: &Mutex<HashMap<TenantId, Seen>>,
) -> Result<ObservedTenant, Failure> {
    let cell = Cell::serving(host, tenant)?;
    let before = {
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&tenant.tenant).map(|seen| (seen.serving, seen.pid, seen.scanned))
    };
    let mut scanned = before.and_then(|(_, _, scanned)| scanned);
    let serve = Serve::new(host, tenant, Cell::serving(host, tenant)?);
    let (serving, pid) = match tenant.state {
        TenantState::Active => {
            unfence(host, worker, tenant, &cell).await?;
            cell.stream(cell.start().await?)?;
            if serve.state().await? == ProgramState::Absent {
                // A restore may have been killed right after its switch: the
                // repository knows before Odoo's first write.
                activate(tenant, &cell).await?;
            }
            serve.start().await?;
            serve.look(before.map(|(serving, pid, _)| (serving, pid))).await?
        }
        TenantState::Archived => {
            serve.stop().await?;
            cell.stop().await?;
            cell.close_archive();
            (Serving::Stopped, 0)
        }
        // Its cell goes on, so that snapshots and restores work as ever.
        TenantState::Suspended | TenantState::Draft | TenantState::Provisioning => {
            serve.stop().await?;
            unfence(host, worker, tenant, &cell).await?;
            cell.stream(cell.start().await?)?;
            (Serving::Stopped, 0)
        }
    };
    if tenant.state != TenantState::Archived && scanned.is_none_or(|at| at.elapsed() > SCAN) {
        scan(&cell, tenant).await;
        scanned = Some(Instant::now());
    }
    let looked = Instant::now();
    let now = Seen { serving, pid, state: tenant.state, looked, scanned };
    seen.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant.tenant, now);
    serve.observe(serving).await
}

/// Nothing of it answers.
fn failing(tenant: TenantId) -> ObservedTenant {
    let serving = Serving::Failing;
    ObservedTenant { tenant, serving, http: None, gevent: None, router_key: None, cell_port: None }
}

async fn activate(tenant: &TenantWork, cell: &Cell<'_>) -> Result<(), Failure> {
    let at = tenant.activated_at.ok_or_else(|| Failure::new("the tenant's lineage is not activated"))?;
    let activation = Activation { lineage: cell.lineage(), at };
    cell.archive().put_activation(activation).await.doing("record the activation")
}

/// Takes the fence from the cell that the tenant points at: a restore that
/// ended failed was killed behind it. What control said at the tick's beginning
/// may be older than the switch, so it is asked again: with the tenant's turn
/// held, nobody switches it now.
async fn unfence(host: &Host, worker: WorkerId, tenant: &TenantWork, cell: &Cell<'_>) -> Result<(), Failure> {
    if !cell.is_fenced() {
        return Ok(());
    }
    let now = host.assignments(worker).await?;
    match now.iter().any(|now| now.tenant == tenant.tenant && now.placed == tenant.placed) {
        true => cell.unfence(),
        false => Err(Failure::new("the tenant was switched away from this cell")),
    }
}

/// Copies new attachments into the repository. A clean-up hands over what it is
/// about to remove, and a snapshot waits for what it names; this keeps both
/// short, and the loss small if the disk dies.
async fn scan(cell: &Cell<'_>, tenant: &TenantWork) {
    match cell.archive().sync_filestore(&cell.filestore()).await {
        Ok(report) => {
            for finding in report.findings {
                tracing::warn!(tenant = %tenant.name, "{finding}");
            }
        }
        Err(error) => tracing::warn!(tenant = %tenant.name, %error, "the filestore was not scanned"),
    }
}

//! What runs do, one file per kind.

mod backup;
mod build;
mod expire;
mod materialise;
mod peek;
mod plan_restore;
mod provision;
mod replay;
mod restore;
mod shred;
mod snapshot;

use std::fs;

use model::{LineageId, TenantId};
use protocol::internal::{Fact, Work};

use crate::cell::Card;
use crate::failure::{Doing, Failure};
use crate::host::{Host, blocking, remove_folder};
use crate::layout::{cell_program, init_program, odoo_program, recovery_program, template_program};
use crate::peeks;
use crate::report::Run;

pub async fn execute(host: &Host, run: &Run, work: Work) -> Result<(), Failure> {
    match work {
        Work::Build { build } => build::execute(host, run, &build).await,
        Work::Provision { tenant, build, admin_password_hash } => {
            provision::execute(host, run, &tenant, &build, &admin_password_hash).await
        }
        Work::Backup { tenant } => backup::execute(host, run, &tenant).await,
        Work::Snapshot { tenant, snapshot: _, name, terms } => {
            snapshot::execute(host, run, &tenant, &name, &terms).await
        }
        Work::PlanRestore { tenant, restore, target } => {
            plan_restore::execute(host, run, &tenant, restore, target).await
        }
        Work::Restore { tenant, restore, state, target: _, plan, to } => {
            restore::execute(host, run, &tenant, restore, state, plan, to).await
        }
        Work::Peek { tenant, peek } => peek::execute(host, run, &tenant, &peek).await,
        Work::Expire { tenant, clusters, retention, terms, sweep } => {
            expire::execute(host, run, &tenant, &clusters).await?;
            expire::keep_terms(host, run, tenant.tenant, &terms).await?;
            if sweep { expire::sweep(host, run, tenant.tenant, retention).await } else { Ok(()) }
        }
        Work::Shred { tenant, clusters } => shred::execute(host, run, &tenant, &clusters).await,
        // Not by the one; see `probe`.
        Work::Probe(_) => Ok(()),
    }
}

/// Whether it can be left wherever it is when it does not stop by itself: the
/// others stop where nothing of a tenant is half done, and nowhere else.
pub fn may_be_left(work: &Work) -> bool {
    !matches!(work, Work::Provision { .. } | Work::Restore { .. })
}

/// Stops the programs that a run left has started.
pub async fn stop(host: &Host, work: &Work) -> Result<(), Failure> {
    if let Work::Build { build } = work {
        for program in [init_program(build.build), template_program(build.build)] {
            host.clear_program(&program).await?;
        }
    }
    if let Work::Peek { peek, .. } = work {
        let _turn = host.peeks.wait(peek.peek).await;
        peeks::remove(host, peek.peek).await?;
    }
    Ok(())
}

/// The lineages that have a folder on this host. A tenant that was never made
/// has none.
fn lineages(host: &Host, tenant: TenantId) -> Result<Vec<LineageId>, Failure> {
    let mut found = Vec::new();
    for entry in fs::read_dir(host.layout.tenant(tenant)).into_iter().flatten() {
        let entry = entry.doing("list the tenant's cells")?;
        found.extend(entry.file_name().to_str().and_then(|name| name.parse::<LineageId>().ok()));
    }
    Ok(found)
}

/// Ends whatever runs of a lineage, and removes its cell and its Odoo's folder.
async fn drop_cell(host: &Host, tenant: TenantId, lineage: LineageId) -> Result<(), Failure> {
    for program in [odoo_program(lineage), recovery_program(lineage), cell_program(lineage)] {
        host.clear_program(&program).await?;
    }
    host.archive.close(&host.layout.archive_socket(lineage));
    host.archive.close(&host.layout.files_socket(lineage));
    let (folder, sockets) = (host.layout.lineage(tenant, lineage), host.layout.socket_dir(lineage));
    // Thousands of files: heartbeats must not wait for it.
    blocking(move || remove_folder(&folder).and_then(|()| remove_folder(&sockets))).await
}

/// Removes what an attempt that was killed left of cells that were never
/// served: neither the one that the tenant points at, nor a fenced one, nor
/// `keep`.
async fn clear_leftovers(
    host: &Host,
    run: &Run,
    tenant: TenantId,
    keep: &[LineageId],
) -> Result<(), Failure> {
    for lineage in lineages(host, tenant)? {
        if keep.contains(&lineage) || host.layout.fenced(tenant, lineage).exists() {
            continue;
        }
        run.info(format!("Clearing away lineage {lineage}, which an earlier attempt left unfinished"));
        let card = Card::read(&host.layout, tenant, lineage);
        drop_cell(host, tenant, lineage).await?;
        if let Some(card) = card {
            // Unknown to control if the attempt had not come so far.
            let dropped = run.record(Fact::ClusterDropped { cluster: card.cluster }).await;
            if let Err(failure) = dropped {
                tracing::debug!("a leftover cluster was unknown: {}", failure.reason());
            }
        }
    }
    Ok(())
}

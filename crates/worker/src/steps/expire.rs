//! Drops cells that retention no longer keeps, and what provisions and restores
//! left that ended failed. Their history stays in the repository.

use model::tenant::TenantState;
use model::{ClusterId, LineageId};
use protocol::internal::{Fact, TenantWork};

use super::clear_leftovers;
use crate::cell::Card;
use crate::failure::{Doing, Failure};
use crate::host::{Host, remove_folder};
use crate::layout::{cell_program, odoo_program};
use crate::report::Run;

pub async fn execute(
    host: &Host,
    run: &Run,
    tenant: &TenantWork,
    clusters: &[ClusterId],
) -> Result<(), Failure> {
    let archived = tenant.state == TenantState::Archived;
    let keep: Vec<LineageId> = tenant.placed.iter().map(|placed| placed.lineage).collect();
    clear_leftovers(host, run, tenant.tenant, &keep).await?;
    let folder = host.layout.tenant(tenant.tenant);
    // A tenant that was never made has no folder.
    for entry in std::fs::read_dir(&folder).into_iter().flatten() {
        let entry = entry.doing("list the tenant's cells")?;
        let Some(lineage) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Some(card) = Card::read(&host.layout, tenant.tenant, lineage) else { continue };
        if !clusters.contains(&card.cluster) || keep.contains(&lineage) && !archived {
            continue;
        }
        for program in [odoo_program(lineage), cell_program(lineage)] {
            host.clear_program(&program).await?;
        }
        remove_folder(&entry.path())?;
        remove_folder(&host.layout.socket_dir(lineage))?;
        run.info(format!("Dropped the cell of lineage {lineage}"));
    }
    for &cluster in clusters {
        run.record(Fact::ClusterDropped { cluster }).await?;
    }
    Ok(())
}

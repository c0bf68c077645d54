//! Drops cells that a restore fenced and retention no longer keeps. Their
//! history stays in the repository.

use model::ClusterId;
use protocol::internal::{Fact, TenantWork};

use crate::cell::Card;
use crate::failure::{Doing, Failure};
use crate::host::{Host, remove_folder};
use crate::report::Run;

pub async fn execute(
    host: &Host,
    run: &Run,
    tenant: &TenantWork,
    clusters: &[ClusterId],
) -> Result<(), Failure> {
    let folder = host.layout.tenant(tenant.tenant);
    for entry in std::fs::read_dir(&folder).doing("list the tenant's cells")? {
        let entry = entry.doing("list the tenant's cells")?;
        let Some(lineage) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Some(card) = Card::read(&host.layout, tenant.tenant, lineage) else { continue };
        let serves = tenant.placed.is_some_and(|placed| placed.lineage == lineage);
        if serves || !clusters.contains(&card.cluster) || !host.layout.fenced(tenant.tenant, lineage).exists()
        {
            continue;
        }
        remove_folder(&entry.path())?;
        remove_folder(&host.layout.socket_dir(lineage))?;
        run.info(format!("Dropped the fenced cell of lineage {lineage}"));
    }
    for &cluster in clusters {
        run.record(Fact::ClusterDropped { cluster }).await?;
    }
    Ok(())
}

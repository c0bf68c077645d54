//! Destroys an archived tenant's key, and removes all that there is of it: its
//! cells and files on this host, and in the repository everything but the mark
//! that says so. Broken off anywhere, it is done again.

use daemon::fault;
use model::ClusterId;
use protocol::internal::{Fact, TenantWork};

use super::{drop_cell, lineages};
use crate::failure::{Doing, Failure};
use crate::host::{Host, blocking, remove_folder};
use crate::peeks;
use crate::report::Run;

pub async fn execute(
    host: &Host,
    run: &Run,
    tenant: &TenantWork,
    clusters: &[ClusterId],
) -> Result<(), Failure> {
    let id = tenant.tenant;
    // The key first: from here on nothing that was stored can be read, whatever
    // becomes of the rest.
    let repository = host.repository.clone();
    let shredded = blocking(move || repository.shred(id).doing("destroy the tenant's key")).await?;
    run.progress(0.3, format!("The key of {} was destroyed {}", tenant.name, shredded.at));
    fault::reach("shred.key").await;

    let peeks = peeks::remove_of(host, id).await?;
    if peeks > 0 {
        run.info(format!("Removed {peeks} peeks"));
    }
    for lineage in lineages(host, id)? {
        drop_cell(host, id, lineage).await?;
        run.info(format!("Removed the cell of lineage {lineage}"));
    }
    remove_folder(&host.layout.tenant(id))?;
    fault::reach("shred.cells").await;
    for &cluster in clusters {
        run.record(Fact::ClusterDropped { cluster }).await?;
    }
    let repository = host.repository.clone();
    let cleared = blocking(move || {
        repository.clear_shredded(id).doing("remove what the repository holds of the tenant")
    });
    let cleared = cleared.await?;
    fault::reach("shred.cleared").await;
    run.record(Fact::TenantShredded { tenant: id }).await?;
    run.progress(
        1.0,
        format!(
            "Nothing of {} can be read any more; {} objects of {} MB were removed from the repository",
            tenant.name,
            cleared.objects,
            cleared.bytes >> 20
        ),
    );
    Ok(())
}

//! Destroys an archived tenant's key, and removes all that there is of it: its
//! cells and files on this host, and in the repository everything but the mark
//! that says so. Broken off anywhere, it is done again.

use daemon::fault;
use model::{ClusterId, LineageId};
use protocol::internal::{Fact, TenantWork};

use crate::failure::{Doing, Failure};
use crate::host::{Host, blocking, remove_folder};
use crate::layout::{cell_program, odoo_program, recovery_program};
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

    let folder = host.layout.tenant(id);
    for entry in std::fs::read_dir(&folder).into_iter().flatten() {
        let entry = entry.doing("list the tenant's cells")?;
        let Some(lineage) = entry.file_name().to_str().and_then(|name| name.parse::<LineageId>().ok()) else {
            continue;
        };
        for program in [odoo_program(lineage), recovery_program(lineage), cell_program(lineage)] {
            host.clear_program(&program).await?;
        }
        host.archive.close(&host.layout.archive_socket(lineage));
        host.archive.close(&host.layout.files_socket(lineage));
        remove_folder(&entry.path())?;
        remove_folder(&host.layout.socket_dir(lineage))?;
        run.info(format!("Removed the cell of lineage {lineage}"));
    }
    remove_folder(&folder)?;
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

//! Makes a cell that accepts connections out of the repository, at a point of a
//! tenant's history.

use daemon::fault;
use model::archive::{Fork, Lineage};
use model::lsn::SegmentSize;
use model::restore::Plan;
use odoo::sql::Health;
use protocol::internal::TenantWork;
use tokio_postgres::Client;

use super::replay::Replay;
use super::snapshot::attachments;
use crate::cell::Cell;
use crate::failure::{Doing, Failure};
use crate::host::{Host, blocking};
use crate::layout::recovery_program;
use crate::ports;
use crate::report::Run;
use crate::secrets::Secrets;

/// Makes and starts `cell` as `plan` says; returns its lineage. Nothing of it
/// is served yet.
pub async fn materialise(
    host: &Host,
    run: &Run,
    tenant: &TenantWork,
    cell: &Cell<'_>,
    plan: &Plan,
) -> Result<Lineage, Failure> {
    cell.make_folders()?;
    let data_dir = host.layout.cell(tenant.tenant, cell.lineage());
    let identity = host.layout.cell_identity(tenant.ordinal);
    let replay = Replay {
        host,
        run,
        archive: cell.archive(),
        plan,
        data_dir: &data_dir,
        identity,
        program: recovery_program(cell.lineage()),
        fetch: cell.archive_commands()?.fetch,
    };
    run.progress(0.1, "Copying the base backup");
    replay.copy().await?;
    fault::reach("restore.extracted").await;
    run.go_on()?;

    run.progress(0.2, "Fetching the WAL");
    replay.place().await?;
    fault::reach("restore.placed").await;
    run.go_on()?;

    run.progress(0.3, "Replaying the WAL");
    cell.serve_archive(false, Some(plan.clone())).await?;
    let cluster = cell.cluster(ports::free(1)?[0])?;
    let client = replay
        .recover(move || {
            cluster.make_socket_dir().doing("make the cell's socket folder")?;
            cluster.write_config().doing("configure the cell")?;
            Ok(cluster.clone())
        })
        .await?;
    let lineage = begin(host, tenant, cell, plan, &client).await?;
    // It is stopped again: it is then what its own configuration starts.
    host.clear_program(&recovery_program(cell.lineage())).await?;
    fault::reach("restore.recovered").await;
    run.go_on()?;

    let finished = data_dir.clone();
    blocking(move || postgres::finish_recovery(&finished, identity).doing("end the recovery")).await?;
    let client = cell.connect_database().await?;
    check(run, &client).await?;
    own(host, tenant, &client).await?;
    run.progress(0.6, "Giving back the attachments");
    place_files(host, run, tenant, cell, &client).await?;
    Ok(lineage)
}

/// Records the lineage that a promoted cell has begun, and lets it archive.
async fn begin(
    host: &Host,
    tenant: &TenantWork,
    cell: &Cell<'_>,
    plan: &Plan,
    client: &Client,
) -> Result<Lineage, Failure> {
    let timeline = postgres::timeline(client).await.doing("ask for the timeline")?;
    let system_identifier =
        postgres::system_identifier(client).await.doing("ask for the system identifier")?;
    let data_dir = host.layout.cell(tenant.tenant, cell.lineage());
    let (_, lsn) = postgres::fork_of(&data_dir, timeline).doing("find where the new lineage begins")?;
    let lineage = Lineage {
        id: cell.lineage(),
        tenant: tenant.tenant,
        parent: Some(Fork { lineage: plan.source, lsn }),
        timeline,
        system_identifier,
        segment_size: SegmentSize::CELL,
        database: tenant.database.clone(),
    };
    cell.archive().put_lineage(lineage.clone()).await.doing("record the lineage")?;
    cell.serve_archive(true, None).await?;
    Ok(lineage)
}

/// The database is whole as far as a look can tell.
async fn check(run: &Run, client: &Client) -> Result<(), Failure> {
    let row = client.query_one(odoo::sql::health_sql(), &[]).await.doing("look at Odoo's own tables")?;
    let health = Health::from_counts(row.get(0), row.get(1), row.get(2));
    if let Some(problem) = health.problem() {
        return Err(Failure::new(format!("the restored database is no working Odoo: {problem}")));
    }
    run.info(format!("{} modules, {} users", health.installed, health.users));
    Ok(())
}

/// The role's password is the tenant's present one, whatever it was then.
async fn own(host: &Host, tenant: &TenantWork, client: &Client) -> Result<(), Failure> {
    let secrets = Secrets::of(&host.layout.tenant(tenant.tenant).join("secrets"))?;
    let verifier = postgres::verifier(&secrets.database_password);
    postgres::ensure_login(client, odoo::config::ROLE, &verifier)
        .await
        .doing("set the database role's password")
}

async fn place_files(
    host: &Host,
    run: &Run,
    tenant: &TenantWork,
    cell: &Cell<'_>,
    client: &Client,
) -> Result<(), Failure> {
    let files = attachments(client).await?;
    let identity = host.layout.odoo_identity(tenant.ordinal);
    let placed = cell
        .archive()
        .place_files(files, &cell.filestore(), identity)
        .await
        .doing("give back the attachments")?;
    if !placed.damaged.is_empty() {
        return Err(Failure::new(format!(
            "{} attachments in the repository are damaged, such as {}",
            placed.damaged.len(),
            placed.damaged[0]
        )));
    }
    run.progress(0.7, format!("{} attachments are back", placed.count));
    if !placed.missing.is_empty() {
        run.warn(format!(
            "{} files that the database names are not in the repository, such as {}: they were lost before",
            placed.missing.len(),
            placed.missing[0]
        ));
    }
    Ok(())
}

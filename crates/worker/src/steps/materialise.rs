//! Makes a cell that accepts connections out of the repository, at a point of a
//! tenant's history.

use std::time::Duration;

use daemon::fault;
use model::archive::{Fork, Lineage};
use model::lsn::{SegmentSize, Timeline};
use model::program::ProgramState;
use model::restore::{Plan, Stop};
use odoo::sql::Health;
use postgres::RecoveryFault;
use protocol::internal::TenantWork;
use tokio::time::Instant;
use tokio_postgres::Client;

use super::snapshot::attachments;
use crate::cell::{self, Cell};
use crate::failure::{Doing, Failure};
use crate::host::{Host, blocking};
use crate::layout::recovery_program;
use crate::ports;
use crate::report::Run;
use crate::secrets::Secrets;

/// Recovery without a sign of life for this long is given up.
const PATIENCE: Duration = Duration::from_secs(3600);

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
    let first = plan.wal.first().ok_or_else(|| Failure::new("the plan reads no WAL"))?;
    let data_dir = host.layout.cell(tenant.tenant, cell.lineage());
    let identity = host.layout.cell_identity(tenant.ordinal);
    run.progress(0.1, "Copying the base backup");
    cell.archive()
        .extract_backup(first.lineage, plan.backup, &data_dir, identity, |_, _| {})
        .await
        .doing("copy the base backup")?;
    fault::reach("restore.extracted").await;
    run.go_on()?;

    run.progress(0.2, "Fetching the WAL");
    let placed = cell.archive().place_wal(plan, &data_dir, identity).await.doing("put the WAL in place")?;
    run.info(format!(
        "{} WAL segments are in place, {} are fetched as they are needed",
        placed.segments, placed.left
    ));
    fault::reach("restore.placed").await;
    run.go_on()?;

    run.progress(0.3, "Replaying the WAL");
    cell.serve_archive(false, Some(plan.clone())).await?;
    let lineage = recover(host, run, tenant, cell, plan).await?;
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

/// Runs the recovery to its end, and stops the cell again: it is then what its
/// own configuration starts. Returns the lineage that begins there, recorded.
async fn recover(
    host: &Host,
    run: &Run,
    tenant: &TenantWork,
    cell: &Cell<'_>,
    plan: &Plan,
) -> Result<Lineage, Failure> {
    let source = plan.wal.last().ok_or_else(|| Failure::new("the plan reads no WAL"))?;
    let mut stop = plan.stop.clone();
    loop {
        let fault = match recover_once(host, run, cell, &stop, source.timeline).await? {
            Recovered::Promoted(client) => {
                let lineage = begin(host, run, tenant, cell, plan, &stop, &client).await?;
                host.clear_program(&recovery_program(cell.lineage())).await?;
                return Ok(lineage);
            }
            Recovered::Fault(fault) => fault,
        };
        host.clear_program(&recovery_program(cell.lineage())).await?;
        match (fault, &stop) {
            (RecoveryFault::EndedBeforeTarget, Stop::Time(at)) => {
                run.info(format!("There was no commit after {at}; replaying to the end of the WAL"));
                stop = Stop::End;
            }
            (fault, _) => return Err(Failure::new("replay the WAL").caused_by(fault)),
        }
    }
}

enum Recovered {
    /// It accepts writes.
    Promoted(Client),
    Fault(RecoveryFault),
}

async fn recover_once(
    host: &Host,
    run: &Run,
    cell: &Cell<'_>,
    stop: &Stop,
    timeline: Timeline,
) -> Result<Recovered, Failure> {
    let id = recovery_program(cell.lineage());
    host.clear_program(&id).await?;
    let port = ports::free(1)?[0];
    let cluster = cell.cluster(port)?;
    let (binaries, stop, made, program) = (host.binaries.clone(), stop.clone(), cluster.clone(), id.clone());
    let spec = blocking(move || {
        let fetch = &made.archive.as_ref().ok_or_else(|| Failure::new("the cell has no archive"))?.fetch;
        let fetch = fetch.clone().unless_in_place();
        postgres::write_recovery(&made.data_dir, made.identity, &stop, timeline, &fetch)
            .doing("prepare the recovery")?;
        made.make_socket_dir().doing("make the cell's socket folder")?;
        made.write_config().doing("configure the cell")?;
        made.program(&binaries, program).doing("prepare the cell")
    })
    .await?;
    host.driver.start(&cell::once(spec)).await.doing("start the recovery")?;
    let deadline = Instant::now() + PATIENCE;
    let exit = loop {
        match postgres::wait_ready(&cluster, Duration::from_millis(300)).await {
            Ok(client) => return Ok(Recovered::Promoted(client)),
            Err(error) if Instant::now() > deadline => return Err(error).doing("wait for the recovery"),
            Err(_) => {}
        }
        run.go_on()?;
        let state = host.driver.state(&id).await.doing("look at the recovery")?;
        if let ProgramState::Ended(exit) = state {
            break exit;
        }
    };
    let log = host.driver.log_tail(&id, 5_000).await.doing("read the recovery's log")?.join("\n");
    let fault = RecoveryFault::in_log(postgres::since_last_start(&log));
    Ok(Recovered::Fault(fault.unwrap_or_else(|| RecoveryFault::Other(format!("it ended with {exit}")))))
}

/// Records the lineage that a promoted cell has begun, and lets it archive.
async fn begin(
    host: &Host,
    run: &Run,
    tenant: &TenantWork,
    cell: &Cell<'_>,
    plan: &Plan,
    stop: &Stop,
    client: &Client,
) -> Result<Lineage, Failure> {
    let timeline = postgres::timeline(client).await.doing("ask for the timeline")?;
    let system_identifier =
        postgres::system_identifier(client).await.doing("ask for the system identifier")?;
    let data_dir = host.layout.cell(tenant.tenant, cell.lineage());
    let (_, lsn) = postgres::fork_of(&data_dir, timeline).doing("find where the new lineage begins")?;
    if *stop == Stop::End && !plan.reached(lsn, SegmentSize::CELL) {
        return Err(Failure::new(format!("replay ended at {lsn}, before the WAL's end at {}", plan.end)));
    }
    run.info(format!("Replayed up to {lsn}, now on timeline {}", timeline.0));
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

//! Makes a tenant's state at some point readable for a while, out of the
//! repository and beside what is served. No lineage begins with it: it archives
//! nothing, and nothing of it comes back.

use daemon::fault;
use jiff::{SignedDuration, Timestamp};
use model::PeekId;
use model::archive::History;
use model::peek::{self, Point};
use model::restore::Plan;
use postgres::{Archive, Cluster, Reader};
use protocol::internal::{Fact, PeekWork, TenantWork};
use tokio_postgres::Client;

use super::plan_restore::retention;
use super::replay::Replay;
use crate::cell::Cell;
use crate::failure::{Doing, Failure};
use crate::host::{Host, blocking};
use crate::layout::peek_program;
use crate::peeks::{self, Card};
use crate::ports;
use crate::report::Run;

/// Beside what the plan reads: temporary files of those who look.
const SPARE: u64 = 128 << 20;

const CONNECTIONS: u32 = 10;

pub async fn execute(host: &Host, run: &Run, tenant: &TenantWork, work: &PeekWork) -> Result<(), Failure> {
    let peek = work.peek;
    // Held until control knows of it, or nothing is left of it.
    let _turn = host.peeks.wait(peek).await;
    if work.opened {
        // Another process's peeks are gone; this one's may have lost nothing but its lease.
        return match peeks::is_open(host, peek).await? {
            true => Ok(()),
            false => Err(Failure::new("it was open, and went with its worker").hint("ask for another one")),
        };
    }
    peeks::remove(host, peek).await?;
    let opened = async {
        let reader = Reader {
            role: peek::ROLE,
            verifier: &work.verifier,
            database: &tenant.database,
            connections: CONNECTIONS,
            seconds: work.seconds.into(),
        };
        let peeked = open(host, run, tenant, peek, work.point, &reader).await?;
        let lasts = SignedDuration::from_secs(work.seconds.into());
        let until = Timestamp::now().checked_add(lasts).doing("tell when the peek ends")?;
        Card { tenant: tenant.tenant, until: Some(until) }.write(&host.layout, peek)?;
        fault::reach("peek.opened").await;
        run.go_on()?;
        run.record(Fact::PeekOpened { peek, port: peeked.cluster.port }).await
    };
    match opened.await {
        Ok(_) => run.progress(1.0, "It can be connected to"),
        Err(failure) => {
            peeks::remove(host, peek).await?;
            return Err(failure);
        }
    }
    Ok(())
}

/// A database that accepts connections, at a point of a tenant's history.
pub struct Peeked {
    /// Its superuser comes in over the socket, and only that of Heddle's own user.
    pub cluster: Cluster,
}

/// Makes one. Whoever asks holds the peek's turn, and removes it in the end, or
/// if this fails.
pub async fn open(
    host: &Host,
    run: &Run,
    tenant: &TenantWork,
    peek: PeekId,
    point: Point,
    reader: &Reader<'_>,
) -> Result<Peeked, Failure> {
    let cell = Cell::serving(host, tenant)?;
    run.progress(0.05, "Planning");
    let (history, plan) = planned(run, tenant, &cell, point).await?;
    has_room(host, &history, &plan)?;

    peeks::admit(host, peek, tenant.tenant)?;
    let data_dir = host.layout.peek(peek).join("cell");
    let socket = host.layout.peek_archive_socket(peek);
    let identity = host.layout.cell_identity(tenant.ordinal);
    let replay = Replay {
        host,
        run,
        archive: cell.archive(),
        plan: &plan,
        data_dir: &data_dir,
        identity,
        program: peek_program(peek),
        fetch: Archive::over_socket(&host.heddle, &socket).doing("name the archive's socket")?.fetch,
    };
    run.progress(0.1, "Copying the base backup");
    replay.copy().await?;
    fault::reach("peek.extracted").await;
    run.go_on()?;

    run.progress(0.3, "Fetching the WAL");
    replay.place().await?;
    fault::reach("peek.placed").await;
    run.go_on()?;

    run.progress(0.4, "Replaying the WAL");
    let access = archive::WalAccess { tenant: tenant.tenant, push: None, fetch: Some(plan.clone()) };
    host.archive.serve_wal(&socket, identity, access).await.doing("serve the peek's archive")?;
    let cluster = Cluster {
        data_dir: data_dir.clone(),
        socket_dir: host.layout.peek_socket_dir(peek),
        port: ports::free(1)?[0],
        identity,
        socket_group: None,
        // It archives nothing.
        archive: None,
    };
    let (made, role, database) = (cluster.clone(), reader.role.to_owned(), reader.database.to_owned());
    let client = replay
        .recover(move || {
            postgres::configure_peek(&made, &role, &database).doing("configure the peek")?;
            Ok(made.clone())
        })
        .await?;
    host.archive.close(&socket);
    fault::reach("peek.recovered").await;
    run.go_on()?;

    run.progress(0.9, "Taking away what is more than reading");
    lock(&cluster, &client, reader).await?;
    blocking(move || postgres::finish_recovery(&data_dir, identity).doing("end the recovery")).await?;
    fault::reach("peek.locked").await;
    Ok(Peeked { cluster })
}

async fn lock(cluster: &Cluster, client: &Client, reader: &Reader<'_>) -> Result<(), Failure> {
    let (sockets, port) = (&cluster.socket_dir, cluster.port);
    let database = postgres::connect(sockets, port, postgres::SUPERUSER, None, reader.database).await;
    let database = database.doing("connect to the peek's database")?;
    let left = postgres::lock_for_reading(client, &database, reader).await;
    let left = left.doing("take away what is more than reading")?;
    match left.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(format!("the peek could still be written to: {}", left.join(", ")))
            .hint("it was not opened; the tenant's database grants more than reading to everybody")),
    }
}

/// The plan, out of a history that surely reaches the point. A serving cell that
/// has written more recently is asked for its WAL; nothing else is asked of it.
async fn planned(
    run: &Run,
    tenant: &TenantWork,
    cell: &Cell<'_>,
    point: Point,
) -> Result<(History, Plan), Failure> {
    let archive = cell.archive();
    let mut inventory = archive.history().await.doing("read the history")?;
    if !peek::is_covered(&inventory.history, point) {
        match cell.connect_running().await? {
            Some(client) => {
                let reached = cell.flush(&client).await?;
                inventory = archive.history().await.doing("read the history")?;
                inventory.history.note_reached(cell.lineage(), reached);
            }
            None => run.warn("The cell does not run: what it had not archived is not to be seen"),
        }
    }
    for finding in &inventory.findings {
        run.warn(finding.to_string());
    }
    let history = inventory.history;
    if !history.activations.iter().any(|known| known.lineage == cell.lineage()) {
        // By the history alone, its time would be another lineage's.
        return Err(Failure::new("it is not recorded since when the present cell is served")
            .hint("the run that made the cell did not end; see `heddle run list`, and retry it"));
    }
    let plan = peek::plan(&history, point, Timestamp::now(), retention(tenant))
        .map_err(|error| Failure::new(error.to_string()))?;
    Ok((history, plan))
}

/// Refuses what would fill the disk that tenants are served from.
fn has_room(host: &Host, history: &History, plan: &Plan) -> Result<(), Failure> {
    let disk = rustix::fs::statvfs(host.layout.peeks()).doing("look at the disk")?;
    let free = disk.f_bavail * disk.f_frsize;
    let backup = history.backups.iter().find(|backup| backup.id == plan.backup);
    let wal: u64 = plan.wal.iter().map(|range| range.to.0.saturating_sub(range.from.0)).sum();
    let needed = backup.map_or(0, |backup| backup.size) + wal + SPARE;
    if free >= needed {
        return Ok(());
    }
    Err(Failure::new(format!("a peek takes {} MB, and {} MB are free", needed >> 20, free >> 20))
        .hint("end other peeks, or make room on the disk of the data folder"))
}

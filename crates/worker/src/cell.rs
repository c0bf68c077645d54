//! A tenant's cell on this host: configured, served by the archive, running.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use archive::{Filestore, TenantArchive, WalAccess};
use model::archive::Lineage;
use model::program::ProgramState;
use model::restore::Plan;
use model::{ClusterId, LineageId, TenantDatabaseId, TenantId};
use postgres::{Archive, Cluster};
use protocol::internal::{Placed, TenantWork};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_postgres::Client;

use crate::failure::{Doing, Failure};
use crate::host::{Host, blocking, make_folder};
use crate::layout::{Layout, cell_program};
use crate::ports;

/// How long a cell may take to accept connections: it may have to recover from
/// a crash.
const START: Duration = Duration::from_secs(120);

/// How long WAL may take to reach the repository before somebody is told.
pub const WAL_PATIENCE: Duration = Duration::from_secs(60);

/// `cell.json` in a lineage's folder: what it is, for the clean-up after a kill.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Card {
    pub tenant: TenantId,
    pub tenant_database: TenantDatabaseId,
    pub cluster: ClusterId,
    pub lineage: LineageId,
    /// On 127.0.0.1 and in the socket's name; drawn anew at each start.
    pub port: u16,
}

impl Card {
    pub fn read(layout: &Layout, tenant: TenantId, lineage: LineageId) -> Option<Self> {
        let text = fs::read(layout.lineage(tenant, lineage).join("cell.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    pub fn write(&self, layout: &Layout) -> Result<(), Failure> {
        let folder = layout.lineage(self.tenant, self.lineage);
        let text = serde_json::to_vec(self).doing("write the cell's card")?;
        let new = folder.join("cell.json.new");
        fs::write(&new, text).doing("write the cell's card")?;
        fs::rename(&new, folder.join("cell.json")).doing("write the cell's card")
    }
}

/// A tenant's cell, running or not.
pub struct Cell<'a> {
    host: &'a Host,
    pub tenant: TenantId,
    pub ordinal: u32,
    pub database: String,
    pub placed: Placed,
}

impl<'a> Cell<'a> {
    pub fn new(host: &'a Host, tenant: &TenantWork, placed: Placed) -> Self {
        let TenantWork { tenant, ordinal, ref database, .. } = *tenant;
        Self { host, tenant, ordinal, database: database.clone(), placed }
    }

    /// The cell that the tenant points at.
    pub fn serving(host: &'a Host, tenant: &TenantWork) -> Result<Self, Failure> {
        let placed = tenant.placed.ok_or_else(|| Failure::new("the tenant has no database yet"))?;
        Ok(Self::new(host, tenant, placed))
    }

    pub fn lineage(&self) -> LineageId {
        self.placed.lineage
    }

    pub fn archive(&self) -> TenantArchive {
        self.host.repository.tenant(self.tenant)
    }

    pub fn filestore(&self) -> Filestore {
        Filestore {
            data_dir: self.host.layout.odoo(self.tenant, self.lineage()),
            database: self.database.clone(),
        }
    }

    /// Makes the folders that the cell and its Odoo will be in.
    pub fn make_folders(&self) -> Result<(), Failure> {
        let layout = &self.host.layout;
        make_folder(&layout.tenant(self.tenant), 0o711, None)?;
        make_folder(&layout.lineage(self.tenant, self.lineage()), 0o711, None)?;
        make_folder(&layout.odoo(self.tenant, self.lineage()), 0o700, layout.odoo_identity(self.ordinal))?;
        make_folder(&layout.tenant(self.tenant).join("conf"), 0o711, None)?;
        let Placed { tenant_database, cluster, lineage } = self.placed;
        Card { tenant: self.tenant, tenant_database, cluster, lineage, port: 0 }.write(layout)
    }

    pub fn cluster(&self, port: u16) -> Result<Cluster, Failure> {
        let layout = &self.host.layout;
        Ok(Cluster {
            data_dir: layout.cell(self.tenant, self.lineage()),
            socket_dir: layout.socket_dir(self.lineage()),
            port,
            identity: layout.cell_identity(self.ordinal),
            socket_group: layout.odoo_identity(self.ordinal).map(|identity| identity.gid),
            archive: Some(self.archive_commands()?),
        })
    }

    /// How its WAL leaves it and comes back.
    pub fn archive_commands(&self) -> Result<Archive, Failure> {
        Archive::over_socket(&self.host.heddle, &self.host.layout.archive_socket(self.lineage()))
            .doing("name the archive's socket")
    }

    /// Serves the cell's archive socket: what it may push to, what it recovers
    /// from.
    pub async fn serve_archive(&self, push: bool, fetch: Option<Plan>) -> Result<(), Failure> {
        let layout = &self.host.layout;
        let access = WalAccess { tenant: self.tenant, push: push.then_some(self.lineage()), fetch };
        self.host
            .archive
            .serve_wal(&layout.archive_socket(self.lineage()), layout.cell_identity(self.ordinal), access)
            .await
            .doing("serve the cell's archive")
    }

    fn serve_files(&self) -> Result<(), Failure> {
        let layout = &self.host.layout;
        self.host
            .archive
            .serve_files(
                &layout.files_socket(self.lineage()),
                layout.odoo_identity(self.ordinal),
                self.tenant,
            )
            .doing("serve the tenant's files")
    }

    /// Starts the cell if it does not run, with its archive, and returns its
    /// port. A cell that was fenced has no data directory in its place, and is
    /// refused.
    pub async fn start(&self) -> Result<u16, Failure> {
        let layout = &self.host.layout;
        if !layout.cell(self.tenant, self.lineage()).join("PG_VERSION").exists() {
            return Err(Failure::new("the cell is fenced, or its data directory is gone"));
        }
        self.serve_archive(true, None).await?;
        self.serve_files()?;
        let id = cell_program(self.lineage());
        let driver = &self.host.driver;
        let card = Card::read(layout, self.tenant, self.lineage())
            .ok_or_else(|| Failure::new("the cell's card is missing"))?;
        let state = driver.state(&id).await.doing("look at the cell")?;
        if card.port != 0 && matches!(state, ProgramState::Running { .. } | ProgramState::Restarting { .. }) {
            return Ok(card.port);
        }
        let port = ports::free(1)?[0];
        Card { port, ..card }.write(layout)?;
        let cluster = self.cluster(port)?;
        let binaries = self.host.binaries.clone();
        let spec = blocking(move || {
            cluster.make_socket_dir().doing("make the cell's socket folder")?;
            cluster.write_config().doing("configure the cell")?;
            cluster.program(&binaries, id).doing("prepare the cell")
        })
        .await?;
        driver.start(&spec).await.doing("start the cell")?;
        Ok(port)
    }

    /// Starts the cell and connects to it as superuser.
    pub async fn connect(&self) -> Result<Client, Failure> {
        let port = self.start().await?;
        postgres::wait_ready(&self.cluster(port)?, START).await.doing("wait for the cell")
    }

    /// As `connect`, if it runs; None: it does not, and is left so.
    pub async fn connect_running(&self) -> Result<Option<Client>, Failure> {
        let state = self.host.driver.state(&cell_program(self.lineage())).await.doing("look at the cell")?;
        let card = Card::read(&self.host.layout, self.tenant, self.lineage());
        match (state, card) {
            (ProgramState::Running { .. }, Some(card)) if card.port != 0 => {
                let ready = postgres::wait_ready(&self.cluster(card.port)?, START).await;
                ready.map(Some).doing("wait for the cell")
            }
            _ => Ok(None),
        }
    }

    /// A superuser's connection to the tenant's own database.
    pub async fn connect_database(&self) -> Result<Client, Failure> {
        let port = self.start().await?;
        let cluster = self.cluster(port)?;
        postgres::wait_ready(&cluster, START).await.doing("wait for the cell")?;
        postgres::connect(&cluster.socket_dir, port, postgres::SUPERUSER, None, &self.database)
            .await
            .doing("connect to the tenant's database")
    }

    /// Streams the running cell's WAL into the repository.
    pub fn stream(&self, port: u16) -> Result<(), Failure> {
        let socket = self.cluster(port)?.socket_path();
        self.host.streams.keep(self.archive(), self.lineage(), socket);
        Ok(())
    }

    pub async fn stop(&self) -> Result<(), Failure> {
        self.host.streams.end(self.tenant, self.lineage());
        self.host.clear_program(&cell_program(self.lineage())).await
    }

    /// Stops serving the cell's sockets.
    pub fn close_archive(&self) {
        self.host.archive.close(&self.host.layout.archive_socket(self.lineage()));
        self.host.archive.close(&self.host.layout.files_socket(self.lineage()));
    }

    /// Moves a stopped cell's data directory away, so that nothing that knows
    /// its place can start it.
    pub fn fence(&self) -> Result<(), Failure> {
        let (cell, fenced) = self.places();
        match cell.exists() {
            true => fs::rename(cell, fenced).doing("fence the cell"),
            false => Ok(()),
        }
    }

    /// Takes a fence away, if there is one.
    pub fn unfence(&self) -> Result<(), Failure> {
        let (cell, fenced) = self.places();
        match self.is_fenced() {
            true => fs::rename(fenced, cell).doing("take the fence from the cell"),
            false => Ok(()),
        }
    }

    pub fn is_fenced(&self) -> bool {
        let (cell, fenced) = self.places();
        fenced.exists() && !cell.exists()
    }

    fn places(&self) -> (PathBuf, PathBuf) {
        let layout = &self.host.layout;
        (layout.cell(self.tenant, self.lineage()), layout.fenced(self.tenant, self.lineage()))
    }

    /// Makes all that was committed so far durable in the repository: switches
    /// the WAL, and returns how far it reached once that is archived.
    pub async fn flush(&self, client: &Client) -> Result<model::lsn::Lsn, Failure> {
        postgres::emit_marker(client, "flush").await.doing("mark the end of the WAL")?;
        let reached = postgres::switch_wal(client).await.doing("switch the WAL")?;
        self.wait_for_wal(client, reached).await?;
        Ok(reached)
    }

    /// Waits until the repository has the WAL up to `lsn`. PostgreSQL pauses
    /// for a minute after failed pushes; a small write wakes its archiver, so
    /// that a healed repository is noticed at once.
    pub async fn wait_for_wal(&self, client: &Client, lsn: model::lsn::Lsn) -> Result<(), Failure> {
        let archive = self.archive();
        let deadline = Instant::now() + WAL_PATIENCE;
        let mut waited = std::pin::pin!(archive.wait_for_wal(self.lineage(), lsn, deadline));
        loop {
            tokio::select! {
                waited = &mut waited => return waited.map_err(|error| {
                    Failure::new("make the WAL durable in the repository")
                        .caused_by(error)
                        .hint("see `heddle doctor`: is the repository's disk full or read-only? Nothing is lost: the WAL stays in the cell until it is stored")
                }),
                () = tokio::time::sleep(Duration::from_secs(5)) => {
                    postgres::emit_marker(client, "wake").await.doing("wake the archiver")?;
                    postgres::switch_wal(client).await.doing("wake the archiver")?;
                }
            }
        }
    }
}

/// The lineage of a cell that starts a tenant's history.
pub fn first_lineage(placed: Placed, tenant: TenantId, system_identifier: u64, database: &str) -> Lineage {
    Lineage {
        id: placed.lineage,
        tenant,
        parent: None,
        timeline: model::lsn::Timeline(1),
        system_identifier,
        segment_size: model::lsn::SegmentSize::CELL,
        database: database.to_owned(),
    }
}

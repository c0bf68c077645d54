//! A worker: claims runs and executes them, and keeps its host's tenants
//! running.
//!
//! It holds nothing that matters in memory: programs run under shims that
//! outlive it, facts are committed by control as they become true, and every
//! step can be taken up by the next process after a SIGKILL at any point.

mod answer;
mod cell;
mod claim;
mod failure;
mod hold;
mod host;
mod keep;
mod layout;
mod measure;
mod peeks;
mod ports;
mod probe;
mod report;
mod secrets;
mod serve;
mod steps;
mod stream;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use daemon::shutdown::Shutdown;
use daemon::tasks::{OnError, Tasks};
use model::run::WorkerKind;
use protocol::client::Client;
use protocol::internal::{Register, Registered};

pub use failure::Failure;
use hold::Holds;
use host::Host;

/// What a worker is started with.
#[derive(Debug, Clone)]
pub struct Config {
    pub data: PathBuf,
    pub run_dir: PathBuf,
    pub repository: archive::Location,
    /// What opens it.
    pub keys: archive::KeyFile,
    pub control: Client,
    /// Names this host's worker across its restarts.
    pub name: String,
    /// What it is made for; none: everything.
    pub kinds: Vec<WorkerKind>,
    /// What it has that a run may need.
    pub labels: Vec<String>,
    /// The first user id for tenants' programs; used when root only.
    pub identity_base: u32,
    /// Who makes clusters when root; None: `postgres`, else `nobody`.
    pub service_user: Option<String>,
    /// Where PostgreSQL's programs are; None: found.
    pub postgres_bin: Option<PathBuf>,
    /// Odoo's HTTP workers for each tenant; 0: threaded.
    pub odoo_workers: u16,
    /// So many peeks are on this host at once.
    pub peeks: u16,
    /// The least time between two writes of a cell's new WAL to the repository;
    /// None: whole segments only.
    pub stream: Option<Duration>,
    /// The binary that cells and shims run as.
    pub heddle: PathBuf,
}

/// Works until the shutdown begins, then lets runs under way end. Tenants'
/// programs go on running.
pub async fn run(config: Config, shutdown: Shutdown) -> Result<(), Failure> {
    let control = config.control.clone();
    let (name, kinds, labels) = (config.name.clone(), config.kinds.clone(), config.labels.clone());
    let host = Arc::new(Host::open(config).await?);
    if let Err(failure) = peeks::clear(&host).await {
        // Tried again as long as control does not know of them.
        tracing::warn!("cannot remove the peeks of an earlier process: {}", failure.reason());
    }
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let register = Register { name, version, kinds, labels };
    let registered: Registered = tokio::select! {
        registered = report::patiently(|| control.post("/internal/workers", &register)) =>
            registered.map_err(|source| Failure::new("register with control").caused_by(source))?,
        () = shutdown.begun() => return Ok(()),
    };
    let worker = registered.worker;
    host.registered(worker);
    control.speak_for(worker);
    tracing::info!(%worker, "registered");

    let tasks = Tasks::new(shutdown.clone());
    let keeping = host.clone();
    tasks.spawn("keep tenants running", OnError::Restart, move |shutdown| {
        keep::run(keeping.clone(), worker, shutdown)
    });
    let peeking = host.clone();
    tasks
        .spawn("keep peeks", OnError::Restart, move |shutdown| peeks::run(peeking.clone(), worker, shutdown));
    let answering = host.clone();
    tasks.spawn("answer questions", OnError::Restart, move |shutdown| {
        answer::run(answering.clone(), worker, shutdown)
    });
    let measuring = host.clone();
    tasks.spawn("measure disks", OnError::Restart, move |shutdown| {
        measure::run(measuring.clone(), worker, shutdown)
    });
    let holds = Holds::default();
    let (held, client) = (holds.clone(), host.control.clone());
    tasks.spawn("keep leases", OnError::Restart, move |shutdown| {
        hold::beat(held.clone(), client.clone(), worker, shutdown)
    });
    let (claiming, held) = (host.clone(), holds.clone());
    tasks.spawn("claim runs", OnError::Restart, move |shutdown| {
        claim::run(claiming.clone(), held.clone(), worker, shutdown)
    });
    let probing = host.clone();
    tasks.spawn("claim probes", OnError::Restart, move |shutdown| {
        probe::run(probing.clone(), holds.clone(), worker, shutdown)
    });
    let drained = tasks.drain(claim::GRACE).await;
    match drained.failed {
        None => Ok(()),
        Some(failed) => {
            Err(Failure::new(format!("keep task {:?} going", failed.task)).caused_by(failed.error))
        }
    }
}

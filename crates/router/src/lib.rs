//! Hostname to tenant to Odoo: the HTTP proxy in front of every tenant.
//!
//! A request's host decides which tenant it is for, and nothing else does. The
//! table comes from control, and is kept in a file so that visitors are served
//! while control is away. The router reaches no database and nothing of a
//! tenant's but the address its Odoo listens on.

mod body;
mod feed;
mod framing;
mod guard;
mod headers;
mod listen;
mod page;
mod request;
mod table;
mod upstream;
mod websocket;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use protocol::client::Client;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::feed::Feed;
use crate::listen::Shared;
use crate::table::Table;

#[derive(Debug, Clone)]
pub struct RouterConfig {
    /// Where visitors come in; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    pub control: Client,
    /// The last good route table, read at start and written at every change.
    /// Holds the tenants' router keys.
    pub table_file: PathBuf,
    pub limits: Limits,
}

impl RouterConfig {
    pub fn new(listen: Vec<SocketAddr>, control: Client, table_file: PathBuf) -> Self {
        Self { listen, control, table_file, limits: Limits::default() }
    }
}

/// What one visitor, or all of them, may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a request's body; more is answered 413.
    pub body: u64,
    /// Bytes of a request's head; more is answered 431.
    pub head: usize,
    /// Headers of a request. With the router's own they must stay within the
    /// 100 that Odoo takes.
    pub headers: usize,
    /// Connections at a time, WebSockets included; further clients wait.
    pub connections: usize,
    /// From a head's first byte to its last.
    pub head_time: Duration,
    /// Between two bytes of a body.
    pub body_stall: Duration,
    /// Between two bytes that a client takes of its answer.
    pub answer_stall: Duration,
    /// Between two requests on a connection.
    pub idle: Duration,
    /// To connect to an Odoo, once.
    pub connect: Duration,
    /// For an Odoo that should serve and does not listen to come back.
    pub retry: Duration,
    /// For requests under way when the router stops.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 128 << 20,
            head: 64 << 10,
            headers: 90,
            connections: 10_000,
            head_time: Duration::from_secs(10),
            body_stall: Duration::from_secs(60),
            answer_stall: Duration::from_secs(300),
            idle: Duration::from_secs(65),
            connect: Duration::from_secs(5),
            retry: Duration::from_secs(2),
            grace: Duration::from_secs(10),
        }
    }
}

impl Limits {
    fn client(&self) -> guard::Patience {
        guard::Patience { head: self.head_time, body: self.body_stall, answer: self.answer_stall }
    }

    fn upstream(&self) -> upstream::Patience {
        upstream::Patience { connect: self.connect, retry: self.retry }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum RouterError {
    #[error("listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("find an address to listen on: none is set")]
    NoAddress,
}

impl RouterError {
    /// What to do about it. `setting` is the name of the setting that says
    /// where to listen.
    pub fn hint(&self, setting: &str) -> String {
        let Self::Listen { address, source } = self else {
            return format!("set `{setting}` to an address such as 127.0.0.1:8080");
        };
        let (ip, port) = (address.ip(), address.port());
        match source.kind() {
            io::ErrorKind::AddrInUse => format!(
                "another program listens on port {port} already; stop it, or set `{setting}` to another port"
            ),
            io::ErrorKind::PermissionDenied => format!(
                "ports below 1024 are for root; start as root, or set `{setting}` to a port such as 8080"
            ),
            io::ErrorKind::AddrNotAvailable => {
                format!("this machine does not have the address {ip}; set `{setting}` to one that it has")
            }
            _ => format!("set `{setting}` to another address"),
        }
    }
}

/// A router that has its ports, and serves nobody yet.
pub struct Router {
    config: RouterConfig,
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
}

impl Router {
    /// Takes all of its ports or none. Must be called within a tokio runtime.
    pub fn bind(config: RouterConfig) -> Result<Self, RouterError> {
        if config.listen.is_empty() {
            return Err(RouterError::NoAddress);
        }
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for &address in &config.listen {
            let fault = |source| RouterError::Listen { address, source };
            let listener = listen::bind(address).map_err(fault)?;
            addresses.push(listener.local_addr().map_err(fault)?);
            listeners.push(listener);
        }
        Ok(Self { config, listeners, addresses })
    }

    /// Where it listens, ports chosen by the system included.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Serves until `stop`; then ends WebSockets at once, gives requests under
    /// way their grace, and returns.
    pub async fn serve(self, stop: CancellationToken) {
        let Self { config, listeners, addresses } = self;
        let limits = Limits { connections: open_files(config.limits.connections), ..config.limits };
        let (tables, table) = watch::channel(Arc::new(last_good(&config.table_file)));
        let feed = Feed { control: config.control, file: config.table_file, table: tables };
        let feed = tokio::spawn(feed.run());
        let shared = Arc::new(Shared::new(table, limits, stop.clone()));
        for listener in listeners {
            shared.tasks.spawn(listen::accept(Arc::clone(&shared), listener));
        }
        tracing::info!(?addresses, hosts = shared.table.borrow().len(), "the router serves");
        stop.cancelled().await;
        drain(&shared).await;
        feed.abort();
    }
}

/// Serves until `stop`.
pub async fn run(config: RouterConfig, stop: CancellationToken) -> Result<(), RouterError> {
    Router::bind(config)?.serve(stop).await;
    Ok(())
}

fn last_good(file: &std::path::Path) -> Table {
    match table::load(file) {
        Ok(table) => table.unwrap_or_default(),
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "there is no last good route table; visitors wait for control's"
            );
            Table::default()
        }
    }
}

/// Lets the process open as many files as the system allows it to, and returns
/// how many of `wanted` connections that is enough for: each takes a socket on
/// either side.
fn open_files(wanted: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const OTHERS: usize = 64;
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let files = if raised.is_ok() { limit.maximum } else { limit.current };
    let Some(files) = files.and_then(|files| usize::try_from(files).ok()) else {
        return wanted;
    };
    let enough = (files.saturating_sub(OTHERS) / 2).max(1);
    if enough < wanted {
        tracing::warn!(wanted, connections = enough, "the limit of open files allows fewer connections");
    }
    wanted.min(enough)
}

async fn drain(shared: &Shared) {
    shared.tasks.close();
    let requests = shared.requests();
    if requests > 0 {
        tracing::info!(requests, grace = ?shared.limits.grace, "the router waits for requests under way");
    }
    if tokio::time::timeout(shared.limits.grace, shared.tasks.wait()).await.is_err() {
        tracing::warn!(requests = shared.requests(), "the router gives up on requests under way");
        shared.cut.cancel();
        shared.tasks.wait().await;
    }
}

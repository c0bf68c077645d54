//! Accepts connections, within limits, and lets go of them in order.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Limits;
use crate::guard::Guard;
use crate::request;
use crate::table::Tables;

/// A peer that vanished without a word is noticed after about two minutes.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_COUNT: u32 = 3;
const BACKLOG: u32 = 1024;
/// Bytes read ahead of one client at most.
const BUFFER: usize = 128 << 10;
/// Before accepting again after the system refused.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) table: Tables,
    pub(crate) limits: Limits,
    /// Connections and WebSockets.
    pub(crate) tasks: TaskTracker,
    /// Nothing new is begun.
    pub(crate) stop: CancellationToken,
    /// What is still under way is given up.
    pub(crate) cut: CancellationToken,
    requests: Arc<AtomicUsize>,
    places: Arc<Semaphore>,
}

/// A client's connection; its place among them is free again once this is dropped.
pub(crate) struct Connection {
    pub(crate) client: IpAddr,
    /// Where it came in.
    pub(crate) port: u16,
    _place: OwnedSemaphorePermit,
}

/// A request that is being answered.
pub(crate) struct InFlight(Arc<AtomicUsize>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    pub(crate) fn new(table: Tables, limits: Limits, stop: CancellationToken) -> Self {
        Self {
            table,
            limits,
            tasks: TaskTracker::new(),
            stop,
            cut: CancellationToken::new(),
            requests: Arc::default(),
            places: Arc::new(Semaphore::new(limits.connections)),
        }
    }

    pub(crate) fn in_flight(&self) -> InFlight {
        self.requests.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(&self.requests))
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

/// Starts to listen. The socket refuses IPv4 on an IPv6 address, so that both
/// wildcards can be listened on.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => {
            let socket = TcpSocket::new_v6()?;
            rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
            socket
        }
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts until told to stop.
pub(crate) async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let port = listener.local_addr().map_or(0, |address| address.port());
    let mut refused = false;
    let accepting = async {
        loop {
            // Without a free place, clients wait in the system's queue.
            let place = Arc::clone(&shared.places).acquire_owned().await.expect("places are never closed");
            match listener.accept().await {
                Ok((stream, peer)) => {
                    refused = false;
                    let client = peer.ip().to_canonical();
                    let connection = Connection { client, port, _place: place };
                    shared.tasks.spawn(converse(Arc::clone(&shared), connection, stream));
                }
                // The client was gone before it was greeted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if !std::mem::replace(&mut refused, true) {
                        tracing::warn!(error = &error as &dyn std::error::Error, "accept a connection");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    shared.stop.run_until_cancelled(accepting).await;
}

/// Answers one connection's requests, one after the other.
async fn converse(shared: Arc<Shared>, connection: Connection, stream: TcpStream) {
    if let Err(error) = prepare(&stream) {
        tracing::debug!(error = &error as &dyn std::error::Error, "prepare a connection");
        return;
    }
    let limits = &shared.limits;
    let guard = Guard::new(stream, limits.client());
    let connection = Arc::new(connection);
    let service = {
        let shared = Arc::clone(&shared);
        service_fn(move |request| request::handle(Arc::clone(&shared), Arc::clone(&connection), request))
    };
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        // Counts from the end of the request before: what ends quiet
        // connections. Slow heads are the guard's business.
        .header_read_timeout(limits.idle + limits.head_time)
        .max_headers(limits.headers)
        .max_header_size(limits.head)
        .max_buf_size(limits.head.max(BUFFER))
        .serve_connection(TokioIo::new(guard), service)
        .with_upgrades();
    let mut conversation = std::pin::pin!(conversation);
    let ended = tokio::select! {
        ended = &mut conversation => ended,
        () = shared.stop.cancelled() => {
            conversation.as_mut().graceful_shutdown();
            match shared.cut.run_until_cancelled(conversation).await {
                Some(ended) => ended,
                None => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = &error as &dyn std::error::Error, "a connection has ended");
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    rustix::net::sockopt::set_socket_keepalive(stream, true)?;
    rustix::net::sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
    rustix::net::sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL)?;
    rustix::net::sockopt::set_tcp_keepcnt(stream, KEEPALIVE_COUNT)?;
    Ok(())
}

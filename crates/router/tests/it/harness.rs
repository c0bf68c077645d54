//! What stands around the router: an upstream that says what it was asked, a
//! control that hands out a route table, and clients that speak bytes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use model::TenantId;
use model::tenant::{Serving, TenantState};
use protocol::client::{Client, Key};
use protocol::internal::{RouteEntry, Routes};
use router::{Limits, Router, RouterConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub const PLATFORM_KEY: &str = "platform-key";
/// For what takes no time but on a busy machine.
pub const SOON: Duration = Duration::from_secs(20);

pub fn entry(host: &str, upstream: Option<SocketAddr>) -> RouteEntry {
    RouteEntry {
        host: host.into(),
        tenant: TenantId::new(),
        name: host.split('.').next().unwrap().into(),
        state: TenantState::Active,
        serving: Serving::Serving,
        http: upstream.map(|address| address.to_string()),
        gevent: None,
        router_key: Some(format!("key-of-{host}")),
    }
}

/// Serves `/internal/routes` as control does.
pub struct Control {
    pub address: SocketAddr,
    routes: watch::Sender<Routes>,
    server: Option<JoinHandle<()>>,
}

impl Control {
    pub async fn start(routes: Vec<RouteEntry>) -> Self {
        let routes = watch::Sender::new(Routes { version: "v 1&?".into(), routes });
        let mut control = Self { address: "127.0.0.1:0".parse().unwrap(), routes, server: None };
        control.up().await;
        control
    }

    pub fn client(&self) -> Client {
        Client::new(&format!("http://{}", self.address), Key::new(PLATFORM_KEY))
    }

    pub fn set(&self, routes: Vec<RouteEntry>) {
        self.routes.send_modify(|table| {
            table.version = format!("{}+", table.version);
            table.routes = routes;
        });
    }

    /// Ends it with its connections, as a kill does.
    pub fn down(&mut self) {
        self.server.take().unwrap().abort();
    }

    pub async fn up(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let routes = self.routes.clone();
        self.server = Some(tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let routes = routes.subscribe();
                let service = service_fn(move |request| answer_routes(routes.clone(), request));
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        }));
    }
}

async fn answer_routes(
    mut routes: watch::Receiver<Routes>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    assert_eq!(request.uri().path(), "/internal/routes");
    assert_eq!(request.headers()["authorization"], format!("Bearer {PLATFORM_KEY}"));
    let parameter = |name: &str| {
        request
            .uri()
            .query()
            .unwrap_or("")
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    };
    let wait = Duration::from_millis(parameter("wait_ms").unwrap().parse().unwrap());
    if let Some(after) = parameter("after") {
        let after = percent_encoding::percent_decode_str(after).decode_utf8().unwrap().into_owned();
        let _ = tokio::time::timeout(wait, routes.wait_for(|table| table.version != after)).await;
    }
    let body = serde_json::to_vec(&*routes.borrow()).unwrap();
    Ok(Response::builder().header("content-type", "application/json").body(Full::from(body)).unwrap())
}

/// An upstream that closes after each answer, as Odoo does, and says in JSON
/// what it was asked.
pub struct Upstream {
    pub address: SocketAddr,
    pub hits: Arc<AtomicUsize>,
    server: JoinHandle<()>,
}

impl Upstream {
    pub async fn start(name: &'static str) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), name).await
    }

    pub async fn start_at(address: SocketAddr, name: &'static str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let hits = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&hits);
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let counted = Arc::clone(&counted);
                let service = service_fn(move |request| {
                    counted.fetch_add(1, Ordering::Relaxed);
                    echo(name, request)
                });
                let connection =
                    http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        Self { address, hits, server }
    }

    pub fn hits(&self) -> usize {
        self.hits.load(Ordering::Relaxed)
    }

    pub fn stop(&self) {
        self.server.abort();
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn echo(name: &str, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    if let Some(wait) = parts.uri.path().strip_prefix("/wait/") {
        tokio::time::sleep(Duration::from_millis(wait.parse().unwrap())).await;
    }
    let headers: Vec<_> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
        .collect();
    let said = serde_json::json!({
        "upstream": name,
        "method": parts.method.as_str(),
        "target": parts.uri.to_string(),
        "headers": headers,
        "length": body.len(),
        "body": String::from_utf8_lossy(&body[..body.len().min(100)]),
    });
    let response = Response::builder()
        .status(StatusCode::OK)
        .header("content-type", "application/json")
        .header("set-cookie", "a=1")
        .header("set-cookie", "b=2")
        .header("keep-alive", "timeout=5")
        .header("x-heddle-secret", "x");
    Ok(response.body(Full::from(said.to_string())).unwrap())
}

/// An upstream that treats each connection as `act` does. Counts connections.
pub async fn raw_upstream<F, A>(act: A) -> (SocketAddr, Arc<AtomicUsize>)
where
    F: Future<Output = ()> + Send + 'static,
    A: Fn(TcpStream, usize) -> F + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(act(stream, counted.fetch_add(1, Ordering::Relaxed)));
        }
    });
    (address, count)
}

/// A router that runs, with its control.
pub struct Platform {
    pub control: Control,
    pub address: SocketAddr,
    pub stop: CancellationToken,
    pub router: JoinHandle<()>,
    pub folder: tempfile::TempDir,
}

impl Platform {
    pub async fn start(routes: Vec<RouteEntry>) -> Self {
        Self::start_with(routes, Limits::default()).await
    }

    pub async fn start_with(routes: Vec<RouteEntry>, limits: Limits) -> Self {
        let control = Control::start(routes).await;
        let folder = tempfile::tempdir().unwrap();
        let platform = Self::start_router(control, folder, limits);
        platform.wait_for_table().await;
        platform
    }

    pub fn start_router(control: Control, folder: tempfile::TempDir, limits: Limits) -> Self {
        let mut config = RouterConfig::new(
            vec!["127.0.0.1:0".parse().unwrap()],
            control.client(),
            folder.path().join("routes.json"),
        );
        config.limits = limits;
        let router = Router::bind(config).unwrap();
        let address = router.addresses()[0];
        let stop = CancellationToken::new();
        let router = tokio::spawn(router.serve(stop.clone()));
        Self { control, address, stop, router, folder }
    }

    async fn wait_for_table(&self) {
        eventually(async || self.get("no.such.host", "/").await.status == 404).await;
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes and reads until the router closes.
    pub async fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_ref()).await.unwrap();
        read_to_end(&mut stream).await
    }

    pub async fn send(&self, request: &str) -> Reply {
        Reply::parse(&self.raw(request).await)
    }

    pub async fn get(&self, host: &str, target: &str) -> Reply {
        self.send(&format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await
    }
}

pub async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(SOON, stream.read_to_end(&mut bytes)).await;
    assert!(read.is_ok(), "still open after {:?}", String::from_utf8_lossy(&bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads until the bytes hold `end`.
pub async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    let read = async {
        while !String::from_utf8_lossy(&bytes).contains(end) {
            let mut piece = [0; 4096];
            let count = stream.read(&mut piece).await.unwrap();
            assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&bytes));
            bytes.extend_from_slice(&piece[..count]);
        }
    };
    tokio::time::timeout(SOON, read).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

pub async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, wait).await.expect("did not come to hold");
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    pub fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// What the upstream says it was asked.
    pub fn said(&self) -> Said {
        assert_eq!(self.status, 200, "{self:?}");
        Said(serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}")))
    }
}

pub struct Said(pub serde_json::Value);

impl Said {
    pub fn upstream(&self) -> &str {
        self.0["upstream"].as_str().unwrap()
    }

    pub fn target(&self) -> &str {
        self.0["target"].as_str().unwrap()
    }

    pub fn header(&self, name: &str) -> Vec<&str> {
        let headers = self.0["headers"].as_array().unwrap();
        headers.iter().filter(|pair| pair[0] == name).map(|pair| pair[1].as_str().unwrap()).collect()
    }
}

/// Something written by one task and looked at by another.
pub type Noted<T> = Arc<Mutex<T>>;

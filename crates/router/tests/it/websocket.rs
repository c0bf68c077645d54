//! WebSockets pass both ways, to where live requests go.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use crate::harness::{Noted, Platform, SOON, Upstream, entry, read_to_end};

/// Answers each message with itself; counts those that it was left by.
struct Gevent {
    address: SocketAddr,
    heads: Noted<Vec<http::HeaderMap>>,
    left: Noted<usize>,
}

async fn gevent() -> Gevent {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gevent =
        Gevent { address: listener.local_addr().unwrap(), heads: Arc::default(), left: Arc::default() };
    let (heads, left) = (Arc::clone(&gevent.heads), Arc::clone(&gevent.left));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(converse(stream, Arc::clone(&heads), Arc::clone(&left)));
        }
    });
    gevent
}

async fn converse(stream: TcpStream, heads: Noted<Vec<http::HeaderMap>>, left: Noted<usize>) {
    #[expect(clippy::result_large_err, reason = "the library's signature")]
    let note = |request: &Request, mut response: Response| {
        heads.lock().unwrap().push(request.headers().clone());
        if let Some(protocol) = request.headers().get("sec-websocket-protocol") {
            response.headers_mut().insert("sec-websocket-protocol", protocol.clone());
        }
        Ok(response)
    };
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, note).await else {
        return;
    };
    // It speaks first, at once: nothing may be lost in the switch.
    socket.send(Message::text("hello")).await.unwrap();
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text() || message.is_binary() {
            socket.send(message).await.unwrap();
        }
    }
    *left.lock().unwrap() += 1;
}

async fn open(platform: &Platform) -> WebSocketStream<TcpStream> {
    let stream = platform.connect().await;
    let (socket, response) =
        tokio_tungstenite::client_async("ws://acme.localhost/websocket", stream).await.unwrap();
    assert_eq!(response.status(), 101);
    socket
}

async fn platform(gevent: &Gevent) -> (Platform, Upstream) {
    let http = Upstream::start("http").await;
    let mut acme = entry("acme.localhost", Some(http.address));
    acme.gevent = Some(gevent.address.to_string());
    (Platform::start(vec![acme]).await, http)
}

#[tokio::test]
async fn messages_pass_both_ways_however_large() {
    let gevent = gevent().await;
    let (platform, http) = platform(&gevent).await;
    let mut socket = open(&platform).await;
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));
    let large: Vec<u8> = (0..8u32 << 20).map(|n| (n * 7 + n / 251) as u8).collect();
    for message in [
        Message::text("one"),
        Message::binary(vec![0, 10, 13, 255, 0]),
        Message::binary(b"\r\n\r\nGET / HTTP/1.1\nHost: globex\r\nHost: x\r\n\r\n".to_vec()),
        Message::text(""),
        Message::binary(large),
    ] {
        socket.send(message.clone()).await.unwrap();
        let echoed = tokio::time::timeout(SOON, socket.next()).await.unwrap().unwrap().unwrap();
        assert!(echoed == message);
    }
    socket.close(None).await.unwrap();
    while socket.next().await.is_some() {}
    crate::harness::eventually(async || *gevent.left.lock().unwrap() == 1).await;
    assert_eq!(http.hits(), 0);
}

#[tokio::test]
async fn the_upgrade_is_asked_for_as_odoo_compares_it() {
    let gevent = gevent().await;
    let (platform, _http) = platform(&gevent).await;
    let request = "GET /websocket?version=18.0-7 HTTP/1.1\r\nHost: acme.localhost:8080\r\n\
                   Connection: keep-alive, upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: odoo\r\n\
                   X-Heddle-Router: forged\r\nX-Odoo-Database: globex\r\nOrigin: http://acme.localhost:8080\r\n\r\n";
    let mut client = platform.connect().await;
    client.write_all(request.as_bytes()).await.unwrap();
    let text = crate::harness::read_until(&mut client, "hello").await.to_ascii_lowercase();
    assert!(text.starts_with("http/1.1 101 "), "{text}");
    for line in ["connection: upgrade", "upgrade: websocket", "sec-websocket-protocol: odoo"] {
        assert!(text.contains(line), "{text}");
    }
    assert!(text.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{text}");
    let heads = gevent.heads.lock().unwrap();
    let head = &heads[0];
    for (name, value) in [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("host", "acme.localhost:8080"),
        ("x-forwarded-host", "acme.localhost:8080"),
        ("x-heddle-router", "key-of-acme.localhost"),
        ("origin", "http://acme.localhost:8080"),
        ("sec-websocket-version", "13"),
    ] {
        assert_eq!(head[name], value, "{name}");
    }
    assert!(!head.contains_key("x-odoo-database"));
}

#[tokio::test]
async fn one_that_leaves_is_noticed_by_the_other() {
    let gevent = gevent().await;
    let (platform, _http) = platform(&gevent).await;
    let socket = open(&platform).await;
    drop(socket);
    crate::harness::eventually(async || *gevent.left.lock().unwrap() == 1).await;
}

#[tokio::test]
async fn a_quiet_one_stays_open_and_ends_when_the_router_stops() {
    let gevent = gevent().await;
    let (platform, _http) = platform(&gevent).await;
    let mut socket = open(&platform).await;
    socket.next().await.unwrap().unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(1), socket.next()).await.is_err());
    platform.stop.cancel();
    tokio::time::timeout(SOON, platform.router).await.unwrap().unwrap();
    assert!(!matches!(socket.next().await, Some(Ok(_))));
}

#[tokio::test]
async fn without_consent_it_is_an_ordinary_answer_and_the_connection_ends() {
    let http = Upstream::start("http").await;
    let platform = Platform::start(vec![entry("acme.localhost", Some(http.address))]).await;
    let request = "GET /websocket HTTP/1.1\r\nHost: acme.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut client = platform.connect().await;
    client.write_all(request.as_bytes()).await.unwrap();
    client.write_all(b"GET /hidden HTTP/1.1\r\nHost: acme.localhost\r\n\r\n").await.unwrap();
    let text = read_to_end(&mut client).await;
    assert!(text.starts_with("HTTP/1.1 200 ") && !text.contains("/hidden"), "{text}");
    assert_eq!(http.hits(), 1);
    // Not a GET, or of HTTP/1.0: no WebSocket is asked for at all.
    for request in [request.replace("GET", "POST"), request.replace("1.1", "1.0")] {
        let said = platform.send(&request).await.said();
        assert!(said.header("upgrade").is_empty() && said.header("connection").is_empty());
    }
}

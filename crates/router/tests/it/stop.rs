//! Taking ports, and giving them back in order.

use std::time::{Duration, Instant};

use protocol::client::{Client, Key};
use router::{Limits, Router, RouterConfig, RouterError};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::harness::{Platform, SOON, Upstream, entry, eventually, read_to_end};

fn config(listen: &[&str]) -> RouterConfig {
    let listen = listen.iter().map(|address| address.parse().unwrap()).collect();
    let nobody = Client::new("http://127.0.0.1:1", Key::new("key"));
    RouterConfig::new(listen, nobody, "/nonexistent/routes.json".into())
}

#[tokio::test]
async fn a_port_in_use_is_named_with_what_to_do() {
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = other.local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let error = router::run(config(&["127.0.0.1:0", &address]), CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("listen on {address}"));
    assert_eq!(
        error.hint("router.listen"),
        format!(
            "another program listens on port {port} already; stop it, or set `router.listen` to another port"
        )
    );
}

#[tokio::test]
async fn an_address_of_another_machine_and_none_at_all_are_refused() {
    let error = Router::bind(config(&["192.0.2.1:8080"])).err().unwrap();
    assert!(error.hint("listen").contains("does not have the address 192.0.2.1"), "{}", error.hint("listen"));
    assert!(matches!(Router::bind(config(&[])), Err(RouterError::NoAddress)));
}

#[tokio::test]
async fn both_protocols_share_a_port() {
    let first = Router::bind(config(&["[::]:0"])).unwrap();
    let port = first.addresses()[0].port();
    Router::bind(config(&[&format!("0.0.0.0:{port}")])).unwrap();
}

#[tokio::test]
async fn requests_under_way_are_finished() {
    let upstream = Upstream::start("acme").await;
    let platform = Platform::start(vec![entry("acme.localhost", Some(upstream.address))]).await;
    let mut busy = platform.connect().await;
    busy.write_all(b"GET /wait/1000 HTTP/1.1\r\nHost: acme.localhost\r\n\r\n").await.unwrap();
    let mut idle = platform.connect().await;
    eventually(async || upstream.hits() == 1).await;

    platform.stop.cancel();
    assert_eq!(read_to_end(&mut idle).await, "");
    eventually(async || TcpStream::connect(platform.address).await.is_err()).await;
    assert!(!platform.router.is_finished());
    assert!(read_to_end(&mut busy).await.starts_with("HTTP/1.1 200 "));
    tokio::time::timeout(SOON, platform.router).await.unwrap().unwrap();
}

#[tokio::test]
async fn grace_ends() {
    let upstream = Upstream::start("acme").await;
    let limits = Limits { grace: Duration::from_millis(300), ..Limits::default() };
    let platform = Platform::start_with(vec![entry("acme.localhost", Some(upstream.address))], limits).await;
    let mut busy = platform.connect().await;
    busy.write_all(b"GET /wait/60000 HTTP/1.1\r\nHost: acme.localhost\r\n\r\n").await.unwrap();
    eventually(async || upstream.hits() == 1).await;
    let begun = Instant::now();
    platform.stop.cancel();
    assert_eq!(read_to_end(&mut busy).await, "");
    tokio::time::timeout(SOON, platform.router).await.unwrap().unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

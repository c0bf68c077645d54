//! Connections are kept, and there are only so many.

use std::time::Duration;

use router::Limits;
use tokio::io::AsyncWriteExt;

use crate::harness::{Platform, Upstream, entry, read_until};

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let upstream = Upstream::start("acme").await;
    let platform = Platform::start(vec![entry("acme.localhost", Some(upstream.address))]).await;
    let mut client = platform.connect().await;
    for n in 0..20 {
        // The platform's own pages keep it, too.
        let host = if n % 5 == 4 { "nobody.localhost" } else { "acme.localhost" };
        let end = if n % 5 == 4 { "</html>\n" } else { "\"}" };
        client.write_all(format!("GET /{n} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await.unwrap();
        read_until(&mut client, end).await;
    }
    assert_eq!(upstream.hits(), 16);
}

#[tokio::test]
async fn further_clients_wait_until_there_is_a_place() {
    let upstream = Upstream::start("acme").await;
    let limits = Limits { connections: 2, ..Limits::default() };
    let platform = Platform::start_with(vec![entry("acme.localhost", Some(upstream.address))], limits).await;
    let request = b"GET / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n";
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut client = platform.connect().await;
        client.write_all(request).await.unwrap();
        read_until(&mut client, "\"}").await;
        kept.push(client);
    }
    let mut third = platform.connect().await;
    third.write_all(request).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(300), third.readable()).await;
    assert!(early.is_err(), "answered without a place");
    kept.pop();
    read_until(&mut third, "\"}").await;
}

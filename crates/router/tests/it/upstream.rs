//! Odoos that are away for a moment, or for longer.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;

use crate::harness::{Platform, Upstream, entry, raw_upstream};

#[tokio::test]
async fn one_that_comes_back_within_two_seconds_is_waited_for() {
    let upstream = Upstream::start("acme").await;
    let address = upstream.address;
    let platform = Platform::start(vec![entry("acme.localhost", Some(address))]).await;
    upstream.stop();
    drop(upstream);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let back = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        Upstream::start_at(address, "back").await
    };
    let post =
        "POST / HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    // The upstream must outlive the answers.
    let (get, post, _back) = tokio::join!(platform.get("acme.localhost", "/"), platform.send(post), back);
    assert_eq!(get.said().upstream(), "back");
    assert_eq!(post.said().0["body"], "hello");
}

#[tokio::test]
async fn one_that_has_moved_is_found_where_it_is_now() {
    let (old, new) = (Upstream::start("old").await, Upstream::start("new").await);
    let platform = Platform::start(vec![entry("acme.localhost", Some(old.address))]).await;
    drop(old);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let moved = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        platform.control.set(vec![entry("acme.localhost", Some(new.address))]);
    };
    let (reply, ()) = tokio::join!(platform.get("acme.localhost", "/"), moved);
    assert_eq!(reply.said().upstream(), "new");
}

#[tokio::test]
async fn one_that_stays_away_is_given_up() {
    let gone = Upstream::start("acme").await.address;
    let platform = Platform::start(vec![entry("acme.localhost", Some(gone))]).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let begun = Instant::now();
    let reply = platform.get("acme.localhost", "/").await;
    assert_eq!((reply.status, reply.header("retry-after")), (502, Some("5")));
    assert!(reply.body.contains("did not answer"));
    assert!(begun.elapsed() > Duration::from_secs(1) && begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn only_what_may_be_asked_twice_is() {
    // Takes a request, and leaves without a word.
    let (address, count) = raw_upstream(|mut stream, _| async move {
        let _ = stream.read(&mut [0; 4096]).await;
    })
    .await;
    let platform = Platform::start(vec![entry("acme.localhost", Some(address))]).await;
    for (request, asked) in [
        ("GET / HTTP/1.1\r\n\r\n", 2),
        ("HEAD / HTTP/1.1\r\n\r\n", 2),
        ("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 1),
        ("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 1),
        ("GET / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 1),
        ("DELETE / HTTP/1.1\r\n\r\n", 1),
    ] {
        count.store(0, Ordering::Relaxed);
        let request = request.replacen("\r\n", "\r\nHost: acme.localhost\r\nConnection: close\r\n", 1);
        assert_eq!(platform.send(&request).await.status, 502, "{request}");
        assert_eq!(count.load(Ordering::Relaxed), asked, "{request}");
    }
}

#[tokio::test]
async fn nonsense_is_not_passed_on() {
    use tokio::io::AsyncWriteExt;
    let (address, _) = raw_upstream(|mut stream, n| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        let answers =
            ["SSH-2.0-x\r\n\r\n", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"];
        let _ = stream.write_all(answers[n % 2].as_bytes()).await;
    })
    .await;
    let platform = Platform::start(vec![entry("acme.localhost", Some(address))]).await;
    for _ in 0..2 {
        assert_eq!(platform.get("acme.localhost", "/").await.status, 502);
    }
}

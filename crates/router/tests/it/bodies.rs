//! Bodies stream both ways, within limits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use router::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::harness::{
    Noted, Platform, Reply, SOON, Upstream, entry, eventually, raw_upstream, read_to_end, read_until,
};

const LARGE: usize = 50 << 20;
/// What sockets and the router hold between two sides of which one does not
/// read: the system's buffers, which it may let grow to some megabytes each.
const HELD_AT_MOST: usize = 24 << 20;

/// Writes until nothing is taken for a while, and returns how much was.
async fn write_until_full(stream: &mut TcpStream, most: usize) -> usize {
    let piece = vec![b'x'; 64 << 10];
    let mut written = 0;
    while written < most {
        let part = &piece[..piece.len().min(most - written)];
        match tokio::time::timeout(Duration::from_millis(500), stream.write(part)).await {
            Ok(count) => written += count.unwrap(),
            Err(_) => break,
        }
    }
    written
}

#[tokio::test]
async fn an_upload_streams_at_the_pace_of_its_upstream() {
    let go = Arc::new(Notify::new());
    let (address, _) = raw_upstream({
        let go = Arc::clone(&go);
        move |mut stream, _| {
            let go = Arc::clone(&go);
            async move {
                go.notified().await;
                let head = read_until_head(&mut stream).await;
                let mut count = head.1.len();
                let mut piece = vec![0; 64 << 10];
                while count < LARGE {
                    count += stream.read(&mut piece).await.unwrap();
                }
                let body = format!("took {count}");
                let answer = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let platform = Platform::start(vec![entry("acme.localhost", Some(address))]).await;
    let mut client = platform.connect().await;
    let head = format!("POST /up HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: {LARGE}\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let held = write_until_full(&mut client, LARGE).await;
    assert!(held < HELD_AT_MOST, "{held} bytes of an upload that nobody reads were taken");
    go.notify_one();
    let rest = vec![b'x'; LARGE - held];
    client.write_all(&rest).await.unwrap();
    let text = read_until(&mut client, "took").await;
    assert!(text.contains(&format!("took {LARGE}")), "{text}");
}

/// Reads a head, and returns it with what of the body came along.
async fn read_until_head(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).await.unwrap();
        bytes.extend_from_slice(&piece[..count]);
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return (String::from_utf8(bytes).unwrap(), rest);
        }
        assert!(count > 0);
    }
}

#[tokio::test]
async fn a_download_streams_at_the_pace_of_its_client() {
    let sent: Noted<usize> = Noted::default();
    let (address, _) = raw_upstream({
        let sent = Arc::clone(&sent);
        move |mut stream, _| {
            let sent = Arc::clone(&sent);
            async move {
                read_until_head(&mut stream).await;
                // As Odoo answers: HTTP/1.0, its end the connection's.
                stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Type: x/y\r\n\r\n").await.unwrap();
                let piece = vec![b'y'; 64 << 10];
                for _ in 0..LARGE / piece.len() {
                    stream.write_all(&piece).await.unwrap();
                    *sent.lock().unwrap() += piece.len();
                }
            }
        }
    })
    .await;
    let platform = Platform::start(vec![entry("acme.localhost", Some(address))]).await;
    let mut client = platform.connect().await;
    client
        .write_all(b"GET /down HTTP/1.1\r\nHost: acme.localhost\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut before = usize::MAX;
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = *sent.lock().unwrap();
        if now == before && now > 0 {
            break;
        }
        before = now;
    }
    assert!(before < HELD_AT_MOST, "{before} bytes of a download that nobody reads were taken");
    let text = read_to_end(&mut client).await;
    let body = &text[text.find("\r\n\r\n").unwrap()..];
    assert_eq!(body.bytes().filter(|&b| b == b'y').count(), LARGE);
    assert!(text.ends_with("\r\n0\r\n\r\n"));
}

#[tokio::test]
async fn a_download_that_breaks_off_is_not_made_to_look_whole() {
    let (address, _) = raw_upstream(|mut stream, _| async move {
        read_until_head(&mut stream).await;
        stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 1000\r\n\r\nhalf").await.unwrap();
    })
    .await;
    let platform = Platform::start(vec![entry("acme.localhost", Some(address))]).await;
    let reply = platform.get("acme.localhost", "/").await;
    assert_eq!((reply.status, reply.header("content-length"), &*reply.body), (200, Some("1000"), "half"));
}

#[tokio::test]
async fn an_answer_is_passed_on_as_it_comes() {
    let (address, _) = raw_upstream(|mut stream, _| async move {
        read_until_head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
            .await
            .unwrap();
        read_until(&mut stream, "never").await;
    })
    .await;
    let platform = Platform::start(vec![entry("acme.localhost", Some(address))]).await;
    let mut client = platform.connect().await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n").await.unwrap();
    read_until(&mut client, "first").await;
}

#[tokio::test]
async fn bodies_have_a_limit() {
    let upstream = Upstream::start("acme").await;
    let limits = Limits { body: 1000, ..Limits::default() };
    let platform = Platform::start_with(vec![entry("acme.localhost", Some(upstream.address))], limits).await;
    let post = "POST / HTTP/1.1\r\nHost: acme.localhost\r\nConnection: close\r\n";
    let body = "x".repeat(1000);

    let reply = platform.send(&format!("{post}Content-Length: 1000\r\n\r\n{body}")).await;
    assert_eq!(reply.said().0["length"], 1000);
    let reply =
        platform.send(&format!("{post}Transfer-Encoding: chunked\r\n\r\n3e8\r\n{body}\r\n0\r\n\r\n")).await;
    assert_eq!(reply.said().0["length"], 1000);
    let hits = upstream.hits();

    // A length that says so is refused before anything of the body is taken.
    let reply = platform.send(&format!("{post}Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n")).await;
    assert_eq!(reply.status, 413);
    assert_eq!(upstream.hits(), hits);
    let reply = platform
        .send(&format!("{post}Transfer-Encoding: chunked\r\n\r\n3e8\r\n{body}\r\n1\r\nx\r\n0\r\n\r\n"))
        .await;
    assert_eq!(reply.status, 413);
}

/// A client that writes all before it reads gets its answer nevertheless.
#[tokio::test]
async fn a_refusal_survives_a_body_under_way() {
    let upstream = Upstream::start("acme").await;
    let limits = Limits { body: 1000, ..Limits::default() };
    let platform = Platform::start_with(vec![entry("acme.localhost", Some(upstream.address))], limits).await;
    for _ in 0..5 {
        let mut client = platform.connect().await;
        let head = "POST / HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: 4000000\r\n\r\n";
        client.write_all(head.as_bytes()).await.unwrap();
        client.write_all(&vec![b'x'; 4_000_000]).await.unwrap();
        let reply = Reply::parse(&read_to_end(&mut client).await);
        assert_eq!(reply.status, 413);
    }
}

#[tokio::test]
async fn a_body_is_asked_for_once_somebody_takes_it() {
    let upstream = Upstream::start("acme").await;
    let platform = Platform::start(vec![entry("acme.localhost", Some(upstream.address))]).await;
    let post = "POST / HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: 5\r\nConnection: close\r\n";
    let mut client = platform.connect().await;
    client.write_all(format!("{post}Expect: 100-continue\r\n\r\n").as_bytes()).await.unwrap();
    assert_eq!(read_until(&mut client, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"hello").await.unwrap();
    let said = Reply::parse(&read_to_end(&mut client).await).said();
    assert_eq!(said.0["body"], "hello");
    assert!(said.header("expect").is_empty());

    let unknown = post.replace("acme", "nobody");
    let reply = platform.send(&format!("{unknown}Expect: 100-continue\r\n\r\n")).await;
    assert_eq!(reply.status, 404);
    assert_eq!(platform.send(&format!("{post}Expect: x\r\n\r\nhello")).await.status, 417);
}

#[tokio::test]
async fn long_polls_wait_and_clients_who_leave_are_noticed() {
    let left: Noted<bool> = Noted::default();
    let (silent, _) = raw_upstream({
        let left = Arc::clone(&left);
        move |mut stream, _| {
            let left = Arc::clone(&left);
            async move {
                read_until_head(&mut stream).await;
                let ended = stream.read(&mut [0; 10]).await;
                *left.lock().unwrap() = matches!(ended, Ok(0) | Err(_));
            }
        }
    })
    .await;
    let upstream = Upstream::start("acme").await;
    // Nothing here may depend on the time that heads and bodies have.
    let limits = Limits {
        head_time: Duration::from_millis(300),
        body_stall: Duration::from_millis(300),
        answer_stall: Duration::from_millis(300),
        idle: Duration::from_millis(300),
        ..Limits::default()
    };
    let routes =
        vec![entry("acme.localhost", Some(upstream.address)), entry("silent.localhost", Some(silent))];
    let platform = Platform::start_with(routes, limits).await;

    let begun = Instant::now();
    platform.get("acme.localhost", "/wait/2000").await.said();
    assert!(begun.elapsed() >= Duration::from_secs(2));

    let mut client = platform.connect().await;
    client
        .write_all(
            b"POST /longpolling/poll HTTP/1.1\r\nHost: silent.localhost\r\nContent-Length: 2\r\n\r\n{}",
        )
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!*left.lock().unwrap());
    drop(client);
    eventually(async || *left.lock().unwrap()).await;
}

#[tokio::test]
async fn clients_who_stall_are_let_go() {
    let upstream = Upstream::start("acme").await;
    let limits = Limits {
        head_time: Duration::from_millis(500),
        body_stall: Duration::from_millis(500),
        idle: Duration::from_millis(1500),
        ..Limits::default()
    };
    let platform = Platform::start_with(vec![entry("acme.localhost", Some(upstream.address))], limits).await;
    let request = "GET / HTTP/1.1\r\nHost: acme.localhost\r\n\r\n";

    // A head whose bytes trickle, each in time.
    let mut client = platform.connect().await;
    let begun = Instant::now();
    let trickle = async {
        for byte in request.bytes().cycle() {
            if client.write_all(&[byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            if begun.elapsed() > SOON {
                panic!("a slow head was waited for");
            }
            let mut peeked = [0];
            if matches!(
                tokio::time::timeout(Duration::from_millis(1), client.peek(&mut peeked)).await,
                Ok(Ok(0) | Err(_))
            ) {
                break;
            }
        }
    };
    trickle.await;
    assert_eq!(upstream.hits(), 0);

    // A head that stops, a body that stops, a connection that stays quiet.
    assert_eq!(platform.raw("GET / HTTP/1.1\r\nHost: ac").await, "");
    let stopped = "POST / HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: 5\r\n\r\nhe";
    let text = platform.raw(stopped).await;
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 400 "), "{text}");
    let begun = Instant::now();
    assert!(platform.raw(request).await.starts_with("HTTP/1.1 200 "));
    assert!(begun.elapsed() >= Duration::from_millis(1500));
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_upload_arrives() {
    let (address, _) = raw_upstream(|mut stream, _| async move {
        read_until_head(&mut stream).await;
        stream.write_all(b"HTTP/1.0 401 Unauthorized\r\nContent-Length: 4\r\n\r\nstop").await.unwrap();
        let mut scrap = vec![0; 64 << 10];
        while !matches!(stream.read(&mut scrap).await, Ok(0) | Err(_)) {}
    })
    .await;
    let platform = Platform::start(vec![entry("acme.localhost", Some(address))]).await;
    let mut client = platform.connect().await;
    client
        .write_all(b"POST / HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: 5000000\r\n\r\nhello")
        .await
        .unwrap();
    let text = read_until(&mut client, "stop").await;
    assert!(text.starts_with("HTTP/1.1 401 "), "{text}");
}

#[tokio::test]
async fn heads_alone_have_no_bodies() {
    let upstream = Upstream::start("acme").await;
    let platform = Platform::start(vec![entry("acme.localhost", Some(upstream.address))]).await;
    for host in ["acme.localhost", "nobody.localhost"] {
        let reply =
            platform.send(&format!("HEAD / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await;
        assert_eq!(reply.body, "");
        assert_ne!(reply.header("content-length"), Some("0"));
    }
    let options = "OPTIONS /web HTTP/1.1\r\nHost: acme.localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(platform.send(options).await.said().0["method"], "OPTIONS");
    // HTTP/1.0 gets an answer it can read: no chunks, and the connection ends.
    let old = platform.send("GET / HTTP/1.0\r\nHost: acme.localhost\r\n\r\n").await;
    assert!(old.header("transfer-encoding").is_none());
    old.said();
}

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use model::run::RunKind;
use protocol::internal::Outcome;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::ServiceExt;

use crate::site::Site;

/// Server-sent events, read as they come.
struct Stream {
    body: Body,
    read: String,
}

#[derive(Debug, Default, PartialEq)]
struct Sent {
    id: Option<i64>,
    name: String,
    data: String,
}

impl Stream {
    async fn open(site: &Site, path: &str, last: Option<i64>) -> Self {
        let mut request = Request::get(path).header("authorization", format!("Bearer {}", site.key));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = site.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body(), read: String::new() }
    }

    /// The next event, or None at the end.
    async fn next(&mut self) -> Option<Sent> {
        loop {
            if let Some((block, rest)) = self.read.split_once("\n\n") {
                let mut sent = Sent::default();
                for line in block.lines() {
                    match line.split_once(": ") {
                        Some(("id", id)) => sent.id = Some(id.parse().unwrap()),
                        Some(("event", name)) => sent.name = name.into(),
                        Some(("data", data)) => sent.data.push_str(data),
                        _ => {}
                    }
                }
                self.read = rest.to_owned();
                if sent != Sent::default() {
                    return Some(sent);
                }
                continue;
            }
            let frame = tokio::time::timeout(Duration::from_secs(20), self.body.frame());
            let frame = frame.await.expect("nothing was sent for too long")?;
            let bytes = frame.unwrap().into_data().unwrap();
            self.read.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    /// The message of the next event of the run's log.
    async fn message(&mut self) -> (i64, String) {
        loop {
            let sent = self.next().await.expect("the stream ended early");
            if sent.name == "event" {
                let event: Value = serde_json::from_str(&sent.data).unwrap();
                assert_eq!(event["id"], sent.id.unwrap());
                return (sent.id.unwrap(), event["message"].as_str().unwrap().to_owned());
            }
        }
    }
}

#[tokio::test]
async fn a_run_is_followed_resumed_and_ends() {
    let site = Site::new().await;
    let worker = site.with_environment().await;
    let new = json!({"environment": "demo/production", "name": "acme"});
    site.post("/api/v1/tenants", new).await.good::<Value>();
    let claimed = worker.claim(RunKind::Provision).await;
    let path = format!("/api/v1/runs/{}/stream", claimed.run);

    let mut stream = Stream::open(&site, &path, None).await;
    worker.say(&claimed, "first").await;
    let (mut last, mut message) = stream.message().await;
    while message != "first" {
        (last, message) = stream.message().await;
    }
    drop(stream);
    worker.say(&claimed, "while away").await;

    let mut stream = Stream::open(&site, &path, Some(last)).await;
    assert_eq!(stream.message().await.1, "while away");
    worker.say(&claimed, "live").await;
    assert_eq!(stream.message().await.1, "live");
    worker.finish(&claimed, Outcome::Failed { reason: "no room".into(), hint: None }).await;
    let mut names = Vec::new();
    let mut end = None;
    while let Some(sent) = stream.next().await {
        names.push(sent.name.clone());
        if sent.name == "end" {
            end = Some(serde_json::from_str::<Value>(&sent.data).unwrap());
        }
    }
    assert_eq!(names.last().unwrap(), "end", "{names:?}");
    assert!(names.contains(&"run".into()), "{names:?}");
    let end = end.unwrap();
    assert_eq!((end["state"].as_str(), end["reason"].as_str()), (Some("failed"), Some("no room")));

    // Followed after its end, it is told whole, and ends.
    let mut stream = Stream::open(&site, &path, None).await;
    while stream.next().await.is_some() {}
}

#[tokio::test]
async fn a_stream_that_cannot_be_is_a_problem() {
    let site = Site::new().await;
    let path = "/api/v1/runs/00000000-0000-7000-8000-000000000000/stream";
    assert_eq!(site.get(path).await.problem().kind, "not-found");
    let mut request = site.request(axum::http::Method::GET, path, &site.key, None);
    request.headers_mut().insert("last-event-id", "seven".parse().unwrap());
    assert_eq!(site.send(request).await.problem().kind, "invalid");
}

#[tokio::test]
async fn streams_end_when_the_server_does() {
    let site = Site::new().await;
    let worker = site.with_environment().await;
    let new = json!({"environment": "demo/production", "name": "acme"});
    site.post("/api/v1/tenants", new).await.good::<Value>();
    let claimed = worker.claim(RunKind::Provision).await;

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = async move {
        let _ = stopped.await;
    };
    let served = tokio::spawn(web::serve(listener, site.router.clone(), shutdown));
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /api/v1/runs/{}/stream HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
        claimed.run, site.key
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut read = String::new();
    while !read.contains("event: run") {
        let mut buffer = [0; 4096];
        let count = socket.read(&mut buffer).await.unwrap();
        assert!(count > 0, "{read}");
        read.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(2), served)
        .await
        .expect("the server waits for a stream")
        .unwrap()
        .unwrap();
}

//! One connection to control, kept open: what a client costs must not be what
//! is measured.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use uuid::Uuid;

/// Where control listens, and who asks.
#[derive(Clone)]
pub struct Door {
    /// `127.0.0.1:7700`
    pub address: String,
    pub key: String,
    /// Whom the platform's own key speaks for.
    pub worker: Option<Uuid>,
}

impl Door {
    pub async fn open(&self) -> Result<Line> {
        let stream = TcpStream::connect(&self.address).await.context("connect to control")?;
        stream.set_nodelay(true)?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.context("speak HTTP with control")?;
        tokio::spawn(connection);
        let bearer = format!("Bearer {}", self.key);
        Ok(Line { sender, host: self.address.clone(), bearer, worker: self.worker.map(|id| id.to_string()) })
    }

    /// So many of them.
    pub async fn lines(&self, count: usize) -> Result<Vec<Line>> {
        futures::future::try_join_all((0..count).map(|_| self.open())).await
    }
}

pub struct Line {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    bearer: String,
    worker: Option<String>,
}

impl Line {
    pub async fn get(&mut self, path: &str) -> Result<Bytes> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    pub async fn post(&mut self, path: &str, body: impl Into<Bytes>) -> Result<Bytes> {
        self.ask(Method::POST, path, body.into()).await
    }

    pub async fn post_json(&mut self, path: &str, body: &Value) -> Result<Value> {
        let answer = self.post(path, body.to_string()).await?;
        serde_json::from_slice(&answer).with_context(|| format!("read the answer of {path}"))
    }

    async fn ask(&mut self, method: Method, path: &str, body: Bytes) -> Result<Bytes> {
        let answer = self.send(method, path, body).await?;
        let status = answer.status();
        let bytes = answer.into_body().collect().await.with_context(|| format!("read {path}"))?.to_bytes();
        ensure!(status.is_success(), "{path} answered {status}: {}", String::from_utf8_lossy(&bytes));
        Ok(bytes)
    }

    /// An answer that goes on for as long as it is read.
    pub async fn stream(mut self, path: &str) -> Result<Incoming> {
        let answer = self.send(Method::GET, path, Bytes::new()).await?;
        ensure!(answer.status().is_success(), "{path} answered {}", answer.status());
        Ok(answer.into_body())
    }

    async fn send(&mut self, method: Method, path: &str, body: Bytes) -> Result<Response<Incoming>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.host)
            .header(AUTHORIZATION, &self.bearer)
            .header(CONTENT_TYPE, "application/json");
        if let Some(worker) = &self.worker {
            request = request.header("heddle-worker", worker);
        }
        let request = request.body(Full::new(body))?;
        self.sender.ready().await.with_context(|| format!("ask for {path}"))?;
        self.sender.send_request(request).await.with_context(|| format!("ask for {path}"))
    }
}

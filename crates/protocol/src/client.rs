//! HTTP clients for both halves of the protocol.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use model::WorkerId;
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::Problem;

/// A key for control: an API key or the platform's own. Never shown.
#[derive(Clone)]
pub struct Key(String);

impl Key {
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Control could not be reached; whether the request was carried out is unknown.
    #[error("reach control at {url}")]
    Unreachable {
        url: String,
        #[source]
        source: reqwest::Error,
    },
    /// Control answered, and refused.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),
    #[error("understand control's answer to {path}")]
    Answer {
        path: String,
        #[source]
        source: reqwest::Error,
    },
}

impl ClientError {
    /// The refusal's HTTP status, if control answered.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(problem) => Some(problem.status),
            _ => None,
        }
    }
}

/// The header in which a worker says who it is.
pub const WORKER: &str = "heddle-worker";

/// Speaks to one control.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    key: Key,
    /// Shared by all clones.
    worker: Arc<OnceLock<WorkerId>>,
}

impl Client {
    /// `base` is control's address, such as `http://127.0.0.1:7700`.
    pub fn new(base: &str, key: Key) -> Self {
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(60))
            .no_proxy()
            .build()
            .expect("a client without TLS always builds");
        Self { http, base: base.trim_end_matches('/').to_owned(), key, worker: Arc::default() }
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    /// From now on this client and its clones speak for a worker, the one that
    /// they first spoke for.
    pub fn speak_for(&self, worker: WorkerId) {
        let _ = self.worker.set(worker);
    }

    pub async fn get<A: DeserializeOwned>(&self, path: &str) -> Result<A, ClientError> {
        self.send(Method::GET, path, None::<&()>, None).await
    }

    pub async fn post<A: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<A, ClientError> {
        self.send(Method::POST, path, Some(body), None).await
    }

    /// As `post`, with an idempotency key: sent twice, it is carried out once.
    pub async fn post_once<A: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        idempotency_key: &str,
    ) -> Result<A, ClientError> {
        self.send(Method::POST, path, Some(body), Some(idempotency_key)).await
    }

    /// Changes what is still at that version.
    pub async fn patch<A: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        version: i64,
    ) -> Result<A, ClientError> {
        self.conditional(Method::PATCH, path, body, Some(version)).await
    }

    pub async fn put<A: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        version: Option<i64>,
    ) -> Result<A, ClientError> {
        self.conditional(Method::PUT, path, body, version).await
    }

    async fn conditional<A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
        version: Option<i64>,
    ) -> Result<A, ClientError> {
        let version = version.map(|version| ("If-Match", format!("\"{version}\"")));
        let answer = self.sent(method, path, Some(body), version).await?;
        answer.json().await.map_err(|source| ClientError::Answer { path: path.to_owned(), source })
    }

    /// A request whose answer says no more than that it was carried out.
    pub async fn tell(&self, path: &str) -> Result<(), ClientError> {
        self.sent(Method::POST, path, None::<&()>, None).await.map(drop)
    }

    /// `version`: the one that must be there now.
    pub async fn delete(&self, path: &str, version: Option<i64>) -> Result<(), ClientError> {
        let version = version.map(|version| ("If-Match", format!("\"{version}\"")));
        self.sent(Method::DELETE, path, None::<&()>, version).await.map(drop)
    }

    async fn send<A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        idempotency_key: Option<&str>,
    ) -> Result<A, ClientError> {
        let key = idempotency_key.map(|key| ("Idempotency-Key", key.to_owned()));
        let answer = self.sent(method, path, body, key).await?;
        answer.json().await.map_err(|source| ClientError::Answer { path: path.to_owned(), source })
    }

    /// The answer to a request that was not refused.
    async fn sent(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        header: Option<(&str, String)>,
    ) -> Result<reqwest::Response, ClientError> {
        let url = format!("{}{path}", self.base);
        let mut request = self.http.request(method, &url).bearer_auth(&self.key.0);
        if let Some(worker) = self.worker.get() {
            request = request.header(WORKER, worker.to_string());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let unreachable =
            |source: reqwest::Error| ClientError::Unreachable { url: self.base.clone(), source };
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let text =
            answer.text().await.map_err(|source| ClientError::Answer { path: path.to_owned(), source })?;
        Err(ClientError::Refused(Box::new(problem(status, &text))))
    }
}

/// Control's problem, or one made up from an answer that was none.
fn problem(status: StatusCode, text: &str) -> Problem {
    serde_json::from_str(text).unwrap_or_else(|_| Problem {
        kind: "unknown".into(),
        title: status.canonical_reason().unwrap_or("Refused").into(),
        status: status.as_u16(),
        detail: format!("control answered {status}"),
        hint: None,
        request_id: String::new(),
    })
}

//! Queuing a run once per idempotency key.

use database::On;
use database::run::{About, NewRun, Unqueued};
use model::run::RunKind;
use model::{ProjectId, RunId};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{Asked, Error, Kind, Refusal, Result};

/// A request that queues a run: who asks, and what for under which key.
pub(crate) struct Once {
    requester: String,
    key: Option<(String, [u8; 32])>,
}

/// What came of queuing.
pub(crate) enum Queued {
    New(RunId),
    /// The same was asked before, under the same key: that run.
    Before(Box<database::run::Run>),
    /// The tenant has a run of this kind, of which there is one at a time.
    Busy(RunKind),
}

impl Once {
    /// `operation` and `target` tell requests with equal bodies apart.
    pub fn new(asked: &Asked, operation: &str, target: &str, body: &impl Serialize) -> Result<Self> {
        let key = match asked.idempotency_key.as_deref().map(str::trim) {
            None => None,
            Some(key) if key.is_empty() || key.len() > 200 => {
                return Err(Refusal::invalid("the idempotency key must have 1 to 200 characters").into());
            }
            Some(key) => {
                let body = serde_json::to_vec(body)
                    .map_err(|source| Error::Stored { what: "the request", source })?;
                let mut hash = Sha256::new();
                for part in [operation.as_bytes(), target.as_bytes(), &body] {
                    hash.update((part.len() as u64).to_be_bytes());
                    hash.update(part);
                }
                Some((key.to_owned(), hash.finalize().into()))
            }
        };
        Ok(Self { requester: asked.by.to_string(), key })
    }

    /// Control's own request; said twice, it counts once.
    pub fn platform(key: Option<&str>) -> Self {
        let requester = crate::Requester::Platform.to_string();
        Self { requester, key: key.map(|key| (key.to_owned(), Sha256::digest(key).into())) }
    }

    /// One of several runs that a request queues, each under a key of its own.
    pub fn under(by: crate::Requester, key: String) -> Self {
        let hash = Sha256::digest(&key).into();
        Self { requester: by.to_string(), key: Some((key, hash)) }
    }

    /// The run that was queued under the key before.
    pub async fn before(&self, on: &impl On) -> Result<Option<database::run::Run>> {
        let Some((key, hash)) = &self.key else { return Ok(None) };
        let Some(run) = database::run::by_key(on, &self.requester, key).await? else { return Ok(None) };
        if run.request_hash.as_deref() != Some(&hash[..]) {
            return Err(reused(key).into());
        }
        Ok(Some(run))
    }

    /// What was made under the key before, by a request that queues no run.
    pub async fn made(&self, on: &impl On) -> Result<Option<Uuid>> {
        let Some((key, hash)) = &self.key else { return Ok(None) };
        if self.before(on).await?.is_some() {
            return Err(reused(key).into());
        }
        let Some(request) = database::request::find(on, &self.requester, key).await? else { return Ok(None) };
        if request.request_hash != hash {
            return Err(reused(key).into());
        }
        Ok(Some(request.made))
    }

    /// Keeps what is being made with its key. False: the same request was
    /// quicker than itself, and nothing must be committed.
    pub async fn keep(&self, on: &impl On, made: Uuid) -> Result<bool> {
        match &self.key {
            Some((key, hash)) => Ok(database::request::insert(on, &self.requester, key, hash, made).await?),
            None => Ok(true),
        }
    }

    pub async fn queue(
        &self,
        on: &impl On,
        project: ProjectId,
        about: About,
        payload: Value,
    ) -> Result<Queued> {
        let mut new = NewRun::new(project, about);
        new.payload = Some(payload);
        self.queue_run(on, new).await
    }

    /// As `queue`, with all that can be said of a run.
    pub async fn queue_run(&self, on: &impl On, mut new: NewRun) -> Result<Queued> {
        let about = new.about;
        new.key = self.key.clone();
        let id = new.id;
        let unqueued = database::run::queue(on, &self.requester, &[new]).await?;
        Ok(match unqueued.first() {
            None => Queued::New(id),
            Some((_, Unqueued::Before(run))) => Queued::Before(Box::new(crate::run::find(on, *run).await?)),
            Some((_, Unqueued::Busy(_))) => Queued::Busy(about.kind()),
        })
    }
}

fn reused(key: &str) -> Refusal {
    Refusal::new(Kind::KeyReused, format!("the idempotency key {key:?} was used for another request"))
        .hint("use a new key for each new request")
}

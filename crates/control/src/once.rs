//! Queuing a run once per idempotency key.

use database::On;
use database::run::{About, NewRun};
use model::run::RunKind;
use model::{ProjectId, RunId};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

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
            let refusal = Refusal::new(
                Kind::KeyReused,
                format!("the idempotency key {key:?} was used for another request"),
            );
            return Err(refusal.hint("use a new key for each new request").into());
        }
        Ok(Some(run))
    }

    pub async fn queue(
        &self,
        on: &impl On,
        project: ProjectId,
        about: About,
        payload: Value,
    ) -> Result<Queued> {
        let new = NewRun {
            id: RunId::new(),
            project,
            about,
            payload,
            requester: &self.requester,
            key: self.key.as_ref().map(|(key, hash)| (key.as_str(), &hash[..])),
        };
        if database::run::insert(on, &new).await? {
            return Ok(Queued::New(new.id));
        }
        match self.before(on).await? {
            Some(run) => Ok(Queued::Before(Box::new(run))),
            None => Ok(Queued::Busy(about.kind())),
        }
    }
}

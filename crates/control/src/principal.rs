use std::sync::Arc;

use database::{Claims, Role};
use model::{ApiKeyId, UserId, WorkerId};

use crate::{Control, Requester};

/// Who asks, as far as they have proven it, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub requester: Requester,
    /// For whom: the session's user, or the one whose key it is. None for the
    /// installation's own keys.
    pub user: Option<UserId>,
    /// Where the request came from, and its id in the log.
    pub address: Option<String>,
    pub request: Option<String>,
}

impl Principal {
    /// A person with a session.
    pub fn user(user: UserId) -> Self {
        Self { requester: Requester::User(user), user: Some(user), address: None, request: None }
    }

    pub fn api_key(key: ApiKeyId, user: Option<UserId>) -> Self {
        Self { requester: Requester::ApiKey(key), user, address: None, request: None }
    }

    #[must_use]
    pub fn from(mut self, address: Option<String>, request: Option<String>) -> Self {
        self.address = address;
        self.request = request;
        self
    }

    fn claims(&self) -> Claims {
        let (role, key, via) = match self.requester {
            Requester::User(_) => (Role::User, None, "session"),
            Requester::ApiKey(key) => (Role::User, Some(key), "api_key"),
            Requester::Schedule(_) => (Role::Control, None, "schedule"),
            Requester::Platform => (Role::Control, None, "platform"),
        };
        let (address, request) = (self.address.clone(), self.request.clone());
        Claims { role, user: self.user, key, worker: None, via, address, request }
    }
}

impl Control {
    /// The same control for one who asks: what it does then is theirs, and the
    /// database lets them do what they may and no more.
    pub fn acting_as(&self, principal: &Principal) -> Self {
        self.claiming(principal.claims())
    }

    /// The same control for what a worker reports.
    pub fn as_worker(&self, worker: WorkerId) -> Self {
        self.claiming(Claims {
            role: Role::Worker,
            worker: Some(worker),
            via: "worker",
            ..Claims::platform()
        })
    }

    /// In whose name it acts.
    pub(crate) fn requester(&self) -> Requester {
        match (self.claims.role, self.claims.key, self.claims.user) {
            (Role::User, Some(key), _) => Requester::ApiKey(key),
            (Role::User, None, Some(user)) => Requester::User(user),
            _ => Requester::Platform,
        }
    }

    /// The same control for a schedule whose time has come.
    pub(crate) fn as_schedule(&self) -> Self {
        self.claiming(Claims { via: "schedule", ..Claims::platform() })
    }

    /// The same control on its own account, for what is nobody else's act.
    pub(crate) fn platform(&self) -> Self {
        self.claiming(Claims::platform())
    }

    /// The same control, for somebody of whom nothing is known but the address.
    pub(crate) fn for_stranger_at(&self, address: &str) -> Self {
        self.claiming(Claims { address: Some(address.to_owned()), ..Claims::platform() })
    }

    fn claiming(&self, claims: Claims) -> Self {
        Self { inner: self.inner.clone(), claims: Arc::new(claims) }
    }
}

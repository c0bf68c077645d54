use model::{ApiKeyId, UserId, WorkerId};

/// The database role that queries run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Control's own acts.
    Control,
    /// What a person or an API key asks for.
    User,
    /// What a worker reports.
    Worker,
}

impl Role {
    pub(crate) const ALL: [Self; 3] = [Self::Control, Self::User, Self::Worker];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::User => "user",
            Self::Worker => "worker",
        }
    }

    /// As connections to the server call themselves.
    pub(crate) fn application(self) -> &'static str {
        match self {
            Self::Control => "heddle-control",
            Self::User => "heddle-user",
            Self::Worker => "heddle-worker",
        }
    }

    /// What a connection turns into when it starts; control's stays what it
    /// has logged in as.
    pub(crate) fn turns_into(self) -> Option<&'static str> {
        match self {
            Self::Control => None,
            Self::User => Some("heddle_user"),
            Self::Worker => Some("heddle_worker"),
        }
    }
}

/// Who acts: said anew in every transaction, and ends with it. The schema's
/// policies and its audit believe it, so only what was verified belongs here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    pub role: Role,
    pub user: Option<UserId>,
    pub key: Option<ApiKeyId>,
    pub worker: Option<WorkerId>,
    /// Through what: `session`, `api_key`, `worker`, `schedule` or `platform`.
    pub via: &'static str,
    /// Where the request came from, and its id in the log.
    pub address: Option<String>,
    pub request: Option<String>,
}

impl Claims {
    /// Control on its own account.
    pub fn platform() -> Self {
        Self {
            role: Role::Control,
            user: None,
            key: None,
            worker: None,
            via: "platform",
            address: None,
            request: None,
        }
    }

    /// What `claims/set.sql` takes.
    pub(crate) fn values(&self) -> [String; 6] {
        let id = |id: Option<String>| id.unwrap_or_default();
        [
            id(self.user.map(|id| id.to_string())),
            id(self.key.map(|id| id.to_string())),
            self.via.to_owned(),
            self.address.clone().unwrap_or_default(),
            self.request.clone().unwrap_or_default(),
            id(self.worker.map(|id| id.to_string())),
        ]
    }
}

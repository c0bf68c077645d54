//! Decides and commits platform state. Every operation is one short
//! transaction on the `ops` schema; nothing in here runs a program or speaks to
//! another service.

mod asked;
mod error;
mod matter;
mod once;
mod permit;
mod principal;
mod redact;
mod seal;
mod secret;
mod settings;
mod slice;

mod alert;
mod api_key;
mod approval;
mod audit;
mod build;
mod claim;
mod environment;
mod fact;
mod finish;
mod lease;
mod log;
mod login;
mod maintenance_window;
mod member;
mod metric;
mod peek;
mod policy;
mod project;
mod queue;
mod restore;
mod route;
mod run;
mod schedule;
mod secret_store;
mod session;
mod snapshot;
mod status;
mod tenant;
mod user;
mod work;
mod worker;

pub mod reconcile;

pub use approval::ApprovalFilter;
pub use asked::{Asked, Requester};
pub use audit::{AuditFilter, AuditKey, Finding, FindingKind, PLATFORM, Verified, Verifier};
pub use error::{Error, Kind, Refusal, Result};
pub use principal::Principal;
pub use run::RunFilter;
pub use seal::{KeyError, new_key_file};
pub use session::{Session, SignedIn};
pub use settings::Settings;
pub use slice::Slice;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};

/// Long waits look again this often, whether or not they were woken: another
/// process may have changed what they wait for.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The control plane's operations. Cheap to clone. As it is connected it acts
/// on its own account; `acting_as` and `as_worker` bind it to who asks.
#[derive(Clone)]
pub struct Control {
    inner: Arc<Inner>,
    claims: Arc<database::Claims>,
}

/// A worker claims runs that stand alone, by the thousand, apart from all
/// others: what waits for the one is not woken by the other.
#[derive(Default)]
struct Queued {
    alone: Notify,
    others: Notify,
}

struct Inner {
    database: database::Pool,
    settings: Settings,
    /// Hints to those who wait in this process; a poll is the guarantee.
    queued: Queued,
    told: Notify,
    routed: Notify,
    questions: log::Desk,
    keyring: api_key::Keyring,
    key_file: seal::KeyFile,
    redactors: secret_store::Redactors,
    projects: project::Known,
    metrics: metric::Metrics,
    /// Hashing a password takes a core and 19 MiB; not many at once.
    hashing: Semaphore,
}

impl Control {
    /// Connects as the lesser role to a migrated database; refuses one that a
    /// newer Heddle has migrated. `url` is a PostgreSQL connection string.
    pub async fn connect(url: &str, settings: Settings) -> Result<Self> {
        let database = database::Pool::connect(url, database::Sizes::default()).await?;
        let key_file = seal::KeyFile::new(settings.secrets_key.clone());
        let inner = Inner {
            database,
            settings,
            queued: Queued::default(),
            told: Notify::new(),
            routed: Notify::new(),
            questions: log::Desk::default(),
            keyring: api_key::Keyring::default(),
            key_file,
            redactors: secret_store::Redactors::default(),
            projects: project::Known::default(),
            metrics: metric::Metrics::default(),
            hashing: Semaphore::new(2),
        };
        Ok(Self { inner: Arc::new(inner), claims: Arc::new(database::Claims::platform()) })
    }

    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// A connection on which every transaction says who acts.
    async fn database(&self) -> Result<database::Connection> {
        Ok(self.inner.database.get_as(&self.claims).await?)
    }

    /// After a commit that may have queued a run or freed a tenant.
    fn queued(&self) {
        self.inner.queued.alone.notify_waiters();
        self.inner.queued.others.notify_waiters();
    }

    /// After a commit that queued nothing but runs that stand alone.
    fn queued_alone(&self) {
        self.inner.queued.alone.notify_waiters();
    }

    /// After a commit that changed a run or appended to its events.
    fn told(&self) {
        self.inner.told.notify_waiters();
    }

    /// After a commit that changed what the router shows.
    fn routed(&self) {
        self.inner.routed.notify_waiters();
    }
}

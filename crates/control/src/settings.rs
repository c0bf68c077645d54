use std::path::PathBuf;
use std::time::Duration;

use model::retention::Retention;

use crate::AuditKey;

/// What control needs to know of its surroundings. Tests shorten the times.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Tenants are served at `<subdomain>.<base_domain>`.
    pub base_domain: String,
    /// Stands in tenants' addresses; 80 is left out.
    pub router_port: u16,
    /// What is kept of a tenant's history.
    pub retention: Retention,
    /// A tenant's history is looked through again for what is not kept any more
    /// this long after the last time.
    pub expire_every: Duration,
    /// A lease lives this long after each heartbeat.
    pub lease: Duration,
    /// A worker that is heard of gets this long to begin what it has claimed.
    pub to_begin: Duration,
    /// And this long to say anything of what it has begun.
    pub silence: Duration,
    /// And this long to stop what is past its deadline.
    pub to_stop: Duration,
    /// Months for which what runs said is kept, after the month itself.
    pub event_months: u32,
    /// A tenant's base backup is renewed this long after the last one.
    pub backup_every: Duration,
    /// A worker that was silent this long is shown as gone.
    pub worker_silence: Duration,
    /// A session that was idle this long ends.
    pub session_idle: Duration,
    /// The file with the keys that secrets' data keys are wrapped by.
    pub secrets_key: Option<PathBuf>,
    /// How long the answer of a worker to a question is waited for.
    pub answer_wait: Duration,
    /// Signs the audit's chains. Without one, nothing is sealed.
    pub audit_key: Option<AuditKey>,
    /// Where the heads that were signed last are kept, outside of the database:
    /// nothing is sealed onto a chain that has become shorter, or another.
    pub audit_heads: Option<PathBuf>,
    /// What alerts are opened by.
    pub alerts: model::alert::Thresholds,
    /// So many tenants get metrics of their own, those with the oldest backups.
    pub metrics_tenants: u32,
    /// Shown by `status`.
    pub version: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base_domain: "localhost".into(),
            router_port: 8080,
            retention: Retention::default(),
            expire_every: Duration::from_secs(24 * 60 * 60),
            lease: Duration::from_secs(10),
            to_begin: crate::reconcile::lease::TO_BEGIN,
            silence: crate::reconcile::lease::SILENCE,
            to_stop: crate::reconcile::lease::TO_STOP,
            event_months: 12,
            backup_every: Duration::from_secs(24 * 60 * 60),
            worker_silence: Duration::from_secs(15),
            session_idle: Duration::from_secs(12 * 60 * 60),
            secrets_key: None,
            answer_wait: Duration::from_secs(10),
            audit_key: None,
            audit_heads: None,
            alerts: model::alert::Thresholds::default(),
            metrics_tenants: 0,
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }
}

//! What `/metrics` shows: what this process has counted, and what the
//! database says at the moment.
//!
//! Labels come from enums and from names that operators give; nothing that
//! visitors or tenants choose becomes one, but for the few tenants that
//! `metrics_tenants` allows.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use model::run::{RunKind, RunState};
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::{Control, Result};

/// However often it is asked for, the database is asked no more often.
const FRESH: Duration = Duration::from_secs(1);

/// From a probe's milliseconds to a large restore's hours.
const DURATIONS: [f64; 14] =
    [0.01, 0.05, 0.25, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 14_400.0];

/// Label names with their values.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Labels<const N: usize>([(&'static str, String); N]);

impl<const N: usize> EncodeLabelSet for Labels<N> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> std::fmt::Result {
        self.0.as_slice().encode(encoder)
    }
}

fn labels<const N: usize>(pairs: [(&'static str, &str); N]) -> Labels<N> {
    Labels(pairs.map(|(name, value)| (name, value.to_owned())))
}

/// What this process has counted since it started.
pub(crate) struct Metrics {
    registry: Registry,
    claims: Family<Labels<1>, Counter>,
    finished: Family<Labels<2>, Counter>,
    durations: Family<Labels<1>, Histogram>,
    losses: Counter,
    failures: Family<Labels<1>, Counter>,
    /// What the database said, and when.
    said: tokio::sync::Mutex<Option<(Instant, String)>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("heddle");
        let claims = Family::default();
        registry.register("run_claims", "Runs that workers have claimed here", claims.clone());
        let finished = Family::default();
        registry.register("runs_finished", "Runs whose end was reported here", finished.clone());
        let histogram: fn() -> Histogram = || Histogram::new(DURATIONS);
        let durations = Family::new_with_constructor(histogram);
        registry.register(
            "run_duration_seconds",
            "Time from a run's last claim to its reported end",
            durations.clone(),
        );
        let losses = Counter::default();
        registry.register(
            "run_losses",
            "Runs that this control took from workers not heard of",
            losses.clone(),
        );
        let failures = Family::default();
        registry.register(
            "reconcile_failures",
            "Turns of a reconciler of this control that failed",
            failures.clone(),
        );
        let metrics = Self {
            registry,
            claims,
            finished,
            durations,
            losses,
            failures,
            said: tokio::sync::Mutex::default(),
        };
        metrics.begin();
        metrics
    }
}

impl Metrics {
    /// Counters that first show up as one look as if they had not grown.
    fn begin(&self) {
        for kind in RunKind::ALL {
            drop(self.claims.get_or_create(&labels([("kind", kind.as_str())])));
            for state in RunState::ALL.iter().filter(|state| state.ended()) {
                let of = labels([("kind", kind.as_str()), ("state", state.as_str())]);
                drop(self.finished.get_or_create(&of));
            }
        }
        for name in crate::reconcile::names() {
            drop(self.failures.get_or_create(&labels([("reconciler", name)])));
        }
    }

    pub fn claimed(&self, kind: RunKind, count: u64) {
        self.claims.get_or_create(&labels([("kind", kind.as_str())])).inc_by(count);
    }

    /// Of runs that stand alone; how long each took is not looked at.
    pub fn finished_alone(&self, kind: RunKind, state: RunState, count: u64) {
        self.finished
            .get_or_create(&labels([("kind", kind.as_str()), ("state", state.as_str())]))
            .inc_by(count);
    }

    pub fn finished(&self, kind: RunKind, state: RunState, started: Timestamp) {
        let (kind, took) = (kind.as_str(), Timestamp::now().duration_since(started));
        self.finished.get_or_create(&labels([("kind", kind), ("state", state.as_str())])).inc();
        self.durations.get_or_create(&labels([("kind", kind)])).observe(took.as_secs_f64().max(0.0));
    }

    pub fn lost(&self, runs: u32) {
        self.losses.inc_by(u64::from(runs));
    }

    pub fn reconcile_failed(&self, reconciler: &'static str) {
        self.failures.get_or_create(&labels([("reconciler", reconciler)])).inc();
    }
}

impl Control {
    /// Whether who asks may see what is counted of the whole installation: an
    /// operator, or a key of one that may read.
    pub async fn may_watch(&self) -> Result<bool> {
        Ok(database::metric::may_watch(&self.database().await?).await?)
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// In the text format of OpenMetrics, without its end: whoever serves it
    /// has metrics of their own.
    pub async fn metrics_text(&self) -> Result<String> {
        let mut text = {
            // One at a time: the others take what that one was told.
            let mut said = self.metrics().said.lock().await;
            match said.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
                Some((_, text)) => text.clone(),
                None => {
                    let text = self.platform().gauges().await?;
                    *said = Some((Instant::now(), text.clone()));
                    text
                }
            }
        };
        written(&mut text, &self.metrics().registry);
        Ok(text)
    }

    /// What the database says now.
    async fn gauges(&self) -> Result<String> {
        let mut gauges = Gauges::new();
        let family = gauges.family("build_info", "The version that runs");
        family.get_or_create(&labels([("version", self.settings().version.as_str())])).set(1.0);
        self.queue(&mut gauges).await?;
        self.tenants_and_workers(&mut gauges).await?;
        self.management(&mut gauges).await?;
        process(&mut gauges);
        Ok(gauges.text())
    }

    async fn queue(&self, gauges: &mut Gauges) -> Result<()> {
        let runs = database::metric::runs(&self.database().await?).await?;
        let queued = || runs.iter().filter(|runs| runs.state == RunState::Queued);
        let depth: i64 = queued().map(|runs| runs.count - runs.held).sum();
        let oldest = queued().map(|runs| runs.oldest).fold(0.0, f64::max);
        gauges.one("queue_depth", "Runs that wait for a worker", depth as f64);
        gauges.one("queue_oldest_seconds", "For how long the oldest of them could have run", oldest);
        let family = gauges.family("runs", "Runs that have not ended");
        for runs in &runs {
            let of = labels([("kind", runs.kind.as_str()), ("state", runs.state.as_str())]);
            family.get_or_create(&of).set(runs.count as f64);
        }
        let schedules = database::metric::schedules(&self.database().await?).await?;
        gauges.one("schedule_late_seconds", "By how much the latest schedule is late", schedules.late);
        let family = gauges.family("schedules", "Schedules");
        family.get_or_create(&labels([("state", "enabled")])).set(schedules.enabled as f64);
        family.get_or_create(&labels([("state", "paused")])).set(schedules.paused as f64);
        Ok(())
    }

    async fn tenants_and_workers(&self, gauges: &mut Gauges) -> Result<()> {
        let database = self.database().await?;
        let family = gauges.family("tenants", "Tenants");
        for (state, count) in database::metric::tenants(&database).await? {
            family.get_or_create(&labels([("state", state.as_str())])).set(count as f64);
        }
        let backups = database::metric::backups(&database).await?;
        gauges.one("backup_oldest_seconds", "Since the backup that is the oldest newest one", backups.oldest);
        gauges.one("tenants_without_backup", "Active tenants without a backup", backups.without as f64);
        let most = self.settings().metrics_tenants;
        if most > 0 {
            let family = gauges.family("backup_age_seconds", "Since a tenant's newest backup");
            for (tenant, age) in database::metric::backup_ages(&database, most).await? {
                family.get_or_create(&labels([("tenant", &tenant)])).set(age);
            }
        }
        let wal = database::metric::wal(&database).await?;
        gauges.one("wal_streams", "Active tenants whose WAL is streamed", wal.streamed as f64);
        gauges.one(
            "wal_lag_bytes",
            "WAL not in the repository yet, of whom it is the most",
            wal.lag_bytes as f64,
        );
        gauges.one(
            "wal_lag_seconds",
            "For how long there has been such WAL, of whom it is the longest",
            wal.lag,
        );
        let lost = wal.slots_lost as f64;
        gauges.one("wal_slots_lost", "Slots that cells gave up since their workers were started", lost);
        let family = gauges.family("alerts", "Alerts that are not resolved");
        for ((kind, severity), count) in database::metric::alerts(&database).await? {
            let of = labels([("kind", kind.as_str()), ("severity", severity.as_str())]);
            family.get_or_create(&of).set(count as f64);
        }
        let family = gauges.family("workers", "Workers");
        for worker in database::worker::list(&database).await? {
            let state = if worker.gone_at.is_some() { "gone" } else { "alive" };
            family.get_or_create(&labels([("state", state)])).inc();
        }
        let now = database::clock::now(&database).await?;
        let disks = database::alert::disks(&database, now, SignedDuration::from_mins(10)).await?;
        for (name, help, bytes) in [
            ("worker_disk_bytes", "Size of the disk that a folder of a worker is on", 0),
            ("worker_disk_free_bytes", "What is free of it", 1),
        ] {
            let family = gauges.family(name, help);
            for disk in &disks {
                let of = labels([("worker", disk.worker.as_str()), ("place", disk.place.as_str())]);
                family.get_or_create(&of).set([disk.total, disk.free][bytes] as f64);
            }
        }
        Ok(())
    }

    async fn management(&self, gauges: &mut Gauges) -> Result<()> {
        let server = database::alert::server(&self.database().await?).await?;
        gauges.one("management_connections", "The management database's", server.connections as f64);
        let most = server.most_connections as f64;
        gauges.one("management_connections_max", "How many there can be", most);
        let oldest = server.oldest_transaction.as_secs_f64();
        gauges.one("management_oldest_transaction_seconds", "Since the oldest open one began", oldest);
        for (name, help, which) in [
            ("pool_connections", "This control's connections to the management database", 0),
            ("pool_connections_used", "Those that are used", 1),
            ("pool_waiting", "Who waits for one", 2),
            ("pool_connections_max", "How many there can be", 3),
        ] {
            let family = gauges.family(name, help);
            for pool in self.inner.database.usage() {
                let value = [pool.connections, pool.used, pool.waiting, pool.most][which];
                family.get_or_create(&labels([("role", pool.role)])).set(value as f64);
            }
        }
        Ok(())
    }
}

/// Named as everybody's are.
fn process(gauges: &mut Gauges) {
    let Some(usage) = daemon::usage::usage() else { return };
    let registry = &mut gauges.process;
    let mut gauge = |name: &str, help: &str, value: f64| {
        let gauge = Value::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    };
    gauge("process_resident_memory_bytes", "Resident memory", usage.resident as f64);
    gauge("process_open_fds", "Open files", usage.open_files as f64);
    gauge("process_start_time_seconds", "When it started, since 1970", usage.started_at);
    let cpu = Counter::<f64, AtomicU64>::default();
    cpu.inc_by(usage.cpu_seconds);
    registry.register("process_cpu_seconds", "Processor time", cpu);
}

type Value = Gauge<f64, AtomicU64>;

/// Made anew for each look at the database, so that nothing that is gone stays.
struct Gauges {
    registry: Registry,
    process: Registry,
}

impl Gauges {
    fn new() -> Self {
        Self { registry: Registry::with_prefix("heddle"), process: Registry::default() }
    }

    fn family<const N: usize>(&mut self, name: &str, help: &str) -> Family<Labels<N>, Value> {
        let family = Family::default();
        self.registry.register(name, help, family.clone());
        family
    }

    fn one(&mut self, name: &str, help: &str, value: f64) {
        let gauge = Value::default();
        gauge.set(value);
        self.registry.register(name, help, gauge);
    }

    fn text(&self) -> String {
        let mut text = String::new();
        written(&mut text, &self.registry);
        written(&mut text, &self.process);
        text
    }
}

fn written(text: &mut String, registry: &Registry) {
    encode_registry(text, registry).expect("writing into a string never fails");
}

//! Everything that can be set, declared once each.

use std::ffi::OsString;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use archive::Location;
use daemon::settings::{Setting, SettingsError, Source, Sources};
use daemon::telemetry::Format;
use jiff::SignedDuration;
use model::alert::Thresholds;
use model::retention::Retention;
use postgres::OsUser;
use sha2::{Digest, Sha256};

use crate::cli::Global;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::repository;

/// Names another settings file than the data folder's.
const CONFIG: &str = "HEDDLE_CONFIG";

/// A hundred years, in days; what is kept that long is kept.
const MOST_KEPT: u32 = 36_500;

/// With a longer one, streaming brings nothing that the archive does not.
const LONGEST_STREAM: Duration = Duration::from_secs(60);

/// A longer one leaves no room for the sockets in it, whose paths may have 107 bytes.
pub const LONGEST_RUN_DIR: usize = 107 - "/0123456789ab/.s.PGSQL.65535".len();

/// Defaults that depend on the machine or on another setting are in words;
/// [`Settings::load`] works them out.
pub static TABLE: &[Setting] = &[
    Setting::new(
        "data",
        "HEDDLE_DATA",
        "The data folder: clusters, files, secrets and, unless it is set elsewhere, the repository.",
    ),
    Setting::new(
        "repository",
        "HEDDLE_REPOSITORY",
        "Where tenants' histories are kept: a folder, or `s3://bucket/prefix`. On another disk than `data`, they \
         outlive that one.",
    ),
    Setting::new(
        "repository_key",
        "HEDDLE_REPOSITORY_KEY",
        "The file with the master key of the repository, made by the first `heddle up`. Keep a copy elsewhere: \
         without it no backup can be read.",
    ),
    Setting::new(
        "s3_endpoint",
        "HEDDLE_S3_ENDPOINT",
        "The address of the repository's S3 server, if it is not Amazon's.",
    ),
    Setting::new("s3_region", "HEDDLE_S3_REGION", "The region of the repository's bucket."),
    Setting::new("s3_access_key", "HEDDLE_S3_ACCESS_KEY", "The id of the key that opens the bucket."),
    Setting::new("s3_secret_key", "HEDDLE_S3_SECRET_KEY", "The secret of that key.").secret(),
    Setting::new("run_dir", "HEDDLE_RUN_DIR", "Where sockets are made; a path of at most 79 bytes."),
    Setting::new("listen_console", "HEDDLE_LISTEN_CONSOLE", "Where the API and the console listen.")
        .default("127.0.0.1:7700"),
    Setting::new("listen_router", "HEDDLE_LISTEN_ROUTER", "Where the router listens for tenants' visitors.")
        .default("127.0.0.1:8080"),
    Setting::new("base_domain", "HEDDLE_BASE_DOMAIN", "Tenants are served at `<subdomain>.<base_domain>`.")
        .default("localhost"),
    Setting::new("url", "HEDDLE_URL", "Where commands, worker and router find control."),
    Setting::new(
        "database_url",
        "HEDDLE_DATABASE_URL",
        "An outside management database instead of the embedded cluster: a connection string of a superuser, \
         or of a role that may create roles and, in that database, schemas.",
    )
    .secret(),
    Setting::new(
        "postgres_bin",
        "HEDDLE_POSTGRES_BIN",
        "The folder with PostgreSQL's programs, 15 or newer.",
    ),
    Setting::new(
        "service_user",
        "HEDDLE_SERVICE_USER",
        "As root: the user that the management cluster belongs to, and that makes tenants' clusters; those then \
         run as users of their own.",
    ),
    Setting::new(
        "identity_base",
        "HEDDLE_IDENTITY_BASE",
        "As root: the first of the user ids that tenants' programs run as, two for each tenant.",
    )
    .default("2000000"),
    Setting::new(
        "secrets_key",
        "HEDDLE_SECRETS_KEY",
        "The file with the key that tenants' secrets are kept under, which only control reads. It is made at the \
         first start; a credential of systemd is such a file too.",
    ),
    Setting::new(
        "retention_days",
        "HEDDLE_RETENTION_DAYS",
        "Days for which every second of a tenant can be given back.",
    )
    .default("7"),
    Setting::new(
        "keep_daily",
        "HEDDLE_KEEP_DAILY",
        "Days before `retention_days`, of each of which the last backup is kept.",
    )
    .default("7"),
    Setting::new(
        "keep_weekly",
        "HEDDLE_KEEP_WEEKLY",
        "Weeks before those, of each of which the last backup is kept.",
    )
    .default("4"),
    Setting::new(
        "keep_monthly",
        "HEDDLE_KEEP_MONTHLY",
        "Months before those, of each of which the last backup is kept.",
    )
    .default("12"),
    Setting::new(
        "requests_per_second",
        "HEDDLE_REQUESTS_PER_SECOND",
        "API requests of one key or session, with bursts of five times as many; 0: any number.",
    )
    .default("100"),
    Setting::new(
        "odoo_workers",
        "HEDDLE_ODOO_WORKERS",
        "Worker processes of each tenant's Odoo; 0: one process with threads.",
    )
    .default("0"),
    Setting::new(
        "wal_stream_ms",
        "HEDDLE_WAL_STREAM_MS",
        "The least time between two writes of a tenant's new WAL to the repository: what is lost at most if its \
         host is. 0: only whole segments are written, at least every minute.",
    ),
    Setting::new(
        "worker_name",
        "HEDDLE_WORKER_NAME",
        "The worker's name, by which control knows its host again. Never changed once tenants live there.",
    )
    .default("local"),
    Setting::new(
        "worker_peeks",
        "HEDDLE_WORKER_PEEKS",
        "So many peeks the worker's host has at once, each with a copy of its tenant's database; at most 100.",
    )
    .default("4"),
    Setting::new(
        "alert_queue_depth",
        "HEDDLE_ALERT_QUEUE_DEPTH",
        "An alert is opened when more runs than these wait for a worker.",
    )
    .default("50"),
    Setting::new(
        "alert_disk_percent",
        "HEDDLE_ALERT_DISK_PERCENT",
        "When more of a worker's disk is used than this; from 95 on, the alert is critical.",
    )
    .default("85"),
    Setting::new(
        "alert_wal_mib",
        "HEDDLE_ALERT_WAL_MIB",
        "When a tenant's cell keeps more WAL than this: its archive does not keep up.",
    )
    .default("1024"),
    Setting::new(
        "alert_wal_lag_seconds",
        "HEDDLE_ALERT_WAL_LAG_SECONDS",
        "When what a tenant's cell wrote is not in the repository after this, where WAL is streamed.",
    )
    .default("60"),
    Setting::new(
        "alert_backup_hours",
        "HEDDLE_ALERT_BACKUP_HOURS",
        "When a tenant's newest backup is older than this; one is made every 24 hours.",
    )
    .default("30"),
    Setting::new(
        "alert_connections_percent",
        "HEDDLE_ALERT_CONNECTIONS_PERCENT",
        "When more of the management database's connections are used than this.",
    )
    .default("80"),
    Setting::new(
        "alert_transaction_minutes",
        "HEDDLE_ALERT_TRANSACTION_MINUTES",
        "When a transaction on the management database is open for longer than this.",
    )
    .default("10"),
    Setting::new(
        "metrics_loopback",
        "HEDDLE_METRICS_LOOPBACK",
        "`true` shows `/metrics` without a key to every process on this machine, tenants' Odoos included.",
    )
    .default("false"),
    Setting::new(
        "metrics_tenants",
        "HEDDLE_METRICS_TENANTS",
        "So many tenants get metrics of their own, those with the oldest backups: at most 1000.",
    )
    .default("0"),
    Setting::new(
        "log",
        "HEDDLE_LOG",
        "What is logged: `error`, `warn`, `info`, `debug`, or by module, such as `info,router=debug`.",
    )
    .default("info"),
    Setting::new("log_format", "HEDDLE_LOG_FORMAT", "`text` or `json`.").default("text"),
];

/// A setting's default, as Markdown.
pub fn default_in_words(setting: &Setting) -> String {
    if let Some(value) = setting.default {
        return format!("`{value}`");
    }
    let words = match setting.key {
        "data" => "`/var/lib/heddle` as root, else `~/.local/share/heddle`",
        "repository" => "`repository` in the data folder",
        "repository_key" => {
            "systemd's credential `heddle-repository.key`, else `secrets/repository.key` in the data folder"
        }
        "s3_region" | "s3_access_key" | "s3_secret_key" => {
            "as for Amazon's tools: `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`"
        }
        "s3_endpoint" => "Amazon's",
        "run_dir" => "`/run/heddle-…` as root, else in `$XDG_RUNTIME_DIR` or `/tmp`",
        "url" => "where the console of this data folder listens",
        "database_url" => "none: a cluster in the data folder",
        "postgres_bin" => "the newest one found",
        "secrets_key" => "`secrets/secrets.key` in the data folder",
        "service_user" => "`postgres`, else `nobody`",
        "wal_stream_ms" => "`100` for a folder, `1000` for a bucket",
        _ => "none",
    };
    words.to_owned()
}

#[derive(Debug, Clone)]
pub struct Settings {
    pub data: PathBuf,
    pub repository: Location,
    pub repository_key: Option<PathBuf>,
    pub s3_endpoint: Option<String>,
    pub s3_region: Option<String>,
    pub s3_access_key: Option<String>,
    pub s3_secret_key: Option<String>,
    pub run_dir: PathBuf,
    pub listen_console: SocketAddr,
    pub listen_router: SocketAddr,
    pub base_domain: String,
    pub url: Option<String>,
    pub database_url: Option<String>,
    pub postgres_bin: Option<PathBuf>,
    pub service_user: Option<String>,
    pub identity_base: u32,
    pub secrets_key: PathBuf,
    pub retention_days: u32,
    pub keep_daily: u32,
    pub keep_weekly: u32,
    pub keep_monthly: u32,
    pub requests_per_second: u32,
    pub odoo_workers: u16,
    /// None: whole segments only.
    pub wal_stream: Option<Duration>,
    pub worker_name: String,
    pub worker_peeks: u16,
    pub alerts: Thresholds,
    pub metrics_loopback: bool,
    pub metrics_tenants: u32,
    pub log: String,
    pub log_format: Format,
    given: daemon::settings::Settings,
}

/// A setting as it stands, to be shown.
#[derive(Debug, Clone)]
pub struct Shown {
    pub setting: Setting,
    pub value: Option<String>,
    pub source: Source,
}

impl Settings {
    /// From the command line, the environment, the settings file, the defaults:
    /// the first that says something.
    pub fn load(global: &Global) -> Result<Self, Failure> {
        Self::from(global, std::env::vars_os().collect())
    }

    fn from(global: &Global, env: Vec<(OsString, OsString)>) -> Result<Self, Failure> {
        let mut flags = Vec::new();
        if let Some(data) = &global.data {
            // What a person writes is meant from where they are.
            let data = std::path::absolute(data)
                .map_err(|error| Failure::while_trying("find the data folder", &error))?;
            let data = data.into_os_string().into_string();
            let data = data.map_err(|_| Failure::usage("the path of the data folder must be UTF-8"))?;
            flags.push(("data".to_owned(), data));
        }
        if let Some(url) = &global.url {
            flags.push(("url".to_owned(), url.clone()));
        }
        let set = |name: &str| env.iter().find(|(known, value)| known == name && !value.is_empty());
        let (file, must_exist) = match set(CONFIG) {
            Some((_, path)) => (PathBuf::from(path), true),
            None => {
                let data = flags.iter().find(|(key, _)| key == "data").map(|(_, path)| PathBuf::from(path));
                let data = data.or_else(|| set("HEDDLE_DATA").map(|(_, path)| PathBuf::from(path)));
                (data.unwrap_or_else(default_data).join("heddle.toml"), false)
            }
        };
        // Whoever may not even look into the folder has no use for its file.
        let file = (must_exist || file.try_exists().unwrap_or(false)).then_some(file);
        let sources = Sources { file, file_must_exist: must_exist, env, flags };
        daemon::settings::Settings::load(TABLE, sources).and_then(Self::read).map_err(wrong)?.checked()
    }

    fn read(given: daemon::settings::Settings) -> Result<Self, SettingsError> {
        let data = given.find("data")?.unwrap_or_else(default_data);
        let place = given.find::<Place>("repository")?;
        let mut settings = Self {
            repository: place.map_or_else(|| data.join("repository").into(), |Place(place)| place),
            repository_key: given.find("repository_key")?,
            s3_endpoint: given.find("s3_endpoint")?,
            s3_region: given.find("s3_region")?,
            s3_access_key: given.find("s3_access_key")?,
            s3_secret_key: given.find("s3_secret_key")?,
            run_dir: given.find("run_dir")?.unwrap_or_else(|| default_run_dir(&data)),
            listen_console: given.get("listen_console")?,
            listen_router: given.get("listen_router")?,
            base_domain: given.get("base_domain")?,
            url: given.find("url")?,
            database_url: given.find("database_url")?,
            postgres_bin: given.find("postgres_bin")?,
            service_user: given.find("service_user")?,
            identity_base: given.get("identity_base")?,
            secrets_key: given.find("secrets_key")?.unwrap_or_else(|| data.join("secrets/secrets.key")),
            retention_days: given.get("retention_days")?,
            keep_daily: given.get("keep_daily")?,
            keep_weekly: given.get("keep_weekly")?,
            keep_monthly: given.get("keep_monthly")?,
            requests_per_second: given.get("requests_per_second")?,
            odoo_workers: given.get("odoo_workers")?,
            wal_stream: None,
            worker_name: given.get("worker_name")?,
            worker_peeks: given.get("worker_peeks")?,
            alerts: Thresholds {
                queue_depth: given.get("alert_queue_depth")?,
                disk_percent: given.get("alert_disk_percent")?,
                wal_bytes: given.get::<u64>("alert_wal_mib")?.saturating_mul(1 << 20),
                wal_lag: SignedDuration::from_secs(i64::from(given.get::<u32>("alert_wal_lag_seconds")?)),
                connections_percent: given.get("alert_connections_percent")?,
                transaction_age: SignedDuration::from_mins(i64::from(
                    given.get::<u32>("alert_transaction_minutes")?,
                )),
                backup_age: SignedDuration::from_hours(i64::from(given.get::<u32>("alert_backup_hours")?)),
            },
            metrics_loopback: given.get("metrics_loopback")?,
            metrics_tenants: given.get("metrics_tenants")?,
            log: given.get("log")?,
            log_format: given.get::<LogFormat>("log_format")?.0,
            data,
            given,
        };
        settings.repository = repository::located(settings.repository.clone(), &settings);
        // Each write of a bucket is paid for.
        let usual = match &settings.repository {
            Location::Folder(_) => 100,
            Location::S3(_) => 1000,
        };
        let every = settings.given.find::<u32>("wal_stream_ms")?.unwrap_or(usual);
        settings.wal_stream = (every > 0).then(|| Duration::from_millis(u64::from(every)));
        Ok(settings)
    }

    fn checked(self) -> Result<Self, Failure> {
        let refused = |detail: String| Err(Failure::new(Exit::Usage, "settings", detail));
        let paths = [
            ("data", Some(&self.data)),
            ("run_dir", Some(&self.run_dir)),
            ("repository_key", self.repository_key.as_ref()),
            ("secrets_key", Some(&self.secrets_key)),
        ];
        for (key, path) in paths {
            let Some(path) = path else { continue };
            if !path.is_absolute() {
                return refused(format!("setting `{key}` must be an absolute path, not {}", path.display()));
            }
        }
        if self.s3_access_key.is_some() != self.s3_secret_key.is_some() {
            return refused(
                "settings `s3_access_key` and `s3_secret_key` go together; one of them is missing".into(),
            );
        }
        for (key, number) in [
            ("retention_days", self.retention_days),
            ("keep_daily", self.keep_daily),
            ("keep_weekly", self.keep_weekly),
            ("keep_monthly", self.keep_monthly),
        ] {
            if number > MOST_KEPT {
                return refused(format!("setting `{key}` must be at most {MOST_KEPT}, not {number}"));
            }
        }
        if self.retention_days == 0 {
            return refused("setting `retention_days` must be at least 1".into());
        }
        for (key, percent) in [
            ("alert_disk_percent", self.alerts.disk_percent),
            ("alert_connections_percent", self.alerts.connections_percent),
        ] {
            if !(1..=100).contains(&percent) {
                return refused(format!("setting `{key}` must be 1 to 100, not {percent}"));
            }
        }
        if self.worker_peeks > 100 {
            return refused("setting `worker_peeks` must be at most 100".into());
        }
        if self.wal_stream.is_some_and(|every| every > LONGEST_STREAM) {
            return refused(format!(
                "setting `wal_stream_ms` must be at most {}: segments come once a minute anyway",
                LONGEST_STREAM.as_millis()
            ));
        }
        if self.metrics_tenants > 1000 {
            return refused("setting `metrics_tenants` must be at most 1000".into());
        }
        Ok(self)
    }

    /// All of them, in the table's order; secrets are not in there.
    pub fn shown(&self) -> Vec<Shown> {
        let worked_out = |key: &str| match key {
            "data" => Some(self.data.display().to_string()),
            "repository" => Some(self.repository.to_string()),
            "repository_key" => Some(repository::keys(self).path().display().to_string()),
            "run_dir" => Some(self.run_dir.display().to_string()),
            "url" => Some(self.control_url()),
            "wal_stream_ms" => Some(self.wal_stream.map_or(0, |every| every.as_millis()).to_string()),
            _ => None,
        };
        let rows = self.given.rows().into_iter();
        rows.map(|row| Shown {
            value: row.value.or_else(|| worked_out(row.setting.key)),
            source: row.source.unwrap_or(Source::Default),
            setting: row.setting,
        })
        .collect()
    }

    /// Whether somebody has said which data folder is meant.
    pub fn names_data(&self) -> bool {
        let named = |row: &daemon::settings::Row| {
            row.setting.key == "data" && row.source.as_ref().is_some_and(|source| *source != Source::Default)
        };
        self.given.rows().iter().any(named)
    }

    /// Where control of this data folder is to be found, from this machine.
    pub fn own_control_url(&self) -> String {
        let mut address = self.listen_console;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        format!("http://{address}")
    }

    fn published(&self) -> PathBuf {
        self.data.join("console.url")
    }

    /// For commands that do not share control's environment.
    pub fn publish_control_url(&self) -> Result<(), Failure> {
        let path = self.published();
        std::fs::write(&path, self.own_control_url() + "\n")
            .map_err(|error| Failure::while_trying(format!("write {}", path.display()), &error))
    }

    /// Where control is to be found: as set, else where it last listened.
    pub fn control_url(&self) -> String {
        let published = || {
            let text = std::fs::read_to_string(self.published()).ok()?;
            Some(text.trim().to_owned()).filter(|url| !url.is_empty())
        };
        self.url.clone().or_else(published).unwrap_or_else(|| self.own_control_url())
    }

    /// Where control keeps the heads of the audit's chains, outside of its database.
    pub fn audit_heads(&self) -> PathBuf {
        self.data.join("audit-heads.jsonl")
    }

    /// What is kept of tenants' histories.
    pub fn retention(&self) -> Retention {
        Retention {
            days: self.retention_days,
            daily: self.keep_daily,
            weekly: self.keep_weekly,
            monthly: self.keep_monthly,
        }
    }

    /// What control is told.
    pub fn control(&self) -> control::Settings {
        control::Settings {
            base_domain: self.base_domain.clone(),
            router_port: self.listen_router.port(),
            retention: self.retention(),
            secrets_key: Some(self.secrets_key.clone()),
            alerts: self.alerts,
            metrics_tenants: self.metrics_tenants,
            version: env!("CARGO_PKG_VERSION").into(),
            ..control::Settings::default()
        }
    }

    /// As root: who makes clusters.
    pub fn service_user(&self) -> Result<Option<OsUser>, Failure> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let found = match &self.service_user {
            Some(name) => OsUser::find(name).map(Some),
            None => OsUser::for_initdb(),
        };
        found.map_err(|error| {
            Failure::new(Exit::Failed, "no-service-user", error.to_string()).hint(
                "set HEDDLE_SERVICE_USER to an unprivileged user; PostgreSQL refuses to be made as root",
            )
        })
    }
}

struct Place(Location);

impl daemon::settings::Value for Place {
    const EXPECTED: daemon::settings::Expected = "an absolute path, or `s3://bucket/prefix`";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

struct LogFormat(Format);

impl daemon::settings::Value for LogFormat {
    const EXPECTED: daemon::settings::Expected = "`text` or `json`";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

fn wrong(error: SettingsError) -> Failure {
    let mut failure = Failure::new(Exit::Usage, "settings", error.to_string());
    if let Some(source) = std::error::Error::source(&error) {
        failure = failure.because(source);
    }
    failure.hint("`heddle settings --docs` explains each; docs/reference/settings.md lists them")
}

fn default_data() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return "/var/lib/heddle".into();
    }
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/".into())).join(".local/share");
    let folder = std::env::var_os("XDG_DATA_HOME").map_or_else(home, PathBuf::from);
    folder.join("heddle")
}

/// Short, and another one for each data folder.
fn default_run_dir(data: &Path) -> PathBuf {
    let hash = Sha256::digest(data.as_os_str().as_encoded_bytes());
    let name = format!("heddle-{}", hex::encode(&hash[..4]));
    if rustix::process::geteuid().is_root() {
        return Path::new("/run").join(name);
    }
    std::env::var_os("XDG_RUNTIME_DIR").map_or_else(|| "/tmp".into(), PathBuf::from).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    fn load(global: Global, environment: &[(&str, &str)]) -> Result<Settings, Failure> {
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into())).collect();
        Settings::from(&global, environment)
    }

    #[test]
    fn the_nearer_source_wins() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("heddle.toml");
        std::fs::write(&file, "retention_days = 30\nbase_domain = \"a.example\"\nodoo_workers = 2\n")
            .unwrap();
        let global = Global { data: Some(folder.path().into()), ..Global::default() };
        let environment = [("HEDDLE_BASE_DOMAIN", "b.example"), ("HEDDLE_DATA", "/elsewhere")];
        let settings = load(global, &environment).unwrap();
        assert_eq!(settings.data, folder.path());
        assert_eq!(settings.base_domain, "b.example");
        assert_eq!((settings.retention_days, settings.odoo_workers), (30, 2));
        assert_eq!(settings.repository, folder.path().join("repository").into());
        assert_eq!(repository::keys(&settings).path(), folder.path().join("secrets/repository.key"));
        let shown = settings.shown();
        let source = |key| &shown.iter().find(|shown| shown.setting.key == key).unwrap().source;
        assert_eq!(*source("data"), Source::Flag);
        assert_eq!(*source("base_domain"), Source::Env("HEDDLE_BASE_DOMAIN"));
        assert_eq!(*source("retention_days"), Source::File(file));
        assert_eq!(*source("log"), Source::Default);
    }

    #[test]
    fn wrong_values_say_where_they_stand() {
        let wrong = |name: &str, value: &str| load(Global::default(), &[(name, value)]).unwrap_err();
        let failure = wrong("HEDDLE_LISTEN_CONSOLE", "7700");
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.detail.contains("HEDDLE_LISTEN_CONSOLE"), "{}", failure.detail);
        assert!(failure.detail.contains("such as 127.0.0.1:8080"), "{}", failure.detail);
        assert!(wrong("HEDDLE_RETENTION_DAYS", "0").detail.contains("at least 1"));
        assert!(wrong("HEDDLE_LOG_FORMAT", "xml").detail.contains("`text` or `json`"));
        assert!(wrong("HEDDLE_DATA", "here").detail.contains("absolute"));
        assert!(wrong("HEDDLE_REPOSITORY", "s3:bucket").detail.contains("s3://bucket/prefix"));
        assert!(wrong("HEDDLE_S3_ACCESS_KEY", "key").detail.contains("go together"));
        assert!(wrong("HEDDLE_CONFIG", "/nonexistent/h.toml").detail.contains("/nonexistent/h.toml"));
    }

    #[test]
    fn every_setting_is_read() {
        let settings =
            load(Global::default(), &[("HEDDLE_DATABASE_URL", "postgres://u:hunter2@h/d")]).unwrap();
        assert_eq!(settings.database_url.as_deref(), Some("postgres://u:hunter2@h/d"));
        assert!(!format!("{:?}", settings.shown()).contains("hunter2"));
        let bucket = [
            ("HEDDLE_REPOSITORY", "s3://heddle/a"),
            ("HEDDLE_S3_ENDPOINT", "http://127.0.0.1:8333"),
            ("HEDDLE_S3_ACCESS_KEY", "key"),
            ("HEDDLE_S3_SECRET_KEY", "hunter3"),
        ];
        let settings = load(Global::default(), &bucket).unwrap();
        let Location::S3(place) = &settings.repository else { panic!("{:?}", settings.repository) };
        assert_eq!((&*place.bucket, &*place.prefix), ("heddle", "a"));
        assert_eq!(place.endpoint.as_deref(), Some("http://127.0.0.1:8333"));
        assert!(!format!("{:?}", settings.shown()).contains("hunter3"));
        for setting in TABLE {
            assert_eq!(setting.env, format!("HEDDLE_{}", setting.key.to_ascii_uppercase()));
        }
    }

    #[test]
    fn the_run_folder_is_short_and_of_its_own() {
        let (one, other) = (default_run_dir(Path::new("/a")), default_run_dir(Path::new("/b")));
        assert_ne!(one, other);
        assert!(one.as_os_str().len() < LONGEST_RUN_DIR);
        assert_eq!(LONGEST_RUN_DIR, 79);
    }

    #[test]
    fn control_is_found_where_it_listened() {
        let folder = tempfile::tempdir().unwrap();
        let global = Global { data: Some(folder.path().into()), ..Global::default() };
        let running = load(global.clone(), &[("HEDDLE_LISTEN_CONSOLE", "0.0.0.0:7801")]).unwrap();
        running.publish_control_url().unwrap();
        assert_eq!(load(global.clone(), &[]).unwrap().control_url(), "http://127.0.0.1:7801");
        let set = load(global, &[("HEDDLE_URL", "http://ops.example")]).unwrap();
        assert_eq!(set.control_url(), "http://ops.example");
    }

    #[test]
    fn the_reference_lists_every_setting() {
        let mut text = String::from(
            "# Settings\n\n\
             Each is looked for on the command line, then in the environment, then in the settings file\n\
             (`heddle.toml` in the data folder, or what `HEDDLE_CONFIG` names); then it has its default.\n\
             `heddle settings` shows every value and where it came from.\n\n\
             | setting | variable | default | meaning |\n|---|---|---|---|\n",
        );
        for setting in TABLE {
            let default = default_in_words(setting);
            text += &format!("| `{}` | `{}` | {default} | {} |\n", setting.key, setting.env, setting.doc);
        }
        text += "\n`HEDDLE_API_KEY` is the key that commands show to control; by default the data folder's own. It is\n\
                 no setting, so that it stands in no file.\n\n\
                 ```toml\n# heddle.toml\nlisten_router = \"0.0.0.0:80\"\nbase_domain = \"odoo.example\"\n\
                 retention_days = 30\n```\n";
        reference::compare("settings.md", &text);
    }
}

//! A tenant's `odoo.conf`.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::DatabaseName;
use model::program::Identity;

use crate::Series;

/// The PostgreSQL role of every tenant's Odoo. Odoo refuses `postgres`.
pub const ROLE: &str = "odoo";

/// What one Odoo process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of address space after which a worker is replaced once its request
    /// is done, and at which allocations fail.
    pub memory_soft: u64,
    pub memory_hard: u64,
    /// CPU time and wall time of one request.
    pub time_cpu: Duration,
    pub time_real: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_soft: 2048 << 20,
            memory_hard: 2560 << 20,
            time_cpu: Duration::from_secs(60),
            time_real: Duration::from_secs(120),
        }
    }
}

/// Everything that stands in a tenant's `odoo.conf`. It holds two secrets, so
/// it cannot be printed, and is written for its Odoo's eyes alone.
#[derive(Clone)]
pub struct TenantConfig {
    pub series: Series,
    /// Searched in this order: Heddle's own folder, the project's, Odoo's.
    pub addons: Vec<PathBuf>,
    pub database: DatabaseName,
    /// The folder of the cell's Unix socket, and its port.
    pub socket_dir: PathBuf,
    pub socket_port: u16,
    pub database_password: String,
    /// Odoo's master password: nobody is told it.
    pub master_password: String,
    /// Filestore and sessions.
    pub data_dir: PathBuf,
    /// On 127.0.0.1.
    pub http_port: u16,
    pub gevent_port: u16,
    /// 0: one process with threads; else so many prefork HTTP workers.
    pub workers: u16,
    pub cron_threads: u16,
    pub limits: Limits,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(
        "the {0} cannot stand in Odoo's configuration: it is empty, or holds a line end, a comma or outer blanks"
    )]
    Unwritable(&'static str),
    #[error("write Odoo's configuration {0}")]
    Write(PathBuf, #[source] io::Error),
}

impl TenantConfig {
    /// Whether a second port, `gevent_port`, is listened on. A threaded Odoo
    /// (`workers` 0) serves `/websocket` and `/longpolling` on its HTTP port and
    /// opens no other, in every series (seen in 11 and 18).
    pub fn gevent(&self) -> bool {
        self.workers > 0
    }

    /// The file's text. Odoo reads it with Python's RawConfigParser: values are
    /// taken as they stand to the end of their line, less outer blanks, and `%`
    /// means nothing.
    pub fn text(&self) -> Result<String, ConfigError> {
        let series = self.series;
        let mut addons = Vec::new();
        for folder in &self.addons {
            addons.push(path_text(folder).ok_or(ConfigError::Unwritable("addons path"))?);
        }
        let database = self.database.as_str();
        let limits = &self.limits;
        let mut text = String::from("[options]\n");
        let mut set = |key: &'static str, value: String| -> Result<(), ConfigError> {
            let bad = value.is_empty() || value.trim() != value || value.contains(['\n', '\r', '\0']);
            if bad {
                return Err(ConfigError::Unwritable(key));
            }
            writeln!(text, "{key} = {value}").expect("a string grows");
            Ok(())
        };
        let path = |path: &Path| path_text(path).unwrap_or_default().to_owned();
        set("addons_path", addons.join(","))?;
        set("server_wide_modules", series.server_wide_modules().into())?;
        set("data_dir", path(&self.data_dir))?;
        set("admin_passwd", self.master_password.clone())?;
        set("db_host", path(&self.socket_dir))?;
        set("db_port", self.socket_port.to_string())?;
        set("db_user", ROLE.into())?;
        set("db_password", self.database_password.clone())?;
        set("db_name", database.into())?;
        // a DatabaseName holds nothing that means something in a regular expression
        set("dbfilter", format!("^{database}$"))?;
        set("list_db", "False".into())?;
        set("proxy_mode", "True".into())?;
        set("http_interface", "127.0.0.1".into())?;
        set("http_port", self.http_port.to_string())?;
        set(series.gevent_port_key(), self.gevent_port.to_string())?;
        set("workers", self.workers.to_string())?;
        set("max_cron_threads", self.cron_threads.to_string())?;
        set("limit_memory_soft", limits.memory_soft.to_string())?;
        set("limit_memory_hard", limits.memory_hard.to_string())?;
        set("limit_time_cpu", limits.time_cpu.as_secs().to_string())?;
        set("limit_time_real", limits.time_real.as_secs().to_string())?;
        let (key, value) = series.no_demo();
        set(key, value.into())?;
        set("log_level", "info".into())?;
        Ok(text)
    }

    /// Writes the file in one step, readable by `identity` (default: oneself) alone.
    pub fn write(&self, path: &Path, identity: Option<Identity>) -> Result<(), ConfigError> {
        let text = self.text()?;
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        let new = PathBuf::from(new);
        let write = || {
            match fs::remove_file(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
            if let Some(Identity { uid, gid }) = identity {
                fchown(&file, Some(uid), Some(gid))?;
            }
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, path)
        };
        write().map_err(|error| ConfigError::Write(path.into(), error))
    }
}

/// Whether a path can stand in `addons_path`: commas separate there, and Odoo
/// expands `~` and `$`.
pub(crate) fn holds_path(path: &Path) -> bool {
    path_text(path).is_some()
}

fn path_text(path: &Path) -> Option<&str> {
    let text = path.to_str()?;
    let bad = |c: char| c.is_control() || matches!(c, ',' | '"' | '\'' | '$' | '~');
    (path.is_absolute() && text.trim() == text && !text.contains(bad)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(major: u32) -> TenantConfig {
        TenantConfig {
            series: Series::new(major).unwrap(),
            addons: vec!["/srv/heddle/addons".into(), "/srv/odoo/addons".into()],
            database: "acme_1".parse().unwrap(),
            socket_dir: "/run/heddle/x".into(),
            socket_port: 5433,
            database_password: "100%#;=s".into(),
            master_password: "m".into(),
            data_dir: "/var/lib/heddle/odoo".into(),
            http_port: 8100,
            gevent_port: 8101,
            workers: 0,
            cron_threads: 1,
            limits: Limits::default(),
        }
    }

    fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
        text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))
    }

    #[test]
    fn settings_follow_the_series() {
        let old = config(11).text().unwrap();
        assert_eq!(value(&old, "longpolling_port"), Some("8101"));
        assert_eq!(value(&old, "gevent_port"), None);
        assert_eq!(value(&old, "server_wide_modules"), Some("web,heddle"));
        assert_eq!(value(&old, "without_demo"), Some("all"));
        assert_eq!(value(&old, "db_password"), Some("100%#;=s"));
        assert_eq!(value(&old, "dbfilter"), Some("^acme_1$"));
        let new = config(19).text().unwrap();
        assert_eq!(value(&new, "gevent_port"), Some("8101"));
        assert_eq!(value(&new, "server_wide_modules"), Some("base,rpc,web,heddle"));
        assert_eq!(value(&new, "without_demo"), None);
        assert_eq!(value(&new, "with_demo"), Some("False"));
    }

    #[test]
    fn a_value_cannot_become_a_second_setting() {
        let mut bad = config(18);
        bad.database_password = "x\nlist_db = True".into();
        assert!(matches!(bad.text(), Err(ConfigError::Unwritable("db_password"))));
        let mut bad = config(18);
        bad.addons.push("/srv/a,b".into());
        assert!(matches!(bad.text(), Err(ConfigError::Unwritable("addons path"))));
    }
}

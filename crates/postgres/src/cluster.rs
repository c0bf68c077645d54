//! One cluster on this machine: where it is, how it is configured and run.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::program::{Identity, ProgramId, ProgramSpec, RestartPolicy, StopSignal};

use crate::disk::{self, FileError};
use crate::settings::{self, POSTGRESQL_CONF, RECOVERY_FILE};
use crate::tool::SEARCH_PATH;
use crate::{Binaries, OsUser, ShellCommand, UserError};

/// Where a Unix socket's path must end, in bytes.
const SOCKET_PATH_LIMIT: usize = 107;

/// A fast shutdown rolls back, checkpoints and archives; after this it is killed.
const GRACE: Duration = Duration::from_secs(60);

/// How a cluster's WAL leaves it and comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Ends with 0 once the file is durable elsewhere.
    pub push: ShellCommand,
    /// Ends with 1 if there is no such file; above 125 for any other fault, so
    /// that recovery is broken off instead of ended early.
    pub fetch: ShellCommand,
}

impl Archive {
    /// Over the archive service's socket, by `heddle wal push|fetch`.
    pub fn over_socket(heddle: &Path, socket: &Path) -> Result<Self, ConfigError> {
        let (heddle, socket) = (path_text(heddle)?, path_text(socket)?);
        let wal = |verb| ShellCommand::new(heddle).arg("wal").arg(verb).arg("--socket").arg(socket);
        Ok(Self { push: wal("push").wal_path(), fetch: wal("fetch").wal_name().wal_path() })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    pub data_dir: PathBuf,
    /// A folder of the cluster's own, with a short path.
    pub socket_dir: PathBuf,
    /// On 127.0.0.1, and in the socket's name.
    pub port: u16,
    /// Whom its files belong to and it runs as. None: this process's own.
    pub identity: Option<Identity>,
    /// The group that may reach the socket besides the identity itself.
    pub socket_group: Option<u32>,
    /// None: nothing is archived (a template, the management cluster).
    pub archive: Option<Archive>,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the socket's path {} is {} bytes long, {SOCKET_PATH_LIMIT} are allowed: choose a shorter run_dir", path.display(), path.as_os_str().len())]
    SocketPathTooLong { path: PathBuf },
    #[error("the path {path:?} cannot be used: it must be absolute UTF-8 without control characters")]
    UnusablePath { path: PathBuf },
    #[error("find the user that may become the cluster's superuser")]
    User(#[from] UserError),
    #[error(transparent)]
    File(#[from] FileError),
}

impl Cluster {
    /// `<socket_dir>/.s.PGSQL.<port>`
    pub fn socket_path(&self) -> PathBuf {
        self.socket_dir.join(format!(".s.PGSQL.{}", self.port))
    }

    /// Writes postgresql.conf, heddle.conf, pg_hba.conf and pg_ident.conf. May
    /// be repeated; a running cluster takes no notice of it until it is
    /// restarted. Settings of a recovery are left alone.
    ///
    /// The user this process runs as becomes the only one who can log in as
    /// superuser.
    pub fn write_config(&self) -> Result<(), ConfigError> {
        let socket = self.socket_path();
        if socket.as_os_str().as_bytes().len() > SOCKET_PATH_LIMIT {
            return Err(ConfigError::SocketPathTooLong { path: socket });
        }
        path_text(&self.data_dir)?;
        let heddle = settings::heddle_conf(self.port, path_text(&self.socket_dir)?, self.archive.as_ref());
        let ident = settings::pg_ident_conf(&OsUser::current()?.name);
        let recovery = self.data_dir.join(RECOVERY_FILE);
        if !disk::exists(&recovery)? {
            disk::place(&recovery, b"", self.identity)?;
        }
        // postgresql.conf last: it is what makes the others count.
        for (name, text) in [
            ("heddle.conf", heddle.as_str()),
            ("pg_ident.conf", &ident),
            ("pg_hba.conf", &settings::pg_hba_conf()),
            ("postgresql.conf", POSTGRESQL_CONF),
        ] {
            disk::place(&self.data_dir.join(name), text.as_bytes(), self.identity)?;
        }
        Ok(disk::sync_folder(&self.data_dir)?)
    }

    /// Makes the socket's folder, which a reboot takes away.
    pub fn make_socket_dir(&self) -> Result<(), ConfigError> {
        let mode = if self.socket_group.is_some() { 0o750 } else { 0o700 };
        let uid = self.identity.map(|identity| identity.uid);
        let gid = self.socket_group.or(self.identity.map(|identity| identity.gid));
        Ok(disk::folder(&self.socket_dir, mode, uid, gid)?)
    }

    /// What a driver is to run. For a recovery give it `RestartPolicy::Never`,
    /// so that a fault ends it instead of repeating it.
    pub fn program(&self, bin: &Binaries, id: ProgramId) -> Result<ProgramSpec, ConfigError> {
        let postgres = bin.program("postgres");
        let argv = [path_text(&postgres)?, "-D", path_text(&self.data_dir)?];
        let env = [("LC_ALL", "C"), ("PATH", SEARCH_PATH)];
        Ok(ProgramSpec {
            id,
            argv: argv.map(str::to_owned).to_vec(),
            env: BTreeMap::from(env.map(|(name, value)| (name.to_owned(), value.to_owned()))),
            dir: self.data_dir.clone(),
            identity: self.identity,
            restart: RestartPolicy::Always,
            stop_signal: StopSignal::Int,
            grace: GRACE,
        })
    }
}

/// A path as it can stand in PostgreSQL's files: a line of postmaster.pid and of
/// the configuration.
fn path_text(path: &Path) -> Result<&str, ConfigError> {
    path.to_str()
        .filter(|text| text.starts_with('/') && !text.contains(char::is_control))
        .ok_or_else(|| ConfigError::UnusablePath { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(socket_dir: &str) -> Cluster {
        Cluster {
            data_dir: "/nonexistent/data".into(),
            socket_dir: socket_dir.into(),
            port: 54321,
            identity: None,
            socket_group: None,
            archive: None,
        }
    }

    #[test]
    fn a_long_socket_path_is_refused_before_anything_is_written() {
        // "/.s.PGSQL.54321" takes 15 bytes.
        let fits = format!("/{}", "x".repeat(91));
        assert!(matches!(cluster(&fits).write_config(), Err(ConfigError::File(_))));
        let error = cluster(&format!("{fits}x")).write_config().unwrap_err();
        assert!(matches!(error, ConfigError::SocketPathTooLong { .. }));
        assert!(error.to_string().contains("108 bytes") && error.to_string().contains("run_dir"), "{error}");
    }

    #[test]
    fn paths_that_postgresql_cannot_keep_are_refused() {
        for bad in ["relative", "/new\nline"] {
            assert!(matches!(cluster(bad).write_config(), Err(ConfigError::UnusablePath { .. })), "{bad}");
        }
    }
}

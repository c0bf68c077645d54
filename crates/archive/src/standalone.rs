//! Giving a tenant back out of the repository alone: no control, no worker, no
//! driver, on a machine that need never have seen the tenant.
//!
//! What comes out is a stopped cluster of its own with the tenant's files beside
//! it. Nothing is written to the repository; the restored cluster archives
//! nothing and is no lineage of it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use model::lsn::{Lsn, Timeline};
use model::program::{Identity, ProgramSpec};
use model::restore::{Plan, Stop};
use postgres::{Binaries, Cluster, RecoveryFault, ShellCommand};
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};
use tokio_postgres::Client;

use crate::disk::{self, FileError, failed};
use crate::repository::{Repository, TenantArchive};
use crate::{
    ArchiveService, ExtractError, FetchError, FileId, Filestore, FilestoreError, RecordError, ServiceError,
    WalAccess,
};

/// Recovery that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// A fast shutdown writes a checkpoint.
const STOPPING: Duration = Duration::from_secs(300);

#[derive(Debug, thiserror::Error)]
pub enum StandaloneError {
    #[error("{} is not empty; name a new folder", .0.display())]
    NotEmpty(PathBuf),
    #[error("the plan reads no WAL")]
    EmptyPlan,
    #[error("copy the base backup")]
    Extract(#[from] ExtractError),
    #[error("put the WAL in place")]
    Wal(#[from] FetchError),
    #[error("serve the WAL to the recovery")]
    Service(#[from] ServiceError),
    #[error("prepare the recovery")]
    Recovery(#[from] postgres::RecoveryError),
    #[error("configure the cluster")]
    Config(#[from] postgres::ConfigError),
    #[error("run {}", program.display())]
    Run { program: PathBuf, source: io::Error },
    #[error("replay the WAL; PostgreSQL's log is in {}", log.display())]
    Replay { log: PathBuf, source: RecoveryFault },
    #[error("recovery did not end within {} hours; PostgreSQL's log is in {}", PATIENCE.as_secs() / 3600, log.display())]
    TooLong { log: PathBuf },
    #[error("replay ended at {reached}, before the WAL's end at {end}")]
    TooShort { reached: Lsn, end: Lsn },
    #[error("PostgreSQL did not stop in good order; its log is in {}", log.display())]
    NotStopped { log: PathBuf },
    #[error("look at the restored database")]
    Query(#[from] tokio_postgres::Error),
    #[error("connect to the restored database")]
    Connect(#[from] postgres::ConnectError),
    #[error("give back the attachments")]
    Files(#[from] FilestoreError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    File(#[from] FileError),
}

/// The folder that a tenant is given back in.
#[derive(Debug, Clone)]
pub struct Destination(PathBuf);

impl Destination {
    /// Makes the folder, or takes an empty one. `path` must be absolute, and
    /// short enough for a socket below it.
    pub fn create(path: &Path) -> Result<Self, StandaloneError> {
        if !disk::names(path)?.is_empty() {
            return Err(StandaloneError::NotEmpty(path.to_owned()));
        }
        // PostgreSQL's user has to pass through.
        let made = DirBuilder::new().recursive(true).mode(0o711).create(path);
        made.map_err(failed("create folder", path))?;
        Ok(Self(path.to_owned()))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn data_dir(&self) -> PathBuf {
        self.0.join("data")
    }

    /// What Odoo calls its `data_dir`.
    pub fn odoo_dir(&self) -> PathBuf {
        self.0.join("odoo")
    }

    /// Where the recovery fetches its WAL.
    pub fn wal_socket(&self) -> PathBuf {
        self.0.join("wal.sock")
    }

    pub fn log(&self) -> PathBuf {
        self.0.join("postgres.log")
    }
}

/// How a tenant is given back.
#[derive(Debug)]
pub struct Standalone {
    pub to: Destination,
    pub binaries: Binaries,
    /// Whom the cluster's files belong to and it runs as. None: this process's own.
    pub identity: Option<Identity>,
    /// The cluster's port on 127.0.0.1 and in its socket's name.
    pub port: u16,
    /// Fetches a WAL file over [`Destination::wal_socket`].
    pub fetch: ShellCommand,
    /// A query for the names of the files that the database names.
    pub attachments: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Bytes of the base backup.
    Copying {
        done: u64,
        of: u64,
    },
    PlacingWal,
    Replaying,
    /// There was no commit after the time.
    ReplayingToEnd,
    PlacingFiles,
}

/// A tenant that was given back, stopped.
#[derive(Debug, Clone, Serialize)]
pub struct Restored {
    pub data_dir: PathBuf,
    /// `filestore/<database>` is in it.
    pub odoo_dir: PathBuf,
    pub socket_dir: PathBuf,
    pub port: u16,
    pub database: String,
    /// Where replay ended.
    pub reached: Lsn,
    pub timeline: Timeline,
    /// Files that are in the filestore now.
    pub files: usize,
    /// Files that the database names and the repository does not have.
    pub missing: Vec<String>,
    /// Files that are damaged in the repository, and were not given back.
    pub damaged: Vec<String>,
}

impl TenantArchive {
    /// Carries `plan` out: the base backup, the WAL, the attachments, each byte
    /// checked. If it fails, what was made so far stays, with PostgreSQL's log.
    pub async fn restore_standalone(
        &self,
        plan: &Plan,
        how: Standalone,
        progress: impl Fn(Step) + Clone + Send + 'static,
    ) -> Result<Restored, StandaloneError> {
        let (Some(first), Some(source)) = (plan.wal.first(), plan.wal.last()) else {
            return Err(StandaloneError::EmptyPlan);
        };
        let lineage = self.lineage(plan.source)?.ok_or(StandaloneError::EmptyPlan)?;
        let (size, database) = (lineage.segment_size, lineage.database.clone());
        let cluster = Cluster {
            data_dir: how.to.data_dir(),
            socket_dir: how.to.path().join("run"),
            port: how.port,
            identity: how.identity,
            socket_group: None,
            archive: None,
        };
        let copied = progress.clone();
        self.extract_backup(first.lineage, plan.backup, &cluster.data_dir, how.identity, move |done, of| {
            copied(Step::Copying { done, of });
        })
        .await?;

        // Whatever somebody set with ALTER SYSTEM held for another cell: its
        // sockets, where it archives to.
        let altered = cluster.data_dir.join("postgresql.auto.conf");
        if altered.exists() {
            fs::write(&altered, "").map_err(failed("empty", &altered))?;
        }

        progress(Step::PlacingWal);
        self.place_wal(plan, &cluster.data_dir, how.identity).await?;
        progress(Step::Replaying);
        let service = ArchiveService::new(Repository { inner: self.inner.clone() });
        let access = WalAccess { tenant: self.tenant, push: None, fetch: Some(plan.clone()) };
        service.serve_wal(&how.to.wal_socket(), how.identity, access).await?;
        let mut stop = plan.stop.clone();
        let (client, child) = loop {
            match recover(&cluster, &how, &stop, source.timeline).await? {
                Ok(promoted) => break promoted,
                Err(RecoveryFault::EndedBeforeTarget) if matches!(stop, Stop::Time(_)) => {
                    progress(Step::ReplayingToEnd);
                    stop = Stop::End;
                }
                Err(source) => return Err(StandaloneError::Replay { log: how.to.log(), source }),
            }
        };
        service.close(&how.to.wal_socket());
        let timeline = postgres::timeline(&client).await?;
        let (_, reached) = postgres::fork_of(&cluster.data_dir, timeline)?;
        if stop == Stop::End && !plan.reached(reached, size) {
            return Err(StandaloneError::TooShort { reached, end: plan.end });
        }
        drop(client);
        postgres::finish_recovery(&cluster.data_dir, how.identity)?;

        progress(Step::PlacingFiles);
        let socket_dir = cluster.socket_dir.clone();
        let client = postgres::connect(&socket_dir, how.port, postgres::SUPERUSER, None, &database).await?;
        let odoo_dir = how.to.odoo_dir();
        let made = DirBuilder::new().mode(0o700).create(&odoo_dir);
        made.map_err(failed("create folder", &odoo_dir))?;
        let (files, mut missing) = attachments(&client, how.attachments).await?;
        drop(client);
        let filestore = Filestore { data_dir: odoo_dir.clone(), database: database.clone() };
        // Odoo's user is not known here: they belong to whoever restores.
        let placed = self.place_files(files, &filestore, None).await?;
        missing.extend(placed.missing.iter().map(ToString::to_string));
        end(child, &how.to.log()).await?;
        Ok(Restored {
            data_dir: cluster.data_dir,
            odoo_dir,
            socket_dir,
            port: how.port,
            database,
            reached,
            timeline,
            files: placed.count,
            missing,
            damaged: placed.damaged.iter().map(ToString::to_string).collect(),
        })
    }
}

/// Runs the cluster until it accepts writes or gives up.
async fn recover(
    cluster: &Cluster,
    how: &Standalone,
    stop: &Stop,
    timeline: Timeline,
) -> Result<Result<(Client, Child), RecoveryFault>, StandaloneError> {
    let fetch = how.fetch.clone().unless_in_place();
    postgres::write_recovery(&cluster.data_dir, cluster.identity, stop, timeline, &fetch)?;
    cluster.make_socket_dir()?;
    cluster.write_config()?;
    let id = "recovery".parse().map_err(|_| StandaloneError::EmptyPlan)?;
    let mut child = start(&cluster.program(&how.binaries, id)?, &how.to.log())?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(client) = postgres::wait_ready(cluster, Duration::from_millis(300)).await {
            return Ok(Ok((client, child)));
        }
        let run_failed = |source| StandaloneError::Run { program: how.binaries.program("postgres"), source };
        if let Some(status) = child.try_wait().map_err(run_failed)? {
            let log = fs::read(how.to.log()).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let fault = RecoveryFault::in_log(postgres::since_last_start(&log));
            return Ok(Err(fault.unwrap_or_else(|| RecoveryFault::Other(format!("it ended with {status}")))));
        }
        if Instant::now() > deadline {
            return Err(StandaloneError::TooLong { log: how.to.log() });
        }
    }
}

fn start(spec: &ProgramSpec, log: &Path) -> Result<Child, StandaloneError> {
    let mut options = OpenOptions::new();
    let file = options.append(true).create(true).mode(0o600).open(log).map_err(failed("open", log))?;
    let again = File::try_clone(&file).map_err(failed("open", log))?;
    let program = PathBuf::from(spec.argv.first().map_or("postgres", String::as_str));
    let mut command = Command::new(&program);
    command.args(spec.argv.iter().skip(1)).env_clear().envs(&spec.env).current_dir(&spec.dir);
    command.stdin(Stdio::null()).stdout(file).stderr(again).kill_on_drop(true);
    if let Some(Identity { uid, gid }) = spec.identity {
        command.uid(uid).gid(gid);
    }
    command.spawn().map_err(|source| StandaloneError::Run { program, source })
}

/// A fast shutdown.
async fn end(mut child: Child, log: &Path) -> Result<(), StandaloneError> {
    let pid = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
    // Gone already if it cannot be sent.
    let _ = pid.map(|pid| kill_process(pid, Signal::INT));
    match timeout(STOPPING, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        _ => Err(StandaloneError::NotStopped { log: log.to_owned() }),
    }
}

/// The files that the database names; and names that are none of a file.
async fn attachments(
    client: &Client,
    query: &str,
) -> Result<(Vec<FileId>, Vec<String>), tokio_postgres::Error> {
    let there = "SELECT to_regclass('public.ir_attachment') IS NOT NULL";
    if !client.query_one(there, &[]).await?.get::<_, bool>(0) {
        return Ok((Vec::new(), Vec::new()));
    }
    let (mut files, mut others) = (Vec::new(), Vec::new());
    for row in client.query(query, &[]).await? {
        let name: String = row.get(0);
        match name.parse() {
            Ok(file) => files.push(file),
            Err(_) => others.push(name),
        }
    }
    Ok((files, others))
}

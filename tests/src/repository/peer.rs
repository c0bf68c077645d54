//! pgBackRest, and clusters that it backs up.

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use model::program::Identity;
use postgres::{Binaries, OsUser};
use tokio_postgres::{Client, Config, NoTls};

/// As every cluster of Heddle's has it; theirs are copies of one.
const SUPERUSER: &str = "heddle";

/// Its socket's name; it listens nowhere else.
const PORT: u16 = 5432;

/// Who runs PostgreSQL and pgBackRest: `postgres`, where root does the rest.
pub fn identity() -> Result<Option<Identity>> {
    Ok(OsUser::for_initdb().context("find who runs PostgreSQL")?.map(|user| user.identity()))
}

/// A folder of whoever runs PostgreSQL, for nobody else.
pub fn folder(path: &Path) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    if let Some(Identity { uid, gid }) = identity()? {
        chown(path, Some(uid), Some(gid))?;
    }
    Ok(())
}

/// A program as whoever runs PostgreSQL.
pub fn program(path: &Path, identity: Option<Identity>) -> Command {
    let mut command = Command::new(path);
    command.current_dir("/").stdin(Stdio::null());
    if let Some(Identity { uid, gid }) = identity {
        command.uid(uid).gid(gid);
    }
    command
}

pub fn ended_well(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("run {command:?}"))?;
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{command:?} ended with {}: {said}{failed}", output.status);
    Ok(said.into_owned())
}

/// A cluster with PostgreSQL's own settings, but for what is named in `start`.
pub struct Cluster {
    pub data: PathBuf,
    pub sockets: PathBuf,
    binaries: Binaries,
}

impl Cluster {
    /// Of the stopped cluster `from`, whose WAL's segments are `segment` MB from then on.
    pub fn copy(from: &Path, to: &Path, segment: u32) -> Result<Self> {
        let cluster = Self::at(to)?;
        let identity = identity()?;
        postgres::copy_cluster(&cluster.binaries, from, to, identity).context("copy a cluster")?;
        let size = format!("--wal-segsize={segment}");
        ended_well(cluster.tool("pg_resetwal").arg(size).arg("-D").arg(to))?;
        Ok(cluster)
    }

    pub fn at(data: &Path) -> Result<Self> {
        let mut sockets = data.as_os_str().to_owned();
        sockets.push(".run");
        let cluster =
            Self { data: data.to_owned(), sockets: sockets.into(), binaries: Binaries::find(None)? };
        folder(&cluster.sockets)?;
        Ok(cluster)
    }

    pub fn tool(&self, name: &str) -> Command {
        program(&self.binaries.program(name), identity().unwrap_or(None))
    }

    /// A tool that connects.
    pub fn client(&self, name: &str) -> Command {
        let mut command = self.tool(name);
        command.arg("-h").arg(&self.sockets).args(["-p", &PORT.to_string(), "-U", SUPERUSER]);
        command
    }

    /// Writes its settings, in the place of those that it was copied with.
    pub fn configure(&self, archive_command: &str) -> Result<()> {
        let sockets = self.sockets.display();
        let text = format!(
            "listen_addresses = ''\nport = {PORT}\nunix_socket_directories = '{sockets}'\n\
             shared_buffers = 256MB\nmax_wal_size = 1GB\nwal_level = replica\nmax_wal_senders = 0\n\
             max_connections = 60\narchive_mode = on\narchive_command = '{archive_command}'\n\
             recovery_init_sync_method = syncfs\ntimezone = 'UTC'\nlogging_collector = off\n"
        );
        fs::write(self.data.join("postgresql.conf"), text)?;
        fs::write(self.data.join("postgresql.auto.conf"), "")?;
        // Its sockets are in a folder that nobody else reaches.
        fs::write(self.data.join("pg_hba.conf"), "local all all trust\n")?;
        Ok(())
    }

    /// Returns once it answers, be it still recovering.
    pub fn start(&self) -> Result<()> {
        let log = self.data.with_extension("log");
        File::create(&log)?;
        if let Some(Identity { uid, gid }) = identity()? {
            chown(&log, Some(uid), Some(gid))?;
        }
        let mut start = self.tool("pg_ctl");
        start.args(["start", "-w", "-s", "-t", "300"]).arg("-D").arg(&self.data).arg("-l").arg(&log);
        // Its output would be held open for as long as the cluster runs.
        let status = start.stdout(Stdio::null()).stderr(Stdio::null()).status().context("start a cluster")?;
        ensure!(status.success(), "a cluster did not start: {}", crate::platform::tail(&log, 20));
        Ok(())
    }

    pub fn stop(&self) -> Result<()> {
        let mut stop = self.tool("pg_ctl");
        ended_well(stop.args(["stop", "-w", "-s", "-m", "fast", "-t", "300"]).arg("-D").arg(&self.data))?;
        Ok(())
    }

    pub async fn connect(&self, database: &str) -> Result<Client> {
        let mut config = Config::new();
        config.host_path(&self.sockets).port(PORT).user(SUPERUSER).dbname(database);
        let (client, connection) = config.connect(NoTls).await.context("connect to a cluster")?;
        tokio::spawn(connection);
        Ok(client)
    }
}

/// Where pgBackRest is told of its stanzas and of their repository.
pub struct PgBackRest {
    folder: PathBuf,
}

impl PgBackRest {
    pub fn new(folder: &Path) -> Result<Self> {
        self::folder(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    pub fn version(&self) -> Result<String> {
        Ok(ended_well(Command::new("pgbackrest").arg("version"))?.trim().to_owned())
    }

    /// A cluster with a repository of its own, under this name.
    pub fn stanza(&self, name: &str, data: &Path, sockets: &Path, how: How) -> Result<Stanza> {
        let folder = self.folder.join(name);
        self::folder(&folder)?;
        for part in ["repo", "log", "lock", "spool"] {
            self::folder(&folder.join(part))?;
        }
        let (file, place) = (folder.join("pgbackrest.conf"), folder.display());
        let more = match how {
            How::Default => "",
            How::LikeHeddle => {
                "compress-type=zst\ncompress-level=3\nprocess-max=2\nrepo1-bundle=y\nstart-fast=y\n\
                 repo1-retention-full=99\n"
            }
        };
        let text = format!(
            "[global]\nrepo1-path={place}/repo\nlog-path={place}/log\nlock-path={place}/lock\n\
             spool-path={place}/spool\nlog-level-console=warn\n{more}\n[{name}]\npg1-path={}\n\
             pg1-socket-path={}\npg1-port={PORT}\npg1-user={SUPERUSER}\npg1-database=postgres\n",
            data.display(),
            sockets.display()
        );
        fs::write(&file, text)?;
        let owner = identity()?;
        if let Some(Identity { uid, gid }) = owner {
            chown(&file, Some(uid), Some(gid))?;
        }
        Ok(Stanza { name: name.to_owned(), file, repository: folder.join("repo"), owner })
    }
}

/// How a stanza is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// As pgBackRest does where nothing is said.
    Default,
    /// At Heddle's level of compression, on all cores of a small machine, small
    /// files bundled.
    LikeHeddle,
}

pub struct Stanza {
    name: String,
    file: PathBuf,
    pub repository: PathBuf,
    pub owner: Option<Identity>,
}

impl Stanza {
    /// What a cluster's `archive_command` is.
    pub fn archive_command(&self) -> String {
        format!("pgbackrest --config={} --stanza={} archive-push \"%p\"", self.file.display(), self.name)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(Path::new("pgbackrest"), self.owner);
        command.arg(format!("--config={}", self.file.display())).arg(format!("--stanza={}", self.name));
        command.args(arguments);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        ended_well(&mut self.command(arguments))
    }

    /// The newest backup's folder.
    pub fn newest(&self) -> Result<PathBuf> {
        let folder = self.repository.join("backup").join(&self.name);
        let mut labels: Vec<_> = fs::read_dir(&folder)?
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.ends_with('F'))
            .collect();
        labels.sort();
        Ok(folder.join(labels.last().context("no backup")?))
    }
}

/// The bytes of all files below a folder.
pub fn bytes_below(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let entry = entry?;
        let data = entry.metadata()?;
        sum += if data.is_dir() { bytes_below(&entry.path())? } else { data.len() };
    }
    Ok(sum)
}

//! A PostgreSQL cluster that goes with its test.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use copies::{Copied, CopyError, Database, Key, Options, Rules, copy_database};
use postgres::Binaries;
use tempfile::TempDir;
use tokio_postgres::Client;

const PORT: u16 = 5432;

pub struct Scratch {
    folder: TempDir,
    bin: Binaries,
    /// The user that PostgreSQL is run as: it refuses root.
    user: Option<(u32, u32)>,
}

impl Scratch {
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("copies-").tempdir_in("/var/tmp").unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
        let user = rustix::process::geteuid().is_root().then(|| {
            let id = |option| {
                let output = Command::new("id").args([option, "postgres"]).output().unwrap();
                String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
            };
            (id("-u"), id("-g"))
        });
        let scratch = Self { folder, bin: Binaries::find(None).unwrap(), user };
        for name in ["cell", "run"] {
            let path = scratch.path(name);
            fs::create_dir(&path).unwrap();
            if let Some((uid, gid)) = scratch.user {
                chown(&path, Some(uid), Some(gid)).unwrap();
            }
        }
        let data = scratch.path("cell");
        scratch.succeed(
            "initdb",
            &["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "-U", "heddle", "-D"],
            &data,
        );
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories={} -c port={PORT} -c fsync=off -c wal_level=minimal -c max_wal_senders=0",
            scratch.path("run").display()
        );
        let log = data.join("server.log");
        scratch.succeed(
            "pg_ctl",
            &["start", "-w", "-s", "-o", &options, "-l", log.to_str().unwrap(), "-D"],
            &data,
        );
        scratch
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn succeed(&self, program: &str, arguments: &[&str], last: &Path) {
        let mut command = Command::new(self.bin.program(program));
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command.args(arguments).arg(last).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
        assert!(command.status().unwrap().success(), "{program} failed");
    }

    pub fn database(&self, name: &str) -> Database {
        Database {
            host: self.path("run").display().to_string(),
            port: PORT,
            user: "heddle".into(),
            password: None,
            name: name.into(),
            role: None,
        }
    }

    /// An empty one, or a copy of another as it is.
    pub async fn create(&self, name: &str, template: &str) -> Database {
        let client = self.database("postgres").connect().await.unwrap();
        client.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await.unwrap();
        self.database(name)
    }

    pub async fn run(&self, database: &Database, sql: &str) -> Client {
        let client = database.connect().await.unwrap();
        client.batch_execute("SET search_path = public").await.unwrap();
        client.batch_execute(sql).await.unwrap();
        client
    }

    pub fn options(&self) -> Options {
        Options { binaries: self.bin.clone(), jobs: 2, work_dir: self.folder.path().to_owned() }
    }

    pub async fn copy(&self, from: &Database, to: &Database, rules: &Rules) -> Result<Copied, CopyError> {
        let told = Mutex::new(Vec::new());
        let tell = |progress| told.lock().unwrap().push(progress);
        let copied = copy_database(from, to, rules, Key::generate().unwrap(), &self.options(), &tell).await?;
        let told = told.into_inner().unwrap();
        let tables = told.iter().filter(|one| matches!(one, copies::copy::Progress::Table { .. })).count();
        assert!(tables > 0 && tables <= copied.tables.len(), "{told:?}");
        Ok(copied)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.succeed("pg_ctl", &["stop", "-w", "-s", "-m", "immediate", "-D"], &self.path("cell"));
    }
}

/// The only column of a query's rows, as text.
pub async fn column(client: &Client, sql: &str) -> Vec<String> {
    let rows = client.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get::<_, Option<String>>(0).unwrap_or_default()).collect()
}

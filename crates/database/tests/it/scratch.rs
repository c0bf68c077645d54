//! A PostgreSQL server for tests, shared by all test processes that run at the
//! same time, with a migrated database of its own for each test.
//!
//! Whoever comes first starts it. Each process holds a shared lock while it
//! lives; a watchdog stops the server and removes its files when nobody does.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};
use tokio_postgres::{Client, NoTls};

/// The password of `heddle_control` in every database of the server.
pub const PASSWORD: &str = "control of tests";

const BIN: &str = "/usr/lib/postgresql/15/bin";

/// A migrated database.
pub struct Scratch {
    pub name: String,
    server: &'static Server,
}

impl Scratch {
    pub async fn new() -> Self {
        Self::copy_of(Server::TEMPLATE).await
    }

    /// A database that was never migrated.
    pub async fn empty() -> Self {
        Self::copy_of("template1").await
    }

    async fn copy_of(template: &str) -> Self {
        let server = Server::get().await;
        let name = format!("t{}", uuid::Uuid::new_v4().simple());
        let admin = connect(&server.url("postgres", "postgres")).await;
        let sql = format!("CREATE DATABASE {name} TEMPLATE {template}");
        admin.batch_execute(&sql).await.expect("make a database");
        Self { name, server }
    }

    /// Where control connects.
    pub fn url(&self) -> String {
        self.server.url("heddle_control", &self.name)
    }

    pub fn admin_url(&self) -> String {
        self.server.url("postgres", &self.name)
    }

    /// As superuser.
    pub async fn admin(&self) -> Client {
        connect(&self.admin_url()).await
    }

    /// As control's role.
    pub async fn control(&self) -> Client {
        connect(&self.url()).await
    }

    /// Roles belong to the whole server: whoever migrates waits for others.
    pub fn migrating(&self) -> File {
        let lock = open(&self.server.folder.join("migrating.lock"));
        flock(&lock, FlockOperation::LockExclusive).expect("wait for other migrations");
        lock
    }
}

pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("connect to PostgreSQL");
    tokio::spawn(connection);
    client
}

struct Server {
    folder: PathBuf,
    _used: File,
}

static SERVER: OnceLock<Server> = OnceLock::new();

impl Server {
    const TEMPLATE: &'static str = "migrated";

    async fn get() -> &'static Self {
        if let Some(server) = SERVER.get() {
            return server;
        }
        let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("../database/migrations");
        let mut files: Vec<PathBuf> =
            fs::read_dir(migrations).expect("list migrations").map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let mut hash = Sha256::new();
        files.iter().for_each(|file| hash.update(fs::read(file).expect("read a migration")));
        let hash = hex::encode(&hash.finalize()[..4]);
        let folder = PathBuf::from(format!("/var/tmp/heddle-scratch-{}-{hash}", rustix::process::geteuid()));
        fs::create_dir_all(&folder).expect("make the server's folder");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o711)).expect("open the server's folder");
        let starting = open(&folder.join("starting.lock"));
        let used = open(&folder.join("used.lock"));
        let (waited, taken) = tokio::task::spawn_blocking(move || {
            flock(&starting, FlockOperation::LockExclusive).expect("wait for the server's start");
            flock(&used, FlockOperation::LockShared).expect("hold the server");
            (starting, used)
        })
        .await
        .expect("take the locks");
        let server = Self { folder, _used: taken };
        let ready = server.folder.join("ready");
        // It may have been killed since.
        let runs = ready.exists()
            && tokio_postgres::connect(&server.url("postgres", "postgres"), NoTls).await.is_ok();
        if !runs {
            let _ = fs::remove_file(ready);
            server.start().await;
        }
        drop(waited);
        SERVER.get_or_init(|| server)
    }

    async fn start(&self) {
        let (data, sockets) = (self.folder.join("data"), self.folder.join("s"));
        let _ = fs::remove_dir_all(&data);
        let _ = fs::remove_dir_all(&sockets);
        for folder in [&data, &sockets] {
            fs::create_dir(folder).expect("make a folder");
            own(folder);
        }
        let made = as_postgres("initdb", &["--wait"])
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .status()
            .expect("run initdb");
        assert!(made.success(), "initdb: {made}");
        let rules = "local all heddle_control scram-sha-256\nlocal all all trust\n";
        fs::write(data.join("pg_hba.conf"), rules).expect("write pg_hba.conf");
        let log = File::create(self.folder.join("log")).expect("make the log");
        as_postgres("postgres", &["--fork"])
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(&sockets)
            .args(["-h", "", "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"])
            .args(["-c", "max_connections=300", "-c", "shared_buffers=64MB", "-c", "autovacuum=off"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("share the log"))
            .stderr(log)
            .status()
            .expect("start postgres");
        self.watch();
        let deadline = Instant::now() + Duration::from_secs(30);
        while tokio_postgres::connect(&self.url("postgres", "postgres"), NoTls).await.is_err() {
            assert!(
                Instant::now() < deadline,
                "PostgreSQL does not start; see {:?}",
                self.folder.join("log")
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let admin = connect(&self.url("postgres", "postgres")).await;
        admin.batch_execute(&format!("CREATE DATABASE {}", Self::TEMPLATE)).await.expect("make the template");
        let url = self.url("postgres", Self::TEMPLATE);
        database::migrate::migrate_at(&url, PASSWORD).await.expect("migrate the template");
        fs::write(self.folder.join("ready"), "").expect("note that the server is ready");
    }

    /// Stops the server once no process holds it.
    fn watch(&self) {
        let script = "while sleep 1; do flock -n starting.lock flock -n used.lock sh -c '
            pid=$(head -n 1 data/postmaster.pid 2>/dev/null) && kill -QUIT $pid
            while [ -n \"$pid\" ] && kill -0 $pid 2>/dev/null; do sleep 0.1; done
            rm -rf ready data s log' && exit 0; done";
        Command::new("setsid")
            .args(["--fork", "sh", "-c", script])
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("start the watchdog");
    }

    fn url(&self, user: &str, database: &str) -> String {
        let host = self.folder.join("s");
        format!("host={} user={user} password='{PASSWORD}' dbname={database}", host.display())
    }
}

fn open(path: &Path) -> File {
    File::options().create(true).truncate(false).write(true).open(path).expect("open a lock")
}

fn root() -> bool {
    rustix::process::geteuid().is_root()
}

/// PostgreSQL refuses to run as root. `session` says whether it is waited for.
fn as_postgres(program: &str, session: &[&str]) -> Command {
    let mut command = Command::new("setsid");
    command.args(session).current_dir("/");
    if root() {
        command.args(["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]);
    }
    command.arg(format!("{BIN}/{program}"));
    command
}

fn own(folder: &Path) {
    if root() {
        let id = |flag| {
            let output = Command::new("id").args([flag, "postgres"]).output().expect("run id");
            String::from_utf8_lossy(&output.stdout).trim().parse::<u32>().expect("the user postgres")
        };
        chown(folder, Some(id("-u")), Some(id("-g"))).expect("give a folder to postgres");
    }
}

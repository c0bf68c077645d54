use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use model::lsn::SegmentSize;
use model::program::Identity;
use postgres::{
    Archive, Binaries, Cluster, InitOptions, OsUser, ShellCommand, alter_password, connect,
    create_tenant_database, initdb, rename_database, verifier, wait_ready,
};
use rustix::process::{Pid, Signal};
use tokio_postgres::Client;

pub const PATIENCE: Duration = Duration::from_secs(30);

pub fn binaries() -> Binaries {
    Binaries::find(None).expect("PostgreSQL is installed")
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A user without a name, of this test's own; None if this is not root.
pub fn identity(number: u32) -> Option<Identity> {
    let id = 2_100_000 + std::process::id() % 10_000 * 8 + number;
    is_root().then_some(Identity { uid: id, gid: id })
}

pub fn initdb_user() -> Option<OsUser> {
    OsUser::for_initdb().unwrap()
}

/// A folder that others may pass through.
pub struct Scratch(tempfile::TempDir);

impl Scratch {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("pg").tempdir_in("/var/tmp").unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o711)).unwrap();
        Self(dir)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A cluster called `name`, not made yet.
    pub fn cluster(&self, name: &str, identity: Option<Identity>) -> Cluster {
        let socket_dir = self.path().join(format!("s-{name}"));
        let cluster = Cluster {
            data_dir: self.path().join(name),
            socket_dir,
            port: free_port(),
            identity,
            socket_group: None,
            archive: None,
        };
        cluster.make_socket_dir().unwrap();
        cluster
    }

    /// A folder for the identity's own use.
    pub fn folder(&self, name: &str, identity: Option<Identity>) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir(&path).unwrap();
        chown(&path, identity.map(|id| id.uid), identity.map(|id| id.gid)).unwrap();
        path
    }

    /// A stopped cluster with the database `template` of the role `odoo`, which
    /// holds a table.
    pub async fn template(&self) -> Cluster {
        let bin = binaries();
        let owner = initdb_user();
        let cluster = self.cluster("template", owner.as_ref().map(OsUser::identity));
        let options = InitOptions { segment_size: SegmentSize::CELL, owner: cluster.identity };
        initdb(&bin, &cluster.data_dir, owner.as_ref(), &options).unwrap();
        cluster.write_config().unwrap();
        let mut server = Server::start(&cluster);
        let client = wait_ready(&cluster, PATIENCE).await.unwrap();
        create_tenant_database(&client, "template", "odoo", &verifier("template")).await.unwrap();
        // Twice is as good as once.
        create_tenant_database(&client, "template", "odoo", &verifier("template")).await.unwrap();
        let client = superuser(&cluster, "template").await;
        client.batch_execute("CREATE TABLE note (text text); ALTER TABLE note OWNER TO odoo").await.unwrap();
        drop(client);
        assert!(server.stop().success());
        cluster
    }
}

/// The statements that make a copy of [`Scratch::template`] a tenant's.
pub fn setup(database: &str, password: &str) -> Vec<(String, Vec<String>)> {
    let statements = vec![rename_database("template", database), alter_password("odoo", &verifier(password))];
    vec![("postgres".to_owned(), statements)]
}

/// An archive in a plain folder.
pub fn folder_archive(folder: &Path) -> Archive {
    Archive {
        push: ShellCommand::new("cp").wal_path().arg(folder.to_str().unwrap()),
        fetch: ShellCommand::new("cp").wal_name_in(folder).unwrap().wal_path(),
    }
}

pub async fn superuser(cluster: &Cluster, database: &str) -> Client {
    connect(&cluster.socket_dir, cluster.port, "heddle", None, database).await.unwrap()
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A postmaster that does not outlive its test.
pub struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    pub fn start(cluster: &Cluster) -> Self {
        let spec = cluster.program(&binaries(), "cell-test".parse().unwrap()).unwrap();
        let log = cluster.socket_dir.join("log");
        let file = File::create(&log).unwrap();
        let mut command = Command::new(&spec.argv[0]);
        command
            .args(&spec.argv[1..])
            .env_clear()
            .envs(&spec.env)
            .current_dir("/")
            .stdout(file.try_clone().unwrap())
            .stderr(file);
        if let Some(Identity { uid, gid }) = spec.identity {
            command.uid(uid).gid(gid);
        }
        // Also if the test is killed.
        // SAFETY: between fork and exec this makes one system call.
        unsafe {
            command.pre_exec(|| Ok(rustix::process::set_parent_process_death_signal(Some(Signal::QUIT))?));
        }
        Self { child: command.spawn().unwrap(), log }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// A fast shutdown.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::INT);
        self.ended()
    }

    /// Waits until it ends by itself.
    pub fn ended(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "the server still runs:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn signal(&self, signal: Signal) {
        let _ = rustix::process::kill_process(Pid::from_child(&self.child), signal);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.signal(Signal::QUIT);
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("{}:\n{}", self.log.display(), self.log());
        }
    }
}

/// Waits until a file is there.
pub async fn appears(path: &Path) {
    let started = Instant::now();
    while !path.exists() {
        assert!(started.elapsed() < PATIENCE, "{} did not appear", path.display());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub async fn notes(client: &Client) -> Vec<String> {
    let rows = client.query("SELECT text FROM note ORDER BY text", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

pub async fn note(client: &Client, text: &str) {
    client.execute("INSERT INTO note VALUES ($1)", &[&text]).await.unwrap();
}

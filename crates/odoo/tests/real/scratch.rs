//! A PostgreSQL cluster, and an Odoo on it, that go with the test.

use std::fs::{self, File, Permissions};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use model::program::{Exit, Identity, ProgramSpec};
use odoo::config::{Limits, TenantConfig};
use odoo::programs::{self, Launch};
use odoo::{Series, Source};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

pub const DATABASE: &str = "acme-1";
const POSTGRES: &str = "/usr/lib/postgresql/15/bin";
const ODOO_PASSWORD: &str = "100%#;=s3cret";

pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A folder that other users can pass through.
pub fn folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("heddle-odoo-").tempdir_in("/var/tmp").unwrap();
    set_mode(folder.path(), 0o711);
    folder
}

pub fn exit(status: ExitStatus) -> Exit {
    status.code().map_or_else(|| Exit::Signal(status.signal().unwrap_or(0)), Exit::Code)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The user that PostgreSQL is run as: it refuses root.
fn postgres_user() -> Option<Identity> {
    if !geteuid().is_root() {
        return None;
    }
    let id = |option| {
        let output = Command::new("id").args([option, "postgres"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
    };
    Some(Identity { uid: id("-u"), gid: id("-g") })
}

fn as_user(command: &mut Command, identity: Option<Identity>) -> &mut Command {
    if let Some(Identity { uid, gid }) = identity {
        command.uid(uid).gid(gid);
    }
    command
}

pub struct House {
    folder: TempDir,
    source: Source,
    cell_user: Option<Identity>,
    odoo_user: Option<Identity>,
    socket_port: u16,
}

impl House {
    pub fn new(source: Source) -> Self {
        // an identity without a passwd entry, as tenants have
        let odoo_user = geteuid().is_root().then(|| {
            let uid = 2_900_000 + std::process::id() % 100_000;
            Identity { uid, gid: uid }
        });
        let house =
            Self { folder: folder(), source, cell_user: postgres_user(), odoo_user, socket_port: 5432 };
        house.make_folder("cell", house.cell_user, 0o700);
        house.make_folder("run", house.cell_user, 0o711);
        house.make_folder("odoo", house.odoo_user, 0o700);
        house.make_folder("archive", None, 0o711);
        odoo::addon::install(&house.path("addons")).unwrap();
        house.copy_hostile();
        let initdb = house
            .postgres("initdb")
            .args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username=heddle", "-D"])
            .arg(house.path("cell"))
            .output()
            .unwrap();
        assert!(initdb.status.success(), "{}", String::from_utf8_lossy(&initdb.stderr));
        house.start_cell();
        house.psql("postgres", &format!("CREATE ROLE odoo LOGIN PASSWORD '{ODOO_PASSWORD}'"));
        house.psql("postgres", &format!("CREATE DATABASE \"{DATABASE}\" OWNER odoo"));
        house
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn make_folder(&self, name: &str, owner: Option<Identity>, mode: u32) {
        let path = self.path(name);
        fs::create_dir(&path).unwrap();
        set_mode(&path, mode);
        if let Some(Identity { uid, gid }) = owner {
            chown(&path, Some(uid), Some(gid)).unwrap();
        }
    }

    fn postgres(&self, program: &str) -> Command {
        let mut command = Command::new(Path::new(POSTGRES).join(program));
        as_user(&mut command, self.cell_user).current_dir("/").stdin(Stdio::null());
        command
    }

    fn start_cell(&self) {
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories={} -c port={} -c fsync=off",
            self.path("run").display(),
            self.socket_port
        );
        let started = self
            .postgres("pg_ctl")
            .args(["start", "-w", "-s", "-o", &options, "-l"])
            .arg(self.path("cell/server.log"))
            .arg("-D")
            .arg(self.path("cell"))
            .status()
            .unwrap();
        assert!(started.success());
    }

    fn stop_cell(&self) {
        let mut stop = self.postgres("pg_ctl");
        stop.args(["stop", "-w", "-s", "-m", "fast", "-D"]).arg(self.path("cell")).status().unwrap();
    }

    fn psql(&self, database: &str, statement: &str) -> String {
        let output = self
            .postgres("psql")
            .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "heddle", "-c", statement, "-h"])
            .arg(self.path("run"))
            .args(["-p", &self.socket_port.to_string(), database])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    pub fn query(&self, statement: &str) -> String {
        self.psql(DATABASE, statement)
    }

    pub fn in_single_user_mode(&self, statements: &[String]) {
        self.stop_cell();
        let script = self.path("script.sql");
        fs::write(&script, statements.join("\n") + "\n").unwrap();
        set_mode(&script, 0o644);
        let mut single = self.postgres("postgres");
        single.args(["--single", "-D"]).arg(self.path("cell")).args(["-c", "log_error_verbosity=terse"]);
        let (exit, text) = {
            let output = single.arg(DATABASE).stdin(File::open(&script).unwrap()).output().unwrap();
            (exit(output.status), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        assert_eq!(exit, Exit::Code(0), "{text}");
        assert!(!text.contains("ERROR"), "{text}");
        self.start_cell();
    }

    pub fn series(&self) -> Series {
        self.source.series
    }

    pub fn identity(&self) -> Option<Identity> {
        self.odoo_user
    }

    pub fn files_socket(&self) -> PathBuf {
        self.path("archive/files.sock")
    }

    pub fn router_key(&self) -> PathBuf {
        self.path("router.key")
    }

    pub fn write_router_key(&self, key: &str) {
        fs::write(self.router_key(), format!("{key}\n")).unwrap();
        if let Some(Identity { uid, gid }) = self.odoo_user {
            chown(self.router_key(), Some(uid), Some(gid)).unwrap();
        }
        set_mode(&self.router_key(), 0o400);
    }

    pub fn remove_router_key(&self) {
        fs::remove_file(self.router_key()).unwrap();
    }

    /// The checkout may be closed to the users that Odoo runs as.
    fn copy_hostile(&self) {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/addons");
        let to = self.path("hostile");
        assert!(Command::new("cp").arg("-r").args([&from, &to]).status().unwrap().success());
        assert!(Command::new("chmod").args(["-R", "a+rX"]).arg(&to).status().unwrap().success());
    }

    fn configure(&self, http_port: u16, gevent_port: u16, workers: u16) -> PathBuf {
        let config = TenantConfig {
            series: self.source.series,
            addons: [vec![self.path("addons"), self.path("hostile")], self.source.addons.clone()].concat(),
            database: DATABASE.parse().unwrap(),
            socket_dir: self.path("run"),
            socket_port: self.socket_port,
            database_password: ODOO_PASSWORD.into(),
            master_password: "m4ster".into(),
            data_dir: self.path("odoo"),
            http_port,
            gevent_port,
            workers,
            cron_threads: 1,
            limits: Limits::default(),
        };
        let path = self.path("odoo.conf");
        config.write(&path, self.odoo_user).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        path
    }

    fn launch<T>(&self, config: &Path, act: impl FnOnce(&Launch) -> T) -> T {
        let (data_dir, key, socket) = (self.path("odoo"), self.router_key(), self.files_socket());
        act(&Launch {
            source: &self.source,
            heddle_addons: &self.path("addons"),
            config,
            data_dir: &data_dir,
            identity: self.odoo_user,
            router_key: Some(&key),
            files_socket: Some(&socket),
        })
    }

    /// Installs modules; the exit and the log.
    pub fn init(&self, modules: &[&str]) -> (Exit, String) {
        let config = self.configure(free_port(), free_port(), 0);
        let modules: Vec<String> = modules.iter().map(|&module| module.to_owned()).collect();
        let spec =
            self.launch(&config, |launch| programs::init("odoo-init".parse().unwrap(), launch, &modules));
        crate::run(&mut command(&spec))
    }

    pub fn serve(&self, workers: u16) -> Served {
        let (port, gevent_port) = (free_port(), free_port());
        let config = self.configure(port, gevent_port, workers);
        let spec = self.launch(&config, |launch| programs::serve("odoo".parse().unwrap(), launch, workers));
        let log = File::create(self.path("odoo.log")).unwrap();
        let child = command(&spec).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Served { child, address: at(port), gevent: at(gevent_port), log: self.path("odoo.log") }
    }

    /// `xx/<sha1>` of every file in the filestore.
    pub fn filestore_files(&self) -> Vec<String> {
        list(&self.path("odoo/filestore").join(DATABASE), |folder| folder.len() == 2)
    }

    /// How many of `names` a later clean-up will look at.
    pub fn on_checklist(&self, names: &[String]) -> usize {
        let listed = list(&self.path("odoo/filestore").join(DATABASE).join("checklist"), |_| true);
        names.iter().filter(|name| listed.contains(name)).count()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop_cell();
    }
}

fn list(root: &Path, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let names = |path: &Path| -> Vec<String> {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
    };
    let folders = names(root).into_iter().filter(|folder| wanted(folder));
    folders
        .flat_map(|folder| {
            let files = names(&root.join(&folder));
            files.into_iter().map(move |file| format!("{folder}/{file}"))
        })
        .collect()
}

fn command(spec: &ProgramSpec) -> Command {
    let mut command = Command::new(&spec.argv[0]);
    command.args(&spec.argv[1..]).env_clear().envs(&spec.env).current_dir(&spec.dir);
    as_user(&mut command, spec.identity);
    command
}

pub struct Served {
    child: Child,
    pub address: SocketAddr,
    pub gevent: SocketAddr,
    log: PathBuf,
}

impl Served {
    pub fn stop(mut self, grace: Duration) -> Exit {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).unwrap();
        let deadline = Instant::now() + grace;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return exit(status);
            }
            sleep(Duration::from_millis(50));
        }
        panic!("Odoo did not end within {grace:?}");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

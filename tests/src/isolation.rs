//! What a hostile addon in one tenant can reach of its neighbour, of the
//! platform and of its own cluster: nothing.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::house::{House, host};
use crate::platform::{Platform, processes, text};
use crate::rpc::browser;
use crate::state::Place;

/// A tenant's place on the machine, as only root can find it out.
struct Ground {
    place: Place,
    /// The tenant's folder; its lineages are below.
    folder: PathBuf,
    http: u64,
    odoo: i32,
    odoo_shim: i32,
    cell: i32,
    cell_shim: i32,
    database_password: String,
    router_key: String,
}

impl Ground {
    async fn of(platform: &Platform, tenant: &str) -> Result<Self> {
        let place = Place::of(platform, tenant).await?;
        let folder = place.folder.parent().context("the tenant's folder")?.to_owned();
        let read = |path: PathBuf| -> Result<Value> {
            let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            Ok(serde_json::from_slice(&bytes)?)
        };
        let secrets = read(folder.join("secrets/odoo.json"))?;
        let (conf, data) = (folder.join("conf/odoo.conf"), place.folder.join("cell"));
        let programs = platform.data.join("programs");
        Ok(Self {
            http: read(place.folder.join("odoo.json"))?["http"].as_u64().context("Odoo's port")?,
            odoo: process(&[&conf])?,
            cell: process(&[Path::new("-D"), &data])?,
            odoo_shim: process(&[Path::new("shim"), &programs.join(format!("odoo-{}", place.lineage))])?,
            cell_shim: process(&[Path::new("shim"), &programs.join(format!("cell-{}", place.lineage))])?,
            database_password: text(&secrets, "database_password"),
            router_key: text(&secrets, "router_key"),
            folder,
            place,
        })
    }

    fn database(&self) -> String {
        text(&self.place.tenant, "database")
    }

    /// A socket that the worker's archive service made for the tenant's cell
    /// (`sock`) or for its Odoo (`files.sock`).
    fn archive_socket(&self, kind: &str) -> PathBuf {
        let run = self.place.socket_dir.parent().unwrap_or(Path::new("/"));
        let name = self.place.socket_dir.file_name().unwrap_or_default().to_string_lossy();
        run.join("a").join(format!("{name}.{kind}"))
    }

    fn cell_socket(&self) -> PathBuf {
        self.place.socket_dir.join(format!(".s.PGSQL.{}", self.place.port))
    }

    /// One of the filestore's files.
    fn attachment(&self) -> Result<PathBuf> {
        let folders = fs::read_dir(self.place.filestore()).context("list the filestore")?;
        let mut folders =
            folders.flatten().map(|entry| entry.path()).filter(|path| !path.ends_with("checklist"));
        let folder = folders.next().context("the filestore has files")?;
        Ok(fs::read_dir(folder)?.flatten().next().context("the folder has a file")?.path())
    }
}

/// The one process that has all of these arguments.
fn process(arguments: &[&Path]) -> Result<i32> {
    let has =
        |argv: &[String]| arguments.iter().all(|wanted| argv.iter().any(|one| Path::new(one) == *wanted));
    let mut found = processes().into_iter().filter(|(_, _, argv)| has(argv));
    let (pid, ..) = found.next().with_context(|| format!("no process has the arguments {arguments:?}"))?;
    Ok(pid)
}

/// What is asked of the addon, each an attempt of its own.
#[derive(Default)]
struct Attempts(Vec<Value>);

impl Attempts {
    fn on(&mut self, kind: &str, path: impl AsRef<Path>) {
        self.0.push(json!({"kind": kind, "path": path.as_ref()}));
    }

    fn ask(&mut self, attempt: Value) {
        self.0.push(attempt);
    }

    /// Everything that `/proc` would tell of another's process, and every way
    /// to act on it.
    fn process(&mut self, pid: i32) {
        for entry in ["environ", "mem", "root", "fd", "cwd", "maps"] {
            self.ask(json!({"kind": "read_proc", "pid": pid, "entry": entry}));
        }
        self.ask(json!({"kind": "signal_pid", "pid": pid, "number": 0}));
        self.ask(json!({"kind": "signal_pid", "pid": pid, "number": 15}));
        self.ask(json!({"kind": "trace_pid", "pid": pid}));
    }

    fn postgres(&mut self, address: &str, port: u16, user: &str, database: &str, password: &str) {
        self.ask(json!({"kind": "connect_tcp_postgres", "address": address, "port": port, "user": user,
            "database": database, "password": password}));
    }

    fn http(&mut self, port: u64, host: Option<&str>, path: &str, headers: Value) {
        self.ask(
            json!({"kind": "connect_tcp_http", "port": port, "host": host, "path": path, "headers": headers}),
        );
    }
}

/// Lets the addon in `tenant` try everything on `neighbour` and the platform.
/// Returns how many attempts were made, all of them refused.
pub async fn isolation(house: &House, tenant: &str, neighbour: &str, repository: &Path) -> Result<usize> {
    let platform = &house.platform;
    let (own, other) = (Ground::of(platform, tenant).await?, Ground::of(platform, neighbour).await?);

    // What is the tenant's own must work, or refusals would prove nothing.
    let allowed = attempt(platform, tenant, allowed(&own)?).await?;
    for one in &allowed {
        ensure!(
            one["refused"] == false && went_well(one),
            "its own things must be the tenant's to use: {one}"
        );
    }

    let mut attempts = Attempts::default();
    files(&mut attempts, platform, &own, &other, repository)?;
    sockets_and_ports(&mut attempts, platform, &own, &other)?;
    programs(&mut attempts, platform, &own, &other)?;
    own_cluster(&mut attempts, &own);
    let count = attempts.0.len();
    let answers = attempt(platform, tenant, attempts.0).await?;
    let broken: Vec<String> =
        answers.iter().filter(|one| one["refused"] != true).map(ToString::to_string).collect();
    println!("isolation: refused {}/{count} ({} of its own allowed)", count - broken.len(), allowed.len());
    ensure!(answers.len() == count, "{} of {count} attempts were answered", answers.len());
    ensure!(broken.is_empty(), "these attempts were not refused:\n{}", broken.join("\n"));

    let after = Ground::of(platform, neighbour).await?;
    ensure!((other.odoo, other.cell) == (after.odoo, after.cell), "{neighbour}'s programs are others now");
    Ok(count)
}

fn went_well(answer: &Value) -> bool {
    // Errors that are no refusals begin with their Python type.
    answer["detail"].as_str().is_some_and(|detail| !detail.contains("Error: "))
}

fn allowed(own: &Ground) -> Result<Vec<Value>> {
    let mut attempts = Attempts::default();
    attempts.on("read_file", own.folder.join("conf/odoo.conf"));
    attempts.on("read_file", own.attachment()?);
    attempts.on("list_dir", own.place.filestore());
    attempts.on("connect_unix", own.cell_socket());
    attempts.on("connect_unix", own.archive_socket("files.sock"));
    attempts.postgres("127.0.0.1", own.place.port, "odoo", &own.database(), &own.database_password);
    attempts.ask(json!({"kind": "connect_database", "database": "postgres"}));
    attempts.http(own.http, Some(&host("acme")), "/web/login", json!({"X-Heddle-Router": own.router_key}));
    attempts.ask(json!({"kind": "read_proc", "pid": own.odoo, "entry": "environ"}));
    attempts.ask(json!({"kind": "signal_pid", "pid": own.odoo, "number": 0}));
    Ok(attempts.0)
}

fn files(
    attempts: &mut Attempts,
    platform: &Platform,
    own: &Ground,
    other: &Ground,
    repository: &Path,
) -> Result<()> {
    let data = &platform.data;
    let cell = other.place.folder.join("cell");
    for path in [
        other.folder.join("conf/odoo.conf"),
        other.folder.join("conf/router.key"),
        other.folder.join("secrets/odoo.json"),
        other.attachment()?,
        cell.join("PG_VERSION"),
        cell.join("global/pg_control"),
        own.place.folder.join("cell/pg_hba.conf"),
        own.folder.join("secrets/odoo.json"),
        data.join("secrets/admin.key"),
        data.join("secrets/platform.key"),
        data.join("secrets/repository.key"),
        data.join("secrets/control.url"),
        data.join("routes.json"),
        data.join("logs/worker.log"),
        data.join("management/PG_VERSION"),
        data.join("programs").join(format!("odoo-{}", other.place.lineage)).join("spec.json"),
        data.join("programs").join(format!("odoo-{}", other.place.lineage)).join("log"),
        repository.join("heddle.json"),
        "/etc/shadow".into(),
    ] {
        ensure!(path.exists(), "{} would not be there to be read", path.display());
        attempts.on("read_file", path);
    }
    let run = own.place.socket_dir.parent().context("the run folder")?;
    for path in [
        data.clone(),
        data.join("tenants"),
        data.join("secrets"),
        data.join("programs"),
        data.join("builds"),
        other.folder.clone(),
        other.place.folder.clone(),
        other.place.filestore(),
        other.place.folder.join("odoo/sessions"),
        cell,
        other.place.socket_dir.clone(),
        run.to_owned(),
        run.join("a"),
        repository.to_owned(),
        repository.join("tenants").join(text(&own.place.tenant, "id")),
    ] {
        ensure!(path.exists(), "{} would not be there to be listed", path.display());
        attempts.on("list_dir", path);
    }
    for path in [
        data.join("bin/heddle"),
        data.join("addons/heddle/router.py"),
        data.join("lock"),
        other.place.folder.join("cell.json"),
        own.place.folder.join("cell.json"),
        own.place.folder.join("cell/postgresql.conf"),
        repository.join("heddle.json"),
    ] {
        attempts.on("write_file", &path);
        attempts.on("remove_file", path);
    }
    attempts.on("write_file", own.folder.join("secrets/planted"));
    attempts.on("write_file", data.join("addons/planted.py"));
    attempts.on("write_file", repository.join("planted"));
    Ok(())
}

fn sockets_and_ports(
    attempts: &mut Attempts,
    platform: &Platform,
    own: &Ground,
    other: &Ground,
) -> Result<()> {
    let run = own.place.socket_dir.parent().context("the run folder")?;
    let management: u16 = fs::read_to_string(platform.data.join("management.port"))?.trim().parse()?;
    for socket in [
        other.cell_socket(),
        other.archive_socket("sock"),
        other.archive_socket("files.sock"),
        // Its own cell's archive is its cell's alone.
        own.archive_socket("sock"),
        run.join("management").join(format!(".s.PGSQL.{management}")),
    ] {
        ensure!(socket.exists(), "{} would not be there to be reached", socket.display());
        attempts.on("connect_unix", socket);
    }

    let other_host = host(&other.database());
    for headers in [
        json!({}),
        json!({"X-Heddle-Router": own.router_key}),
        json!({"X_Heddle_Router": own.router_key, "X-Forwarded-For": "127.0.0.1"}),
    ] {
        for path in ["/web/login", "/web/database/manager", "/web/health"] {
            attempts.http(other.http, Some(&other_host), path, headers.clone());
        }
    }
    attempts.http(own.http, None, "/web/login", json!({}));
    let console = platform.console.rsplit_once(':').context("the console's port")?.1.parse()?;
    for headers in [json!({}), json!({"Authorization": format!("Bearer {}", own.router_key)})] {
        for path in ["/api/v1/tenants", "/api/v1/status", "/internal/routes", "/api/v1/projects"] {
            attempts.http(console, None, path, headers.clone());
        }
    }

    for path in ["/internal/workers", "/internal/runs/claim"] {
        attempts.ask(json!({"kind": "connect_tcp_http", "port": console, "path": path, "method": "POST"}));
    }

    let (role, password) = ("odoo", own.database_password.as_str());
    let (mine, theirs) = (own.place.port, other.place.port);
    let loopback = "127.0.0.1";
    attempts.postgres(loopback, theirs, role, &other.database(), password);
    attempts.postgres(loopback, theirs, role, "postgres", password);
    attempts.postgres(loopback, theirs, "heddle", &other.database(), password);
    attempts.postgres(loopback, mine, "heddle", &own.database(), password);
    attempts.postgres(loopback, mine, "postgres", &own.database(), password);
    attempts.postgres(loopback, management, role, "heddle", password);
    attempts.postgres(loopback, management, "heddle", "heddle", password);
    attempts.postgres(loopback, management, "heddle_control", "heddle", password);
    let folder = |path: &Path| path.display().to_string();
    attempts.postgres(&folder(&own.place.socket_dir), mine, "heddle", &own.database(), password);
    attempts.postgres(&folder(&other.place.socket_dir), theirs, role, &other.database(), password);
    attempts.postgres(&folder(&run.join("management")), management, "heddle", "heddle", password);
    Ok(())
}

fn programs(attempts: &mut Attempts, platform: &Platform, own: &Ground, other: &Ground) -> Result<()> {
    for pid in [other.odoo, other.cell, other.odoo_shim, own.cell, own.odoo_shim, own.cell_shim] {
        attempts.process(pid);
    }
    for role in ["control", "worker", "router"] {
        attempts.process(platform.role(role).with_context(|| format!("{role} runs"))?);
    }
    attempts.process(process(&[Path::new("-D"), &platform.data.join("management")])?);
    attempts.ask(json!({"kind": "setuid", "uid": 0}));
    attempts.ask(json!({"kind": "setgid", "gid": 0}));
    attempts.ask(json!({"kind": "gain_privileges"}));
    Ok(())
}

/// What only a superuser may do, tried as Odoo's own role.
fn own_cluster(attempts: &mut Attempts, own: &Ground) {
    for kind in [
        "copy_program",
        "copy_program_out",
        "pg_ls_dir",
        "create_superuser",
        "become_superuser",
        "create_database",
        "alter_system",
    ] {
        attempts.ask(json!({"kind": kind}));
    }
    for path in ["/etc/passwd", "postgresql.conf"] {
        attempts.on("pg_read_file", path);
    }
    attempts.on("lo_import", "/etc/passwd");
    attempts.on("pg_read_file", own.folder.join("secrets/odoo.json"));
    for role in ["heddle", "pg_execute_server_program", "pg_read_server_files", "pg_write_server_files"] {
        attempts.ask(json!({"kind": "switch_role", "role": role}));
    }
    attempts.ask(json!({"kind": "connect_database", "database": "template1"}));
}

/// Has the addon in `tenant` make these attempts.
async fn attempt(platform: &Platform, tenant: &str, attempts: Vec<Value>) -> Result<Vec<Value>> {
    let host = host(tenant);
    let port = platform.router.rsplit_once(':').context("a port")?.1;
    let url = format!("http://{host}:{port}/heddle_hostile/try");
    let asked = browser(&platform.router, &host)?
        .post(url)
        .header("Content-Type", "text/plain")
        .body(Value::from(attempts).to_string())
        .send()
        .await?;
    ensure!(asked.status().is_success(), "the hostile addon answered {}", asked.status());
    let answer: Value = asked.json().await?;
    answer["attempts"].as_array().cloned().context("a list of attempts")
}

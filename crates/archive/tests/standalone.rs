//! A tenant is given back out of its repository alone.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use archive::standalone::{Destination, Restored, Standalone, StandaloneError, Step};
use archive::{BackupRequest, FetchError, FileId, Filestore};
use jiff::Timestamp;
use model::archive::{Activation, SnapshotPoint};
use model::lsn::Lsn;
use model::restore::{self, Plan, Stop, Target};
use model::{LineageId, SnapshotId};
use postgres::{Binaries, ShellCommand};
use support::{House, cell_identity};
use tokio::time::Instant;
use tokio_postgres::Client;
use tokio_postgres::types::PgLsn;

const ATTACHMENTS: &str = "SELECT DISTINCT store_fname FROM ir_attachment WHERE store_fname <> ''";

/// Adds an attachment and a row that names it.
async fn attach(client: &Client, filestore: &Filestore, bytes: &[u8]) {
    let name = FileId::of(bytes).to_string();
    let path = filestore.data_dir.join("filestore/postgres").join(&name[..2]).join(&name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
    let name = format!("{}/{name}", &name[..2]);
    client.execute("INSERT INTO ir_attachment (store_fname) VALUES ($1)", &[&name]).await.unwrap();
}

async fn now(client: &Client) -> Timestamp {
    client.query_one("SELECT clock_timestamp()", &[]).await.unwrap().get(0)
}

async fn durable(house: &House, client: &Client, lineage: LineageId, query: &str) -> Lsn {
    let lsn = Lsn(client.query_one(query, &[]).await.unwrap().get::<_, PgLsn>(0).into());
    client.query_one("SELECT pg_switch_wal()", &[]).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    house.archive.wait_for_wal(lineage, lsn, deadline).await.unwrap();
    lsn
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn give_back(
    house: &House,
    root: &Path,
    name: &str,
    plan: &Plan,
    steps: &Arc<Mutex<Vec<Step>>>,
) -> Result<Restored, StandaloneError> {
    let repository = house.read(root);
    let to = Destination::create(&house.scratch.path().join(name))?;
    let fetch = ShellCommand::new(house.wal.to_str().unwrap()).arg("fetch");
    let fetch = fetch.arg(to.wal_socket().to_str().unwrap()).wal_name().wal_path();
    let how = Standalone {
        to,
        binaries: Binaries::find(Some(Path::new(support::BIN))).unwrap(),
        identity: cell_identity(),
        port: free_port(),
        fetch,
        attachments: ATTACHMENTS,
    };
    let steps = steps.clone();
    let archive = repository.tenant(house.archive.tenant());
    archive.restore_standalone(plan, how, move |step| steps.lock().unwrap().push(step)).await
}

/// Starts what was given back as its user is told to, and reads it.
fn rows(restored: &Restored) -> Vec<String> {
    assert!(!restored.data_dir.join("postmaster.pid").exists(), "it was stopped");
    let ctl = |args: &[&str]| {
        let mut command = Command::new(format!("{}/pg_ctl", support::BIN));
        if let Some(identity) = cell_identity() {
            use std::os::unix::process::CommandExt;
            command.uid(identity.uid).gid(identity.gid);
        }
        command.args(args).arg("-D").arg(&restored.data_dir).current_dir("/");
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        assert!(command.status().unwrap().success(), "{args:?}");
    };
    ctl(&["start", "-w"]);
    let output = Command::new(format!("{}/psql", support::BIN))
        .args(["-X", "-A", "-t", "-U", "heddle", "-d", &restored.database, "-h"])
        .arg(&restored.socket_dir)
        .args(["-p", &restored.port.to_string(), "-c", "SELECT name FROM event ORDER BY id"])
        .output()
        .unwrap();
    ctl(&["stop", "-w", "-m", "fast"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn files(restored: &Restored) -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    let filestore = restored.odoo_dir.join("filestore").join(&restored.database);
    for folder in fs::read_dir(filestore).unwrap() {
        for file in fs::read_dir(folder.unwrap().path()).unwrap() {
            files.push(fs::read(file.unwrap().path()).unwrap());
        }
    }
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn the_very_rows_and_files_come_back() {
    let house = House::new();
    let (mut cell, lineage) = house.first_cell("cell").await;
    let client = cell.connect().await;
    let tables = "CREATE TABLE event (id bigserial PRIMARY KEY, name text);
                  CREATE TABLE ir_attachment (id bigserial PRIMARY KEY, store_fname text)";
    client.batch_execute(tables).await.unwrap();
    house.archive.put_activation(Activation { lineage, at: now(&client).await }).await.unwrap();
    let wal_timeout = Duration::from_secs(30);
    let request =
        BackupRequest { lineage, data_dir: cell.data.clone(), client: cell.connect().await, wal_timeout };
    house.archive.backup(request, |_, _| {}).await.unwrap();
    let filestore = Filestore { data_dir: house.scratch.path().join("odoo"), database: "postgres".into() };
    let event = async |name: &str| {
        client.execute("INSERT INTO event (name) VALUES ($1)", &[&name]).await.unwrap();
    };
    event("one").await;
    attach(&client, &filestore, b"first").await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let between = now(&client).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    event("two").await;
    attach(&client, &filestore, b"second").await;
    let id = SnapshotId::new();
    let (at, restore_point) = (now(&client).await, SnapshotPoint::restore_point(id, 1));
    let query = format!("SELECT pg_create_restore_point('{restore_point}')");
    let lsn = durable(&house, &client, lineage, &query).await;
    house.archive.sync_filestore(&filestore).await.unwrap();
    let point = SnapshotPoint { id, lineage, name: "named".into(), restore_point, lsn, at };
    house.archive.put_snapshot(point).await.unwrap();
    event("three").await;
    // Never kept: the database names it, and it was lost.
    attach(&client, &filestore, b"third").await;
    drop(client);
    cell.kill();
    house.archive.take_pg_wal(lineage, &cell.data).await.unwrap();

    // The cell, its filestore and the repository's own machine are gone.
    let root = house.scratch.path().join("carried");
    let copied = Command::new("cp").arg("-a").arg(house.service.repository().root()).arg(&root).status();
    assert!(copied.unwrap().success());
    fs::remove_dir_all(&cell.data).unwrap();
    fs::remove_dir_all(&filestore.data_dir).unwrap();

    let archive = house.read(&root).tenant(house.archive.tenant());
    let history = archive.history().await.unwrap().history;
    let plan = |target| restore::plan(&history, target, Timestamp::now(), Duration::MAX).unwrap();
    let steps = Arc::new(Mutex::new(Vec::new()));

    let restored = give_back(&house, &root, "at", &plan(Target::Time(between)), &steps).await.unwrap();
    assert_eq!((rows(&restored), files(&restored)), (vec!["one".into()], vec![b"first".to_vec()]));
    assert!((restored.files, restored.timeline.0) == (1, 2) && restored.missing.is_empty());
    let told = steps.lock().unwrap().clone();
    assert!(matches!(told[told.len() - 4], Step::Copying { done, of } if done == of), "{told:?}");
    assert_eq!(told[told.len() - 3..], [Step::PlacingWal, Step::Replaying, Step::PlacingFiles]);

    let restored = give_back(&house, &root, "named", &plan(Target::Snapshot(id)), &steps).await.unwrap();
    assert_eq!(rows(&restored), ["one", "two"]);
    assert_eq!(files(&restored), [b"first".to_vec(), b"second".to_vec()]);

    // Later than the last commit: all there is. And what is missing is told.
    let latest = plan(Target::Time(Timestamp::now()));
    let restored = give_back(&house, &root, "latest", &latest, &steps).await.unwrap();
    assert!(steps.lock().unwrap().contains(&Step::ReplayingToEnd));
    assert_eq!(rows(&restored), ["one", "two", "three"]);
    assert_eq!((restored.files, restored.missing), (2, vec![FileId::of(b"third").to_string()]));

    let error = give_back(&house, &root, "latest", &latest, &steps).await.unwrap_err();
    assert!(matches!(error, StandaloneError::NotEmpty(_)), "{error}");
    // A damaged object is left out, and named.
    let name = FileId::of(b"first").to_string();
    let tenant = house.archive.tenant().to_string();
    let object = root.join("tenants").join(&tenant).join("files").join(&name[..2]).join(&name);
    fs::write(object, "f1rst").unwrap();
    let to_end = Plan { stop: Stop::End, ..latest };
    let restored = give_back(&house, &root, "again", &to_end, &steps).await.unwrap();
    assert_eq!(files(&restored), [b"second".to_vec()]);
    assert_eq!(restored.damaged, [name]);
    // Damaged WAL is never replayed, nor passed over.
    let wal = root.join("tenants").join(&tenant).join("lineages").join(lineage.to_string()).join("wal");
    let last = fs::read_dir(&wal).unwrap().map(|entry| entry.unwrap().path());
    let last = last.filter(|path| path.to_string_lossy().ends_with(".partial")).max().unwrap();
    fs::write(last, "not sealed").unwrap();
    let error = give_back(&house, &root, "damaged", &to_end, &steps).await.unwrap_err();
    assert!(matches!(error, StandaloneError::Wal(FetchError::Damaged { .. })), "{error:?}");
}

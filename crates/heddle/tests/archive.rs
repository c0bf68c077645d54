//! `heddle archive`: a repository is checked, and a tenant given back out of
//! it, by the binary alone.

#[path = "../../archive/tests/support/weed.rs"]
mod weed;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use archive::{
    ArchiveService, BackupRequest, FileId, Filestore, KeyFile, Location, Repository, SnapshotMark, WalAccess,
};
use jiff::Timestamp;
use model::archive::{Activation, Lineage, SnapshotPoint};
use model::lsn::{SegmentSize, Timeline};
use model::{LineageId, SnapshotId, TenantId};
use postgres::{Binaries, Cluster, InitOptions, OsUser};
use tokio::time::Instant;

fn heddle(arguments: &[&str]) -> Output {
    heddle_with(&[], arguments)
}

fn heddle_with(environment: &[(&str, String)], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heddle"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HEDDLE_")) {
        command.env_remove(name);
    }
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.args(arguments).output().unwrap()
}

fn ended(output: &Output, code: i32) -> (String, String) {
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert_eq!(output.status.code(), Some(code), "{text:?}");
    text.into()
}

struct Cell {
    cluster: Cluster,
    child: Child,
}

impl Drop for Cell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(cluster: Cluster, binaries: &Binaries, folder: &Path) -> Cell {
    let spec = cluster.program(binaries, "cell".parse().unwrap()).unwrap();
    let log = fs::File::create(folder.join("log")).unwrap();
    let mut command = Command::new(&spec.argv[0]);
    command.args(&spec.argv[1..]).env_clear().envs(&spec.env).current_dir(&spec.dir).stdin(Stdio::null());
    if let Some(identity) = spec.identity {
        command.uid(identity.uid).gid(identity.gid);
    }
    command.stdout(log.try_clone().unwrap()).stderr(log);
    Cell { cluster, child: command.spawn().unwrap() }
}

/// A cell, archiving into a repository with one backup and one snapshot.
async fn fill(folder: &Path, place: Location) -> TenantId {
    let binaries = Binaries::find(None).unwrap();
    let user = OsUser::for_initdb().unwrap();
    let identity = user.as_ref().map(OsUser::identity);
    let home = folder.join("cell");
    fs::create_dir(&home).unwrap();
    if let Some(identity) = identity {
        chown(&home, Some(identity.uid), Some(identity.gid)).unwrap();
    }
    let program = folder.join("heddle");
    fs::copy(env!("CARGO_BIN_EXE_heddle"), &program).unwrap();
    let socket = folder.join("wal.sock");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let cluster = Cluster {
        data_dir: home.join("data"),
        socket_dir: home.join("run"),
        port,
        identity,
        socket_group: None,
        archive: Some(postgres::Archive::over_socket(&program, &socket).unwrap()),
    };
    let options = InitOptions { segment_size: SegmentSize::CELL, owner: identity };
    postgres::initdb(&binaries, &cluster.data_dir, user.as_ref(), &options).unwrap();
    cluster.make_socket_dir().unwrap();
    cluster.write_config().unwrap();
    let control = fs::read(cluster.data_dir.join("global/pg_control")).unwrap();
    let keys = KeyFile::at(folder.join("key"));
    keys.make().unwrap();
    let service = ArchiveService::new(Repository::open_or_create(place, keys).unwrap());
    let (tenant, id) = (TenantId::new(), LineageId::new());
    let archive = service.repository().tenant(tenant);
    let lineage = Lineage {
        id,
        tenant,
        parent: None,
        timeline: Timeline(1),
        system_identifier: u64::from_le_bytes(*control.first_chunk().unwrap()),
        segment_size: SegmentSize::CELL,
        database: "acme".into(),
    };
    archive.put_lineage(lineage).await.unwrap();
    archive.put_activation(Activation { lineage: id, at: Timestamp::now() }).await.unwrap();
    service.serve_wal(&socket, identity, WalAccess { tenant, push: Some(id), fetch: None }).await.unwrap();
    let cell = start(cluster, &binaries, folder);
    let connect = async |database| {
        let (socket, port) = (&cell.cluster.socket_dir, cell.cluster.port);
        postgres::connect(socket, port, postgres::SUPERUSER, None, database).await.unwrap()
    };
    let client = postgres::wait_ready(&cell.cluster, Duration::from_secs(30)).await.unwrap();
    client.batch_execute("CREATE DATABASE acme").await.unwrap();
    let client = connect("acme").await;
    let tables = "CREATE TABLE event (name text); CREATE TABLE ir_attachment (store_fname text)";
    client.batch_execute(tables).await.unwrap();
    let wal_timeout = Duration::from_secs(30);
    let data_dir = cell.cluster.data_dir.clone();
    let request = BackupRequest { lineage: id, data_dir, client: connect("postgres").await, wal_timeout };
    archive.backup(request, |_, _| {}).await.unwrap();

    let name = FileId::of(b"kept").to_string();
    let kept = folder.join("odoo/filestore/acme").join(&name[..2]);
    fs::create_dir_all(&kept).unwrap();
    fs::write(kept.join(&name), "kept").unwrap();
    let filestore = Filestore { data_dir: folder.join("odoo"), database: "acme".into() };
    archive.sync_filestore(&filestore).await.unwrap();
    let rows = format!(
        "INSERT INTO event VALUES ('before'); INSERT INTO ir_attachment VALUES ('{}/{name}')",
        &name[..2]
    );
    client.batch_execute(&rows).await.unwrap();
    let (snapshot, at) = (SnapshotId::new(), Timestamp::now());
    let restore_point = SnapshotPoint::restore_point(snapshot, 1);
    let lsn = postgres::restore_point(&client, &restore_point).await.unwrap();
    client.batch_execute("INSERT INTO event VALUES ('after')").await.unwrap();
    let reached = postgres::switch_wal(&client).await.unwrap();
    archive.wait_for_wal(id, reached, Instant::now() + Duration::from_secs(30)).await.unwrap();
    let point =
        SnapshotPoint { id: snapshot, lineage: id, name: "before-mistake".into(), restore_point, lsn, at };
    archive.put_snapshot(point).await.unwrap();
    tenant
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_checked_and_a_tenant_given_back() {
    let scratch = tempfile::Builder::new().prefix("hr").tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let folder = scratch.path();
    let root = folder.join("repository");
    let tenant = fill(folder, (&root).into()).await.to_string();
    let root_text = root.to_str().unwrap();

    let key = folder.join("key");
    let place = ["--repository", root_text, "--key-file", key.to_str().unwrap()];
    let archive = |what: &str, more: &[&str], code| {
        ended(&heddle(&[&["archive", what], &place[..], more].concat()), code)
    };

    let (out, _) = archive("verify", &[], 0);
    assert!(out.contains("tenants 1, lineages 1,") && out.ends_with("Everything is sound.\n"), "{out}");
    fs::write(root.join("notes"), "x").unwrap();
    let (out, err) = archive("verify", &["--json"], 9);
    let found: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found["findings"][0]["kind"], "unknown");
    assert_eq!((&found["findings"][0]["path"], &found["backups"]), (&"notes".into(), &1.into()));
    assert!(err.contains("the repository has 1 finding"), "{err}");
    let (out, _) = archive("verify", &["--tenant", "acme"], 0);
    assert!(out.contains("attachments 1."), "{out}");
    let (_, err) = archive("verify", &["--tenant", "nobody"], 3);
    assert!(err.contains(&format!("hint: it holds {tenant} (acme)")), "{err}");
    let (_, err) = ended(&heddle(&["archive", "verify", "--repository", folder.to_str().unwrap()]), 3);
    assert!(err.starts_with("error: there is no repository at"), "{err}");
    let absent = ["--key-file", "/nonexistent/key"];
    let (_, err) = ended(&heddle(&[&["archive", "verify"], &place[..2], &absent].concat()), 3);
    assert!(err.contains("there is no master key at /nonexistent/key"), "{err}");

    let to = folder.join("given");
    let restore =
        |more: &[&str], code| archive("restore", &[&["--to", to.to_str().unwrap()], more].concat(), code);
    let (out, _) = restore(&["acme", "--snapshot", "before-mistake", "--plan"], 0);
    assert!(out.contains("at the snapshot's point") && !to.exists(), "{out}");
    let (_, err) = restore(&["acme", "--snapshot", "none"], 3);
    assert!(err.contains("hint: there are before-mistake"), "{err}");
    let (_, err) = restore(&["acme", "--at", "2d ago"], 3);
    assert!(err.contains("the earliest time that can be restored is"), "{err}");
    for (target, rows) in
        [(["--snapshot", "before-mistake"], "before\n"), (["--latest", "--json"], "before\nafter\n")]
    {
        let (out, err) = restore(&[&[&*tenant], &target[..]].concat(), 0);
        assert!(err.contains("Replaying the WAL"), "{err}");
        if target[1] == "--json" {
            let done: serde_json::Value = serde_json::from_str(&out).unwrap();
            assert_eq!((&done["restored"]["files"], &done["plan"]["stop"]), (&1.into(), &"end".into()));
        } else {
            assert!(out.contains("It is stopped. Start it:") && out.contains("odoo/filestore/acme"), "{out}");
        }
        let name = FileId::of(b"kept").to_string();
        let kept = to.join("odoo/filestore/acme").join(&name[..2]).join(&name);
        assert_eq!(fs::read_to_string(kept).unwrap(), "kept");
        assert!(!to.join("heddle").exists() && !to.join("wal.sock").exists());
        let sql = "COPY event TO STDOUT";
        assert_eq!(started(&to, sql).await, rows);
        restore(&["acme", "--latest"], 3);
        fs::remove_dir_all(&to).unwrap();
    }

    // A new master, then none at all for this tenant.
    let before = fs::read(&key).unwrap();
    let (out, _) = archive("rotate", &[], 0);
    assert!(out.starts_with("1 tenants' keys are sealed by the new master key"), "{out}");
    assert!(fs::read(&key).unwrap() != before);
    let (out, _) = archive("verify", &["--tenant", "acme"], 0);
    assert!(out.ends_with("Everything is sound.\n"), "{out}");
    for more in [&["acme"][..], &["acme", "--confirm", "globex"]] {
        let (_, err) = archive("shred", more, 5);
        assert!(err.contains("hint: nothing was done"), "{err}");
    }
    archive("shred", &["acme", "--confirm", &tenant], 0);
    let (out, _) = archive("verify", &["--tenant", &tenant], 0);
    assert!(out.contains("Tenants whose keys were destroyed: 1."), "{out}");
    let (_, err) = restore(&[&tenant, "--latest"], 3);
    assert!(err.contains("the tenant's key was destroyed"), "{err}");
    assert!(!to.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_kept_goes_after_a_grace() {
    let scratch = tempfile::Builder::new().prefix("hr").tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let (root, key) = (scratch.path().join("repository"), scratch.path().join("key"));
    let tenant = fill(scratch.path(), (&root).into()).await;
    let place = ["--repository", root.to_str().unwrap(), "--key-file", key.to_str().unwrap()];
    let archive = |what: &str, more: &[&str], code| {
        ended(&heddle(&[&["archive", what], &place[..], more].concat()), code)
    };
    let json = |more: &[&str], code| -> serde_json::Value {
        serde_json::from_str(&archive("expire", &[&["--json"], more].concat(), code).0).unwrap()
    };

    let (out, _) = archive("expire", &["--plan", "--tenant", "acme"], 0);
    assert!(out.contains("keeps snapshot before-mistake") && out.contains(": in the window\n"), "{out}");
    assert!(out.ends_with("  nothing else\n"), "{out}");
    let (_, err) = archive("expire", &["--grace", "30m"], 2);
    assert!(err.contains("--alone"), "{err}");
    archive("expire", &["--days", "0"], 2);

    // Somebody says that the snapshot is not to be kept.
    let repository = Repository::open(&root, KeyFile::at(&key)).unwrap();
    let held = repository.tenant(tenant);
    let snapshot = held.history().await.unwrap().history.snapshots.remove(0).id;
    let mark = |pinned| SnapshotMark { snapshot, pinned, expires_at: Some(Timestamp::now()), note: None };
    held.put_mark(mark(true)).await.unwrap();
    assert_eq!(json(&["--plan"], 0)["tenants"][0]["snapshots"][0]["why"], "pinned");
    held.put_mark(mark(false)).await.unwrap();
    let planned = json(&["--plan"], 0);
    assert_eq!(planned["tenants"][0]["unneeded"]["snapshots"]["objects"], 1);
    assert_eq!(planned["tenants"][0]["due"], serde_json::json!({}));
    let (out, _) = archive("expire", &[], 0);
    assert!(out.contains("does not need snapshots: 1 objects") && out.contains("more is due"), "{out}");
    archive("restore", &["acme", "--snapshot", "before-mistake", "--to", "/nonexistent", "--plan"], 0);
    let removed = json(&["--alone", "--grace", "0s"], 0);
    assert_eq!(removed["tenants"][0]["dropped_snapshots"], serde_json::json!([snapshot.to_string()]));
    archive("restore", &["acme", "--snapshot", "before-mistake", "--to", "/nonexistent", "--plan"], 3);
    let (out, _) = archive("verify", &[], 0);
    assert!(out.ends_with("Everything is sound.\n"), "{out}");

    // The base backup by itself.
    let backup = planned["tenants"][0]["backups"][0]["id"].as_str().unwrap();
    let to = scratch.path().join("given");
    archive("restore", &["acme", "--backup", backup, "--to", to.to_str().unwrap()], 0);
    assert_eq!(started(&to, "COPY event TO STDOUT").await, "");

    // A clock that cannot be right, and a tenant that cannot be read.
    let clock = root.join("expiry.json");
    let before = fs::read(&clock).unwrap();
    fs::write(&clock, r#"{"at":"2126-01-01T00:00:00Z","boot":null,"seconds":0}"#).unwrap();
    let (_, err) = archive("expire", &[], 3);
    assert!(err.contains("it went back") && err.contains("--clock-is-right"), "{err}");
    fs::write(&clock, before).unwrap();
    let lost = root.join(format!("tenants/{tenant}/notes"));
    fs::write(&lost, "x").unwrap();
    let (out, err) = archive("expire", &[], 9);
    assert!(
        out.contains("left alone: notes is unknown") && err.contains("1 tenant was left alone"),
        "{out}{err}"
    );
    fs::remove_file(&lost).unwrap();
    archive("shred", &["acme", "--confirm", "acme"], 0);
    assert_eq!(fs::read_dir(root.join(format!("tenants/{tenant}"))).unwrap().count(), 1);
    let (out, _) = archive("expire", &[], 0);
    assert!(out.contains("Tenants whose keys were destroyed: 1."), "{out}");
}

/// Nothing but the bucket, the key file and the words of who opens the bucket.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_given_back_from_a_bucket_with_the_key_file_alone() {
    let scratch = tempfile::Builder::new().prefix("hr").tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let weed = weed::Weed::start(&scratch.path().join("weed"));
    let before = scratch.path().join("before");
    fs::create_dir(&before).unwrap();
    fs::set_permissions(&before, fs::Permissions::from_mode(0o711)).unwrap();
    fill(&before, weed.place("one/repository")).await;
    let key = scratch.path().join("key");
    fs::rename(before.join("key"), &key).unwrap();
    fs::remove_dir_all(&before).unwrap();

    let environment = [
        ("HEDDLE_S3_ENDPOINT", format!("http://127.0.0.1:{}", weed.port())),
        ("HEDDLE_S3_REGION", "us-east-1".to_owned()),
        ("HEDDLE_S3_ACCESS_KEY", weed::ACCESS.to_owned()),
        ("HEDDLE_S3_SECRET_KEY", weed::SECRET.to_owned()),
        ("HEDDLE_DATA", scratch.path().join("never").display().to_string()),
    ];
    let place = format!("s3://{}/one/repository", weed::BUCKET);
    let archive = |what: &str, more: &[&str], code| {
        let place = ["archive", what, "--repository", &place, "--key-file", key.to_str().unwrap()];
        ended(&heddle_with(&environment, &[&place, more].concat()), code)
    };
    let (out, _) = archive("verify", &[], 0);
    assert!(out.contains("backups 1 with") && out.ends_with("Everything is sound.\n"), "{out}");
    let to = scratch.path().join("given");
    archive("restore", &["acme", "--latest", "--to", to.to_str().unwrap()], 0);
    assert_eq!(started(&to, "COPY event TO STDOUT").await, "before\nafter\n");
    let name = FileId::of(b"kept").to_string();
    let kept = to.join("odoo/filestore/acme").join(&name[..2]).join(&name);
    assert_eq!(fs::read_to_string(kept).unwrap(), "kept");
    assert!(!scratch.path().join("never").exists());

    let wrong = [&environment[..3], &[("HEDDLE_S3_SECRET_KEY", "guessed".to_owned())]].concat();
    let command = ["archive", "verify", "--repository", &place, "--key-file", key.to_str().unwrap()];
    let (_, err) = ended(&heddle_with(&wrong, &command), 1);
    assert!(err.contains("hint: see HEDDLE_S3_ENDPOINT") && !err.contains("guessed"), "{err}");
}

/// What a query says once the restored cluster was started as it stands.
async fn started(to: &Path, sql: &str) -> String {
    let conf = fs::read_to_string(to.join("data/heddle.conf")).unwrap();
    let port = conf.lines().find_map(|line| line.strip_prefix("port = ")).unwrap().parse().unwrap();
    let identity = OsUser::for_initdb().unwrap().map(|user| user.identity());
    let cluster = Cluster {
        data_dir: to.join("data"),
        socket_dir: to.join("run"),
        port,
        identity,
        socket_group: None,
        archive: None,
    };
    let binaries = Binaries::find(None).unwrap();
    let cell = start(cluster, &binaries, to);
    drop(postgres::wait_ready(&cell.cluster, Duration::from_secs(30)).await.unwrap());
    let output = Command::new(binaries.program("psql"))
        .args(["-X", "-U", postgres::SUPERUSER, "-d", "acme", "-c", sql, "-p", &port.to_string(), "-h"])
        .arg(&cell.cluster.socket_dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

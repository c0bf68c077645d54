//! A repository that a real PostgreSQL filled is sound, and every kind of
//! damage to it is found by its name and place.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use archive::{BackupRequest, FileId, Filestore, FlawKind, Repository, Verification};
use jiff::Timestamp;
use model::archive::{Activation, Fork, Lineage, SnapshotPoint};
use model::lsn::{Lsn, WalFile};
use model::restore::{self, Plan, Stop, Target, WalRange};
use model::{BackupId, LineageId, SnapshotId, TenantId};
use support::{Cell, House};
use tokio::time::Instant;
use tokio_postgres::types::PgLsn;

const DAY: Duration = Duration::from_secs(86_400);

struct Filled {
    house: House,
    root: LineageId,
    first: LineageId,
    second: LineageId,
    snapshot: SnapshotId,
    file: FileId,
}

async fn write(house: &House, cell: &Cell, lineage: LineageId, text: &str) -> (Lsn, Timestamp) {
    let client = cell.connect().await;
    let rows = "INSERT INTO event (name) SELECT $1 || md5(n::text) FROM generate_series(1, 3000) n";
    client.execute(rows, &[&text]).await.unwrap();
    let row = client.query_one("SELECT pg_switch_wal(), clock_timestamp()", &[]).await.unwrap();
    let lsn = Lsn(row.get::<_, PgLsn>(0).into());
    let deadline = Instant::now() + Duration::from_secs(30);
    house.archive.wait_for_wal(lineage, lsn, deadline).await.unwrap();
    (lsn, row.get(1))
}

/// A tenant with a backup, a snapshot, two lineages restored from it that were
/// written to, and files.
async fn fill() -> Filled {
    let house = House::new();
    let (mut cell, root) = house.first_cell("cell").await;
    let client = cell.connect().await;
    client.batch_execute("CREATE TABLE event (id bigserial PRIMARY KEY, name text)").await.unwrap();
    let at = Timestamp::now();
    house.archive.put_activation(Activation { lineage: root, at }).await.unwrap();
    let wal_timeout = Duration::from_secs(30);
    let request = BackupRequest { lineage: root, data_dir: cell.data.clone(), client, wal_timeout };
    house.archive.backup(request, |_, _| {}).await.unwrap();
    write(&house, &cell, root, "first").await;
    write(&house, &cell, root, "second").await;

    let id = SnapshotId::new();
    let restore_point = SnapshotPoint::restore_point(id, 1);
    let client = cell.connect().await;
    let query = format!("SELECT pg_create_restore_point('{restore_point}')");
    let at = Timestamp::now();
    let lsn = Lsn(client.query_one(&query, &[]).await.unwrap().get::<_, PgLsn>(0).into());
    write(&house, &cell, root, "third").await;
    let point = SnapshotPoint { id, lineage: root, name: "named".into(), restore_point, lsn, at };
    house.archive.put_snapshot(point).await.unwrap();
    drop(client);
    cell.kill();
    house.archive.take_pg_wal(root, &cell.data).await.unwrap();

    let history = house.archive.history().await.unwrap().history;
    let plan = restore::plan(&history, Target::Snapshot(id), Timestamp::now(), DAY).unwrap();
    let mut children = Vec::new();
    // Not equally long: of siblings whose records lie alike nothing tells which is which.
    for name in ["one", "another"] {
        let (mut cell, lineage) = house.materialise(name, &plan).await.unwrap();
        for round in 0..4 {
            write(&house, &cell, lineage.id, &format!("{name} {round}")).await;
        }
        cell.stop();
        house.archive.take_pg_wal(lineage.id, &cell.data).await.unwrap();
        children.push(lineage.id);
    }

    let data_dir = house.scratch.path().join("odoo");
    let filestore = Filestore { data_dir, database: "postgres".into() };
    let file = FileId::of(b"an attachment");
    for bytes in [&b"an attachment"[..], b"another"] {
        let name = FileId::of(bytes).to_string();
        let path = filestore.data_dir.join("filestore/postgres").join(&name[..2]).join(&name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    house.archive.sync_filestore(&filestore).await.unwrap();
    Filled { house, root, first: children[0], second: children[1], snapshot: id, file }
}

fn copy(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

fn verify(house: &House, root: &Path) -> Verification {
    house.read(root).verify(None, &|_, _| {}).unwrap()
}

fn flip(path: &Path, place: impl Fn(usize) -> usize) {
    let mut bytes = fs::read(path).unwrap();
    let place = place(bytes.len());
    bytes[place] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Whole segments, in order.
fn segments(wal: &Path) -> Vec<String> {
    names(wal).into_iter().filter(|name| name.len() == 24).collect()
}

fn listing(root: &Path) -> Vec<(PathBuf, u64)> {
    let mut all = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for name in names(&folder) {
            let path = folder.join(name);
            let data = path.symlink_metadata().unwrap();
            if data.is_dir() {
                folders.push(path.clone());
            }
            all.push((path, data.len()));
        }
    }
    all.sort();
    all
}

fn swap(one: &Path, other: &Path) {
    let aside = one.with_extension("aside");
    fs::rename(one, &aside).unwrap();
    fs::rename(other, one).unwrap();
    fs::rename(aside, other).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_damage_is_found_by_name_and_place() {
    let filled = fill().await;
    let house = &filled.house;
    let root = house.service.repository().root().to_owned();
    let tenant = house.archive.tenant();

    // Healthy, and read only.
    let before = listing(&root);
    let bytes = std::sync::Mutex::new(Vec::new());
    let progress = |done, of| bytes.lock().unwrap().push((done, of));
    let sound = house.read(&root).verify(Some(tenant), &progress).unwrap();
    assert!(sound.is_sound(), "{:#?}", sound.flaws);
    assert_eq!(listing(&root), before);
    assert_eq!((sound.tenants, sound.lineages, sound.backups, sound.snapshots, sound.files), (1, 3, 1, 1, 2));
    assert!(sound.wal >= 12 && sound.backup_files > 500, "{sound:?}");
    let whole = bytes.lock().unwrap().iter().max().copied().unwrap();
    assert_eq!(whole, (sound.bytes, sound.bytes), "all of it was told as progress");
    let stranger = TenantId::new();
    let unknown = house.read(&root).verify(Some(stranger), &|_, _| {}).unwrap_err();
    assert!(unknown.to_string().contains(&stranger.to_string()));
    Repository::open(house.scratch.path(), house.keys()).expect_err("a folder that is no repository");

    // Another tenant, whose lineage can be copied.
    let theirs = support::a_lineage(stranger);
    house.service.repository().tenant(stranger).put_lineage(theirs.clone()).await.unwrap();
    assert!(verify(house, &root).is_sound());

    let lineages = format!("tenants/{tenant}/lineages");
    let lineage = |id: LineageId| format!("{lineages}/{id}");
    let wal = format!("{}/wal", lineage(filled.root));
    let own = segments(&root.join(&wal));
    let backups = format!("{}/backups", lineage(filled.root));
    let backup = format!("{backups}/{}", names(&root.join(&backups))[0]);
    let name = filled.file.to_string();
    let object = format!("tenants/{tenant}/files/{}/{name}", &name[..2]);
    let snapshot = format!("tenants/{tenant}/snapshots/{}", filled.snapshot);
    let children = [filled.first, filled.second].map(|id| format!("{}/wal", lineage(id)));
    let theirs_wal = segments(&root.join(&children[0]));
    assert_eq!(theirs_wal[..3], segments(&root.join(&children[1]))[..3], "siblings have the same names");
    // The last whole segment that stands wholly before the children's fork,
    // and the one their snapshot is in.
    let fork = own.iter().rposition(|name| name[8..] <= theirs_wal[0][8..]).unwrap();
    let before_fork = format!("{wal}/{}", own[fork - 1]);

    type Damage<'a> = Box<dyn Fn(&Path) + 'a>;
    let mut cases: Vec<(&str, FlawKind, String, Damage)> = Vec::new();
    let mut case =
        |what, kind, path: &str, damage: Damage<'static>| cases.push((what, kind, path.to_owned(), damage));
    let at = |path: &str| {
        let path = path.to_owned();
        move |root: &Path| root.join(&path)
    };

    let path = format!("{wal}/{}", own[1]);
    let place = at(&path);
    case(
        "a byte of WAL flipped",
        FlawKind::DamagedWal,
        &path,
        Box::new(move |root| flip(&place(root), |len| len / 2)),
    );
    let place = at(&path);
    case(
        "WAL cut short",
        FlawKind::DamagedWal,
        &path,
        Box::new(move |root| {
            let bytes = fs::read(place(root)).unwrap();
            fs::write(place(root), &bytes[..bytes.len() / 2]).unwrap();
        }),
    );
    let path = format!("{wal}/{}", own[2]);
    let place = at(&path);
    case(
        "a segment missing in the middle",
        FlawKind::MissingWal,
        &path,
        Box::new(move |root| fs::remove_file(place(root)).unwrap()),
    );
    let place = at(&before_fork);
    case(
        "the segment before a fork missing",
        FlawKind::MissingWal,
        &before_fork,
        Box::new(move |root| fs::remove_file(place(root)).unwrap()),
    );
    let place = at(&before_fork);
    case(
        "which the snapshot needs",
        FlawKind::Unplannable,
        &snapshot,
        Box::new(move |root| fs::remove_file(place(root)).unwrap()),
    );
    let (path, other) = (format!("{wal}/{}", own[1]), format!("{wal}/{}", own[2]));
    let (one, two) = (at(&path), at(&other));
    case(
        "segments under each other's names",
        FlawKind::DamagedWal,
        &path,
        Box::new(move |root| swap(&one(root), &two(root))),
    );
    for place in [0, 2] {
        let paths = [0, 1].map(|child| format!("{}/{}", children[child], theirs_wal[place]));
        for path in &paths {
            let (one, two) = (at(&paths[0]), at(&paths[1]));
            case(
                "segments of siblings swapped",
                FlawKind::DamagedWal,
                path,
                Box::new(move |root| swap(&one(root), &two(root))),
            );
        }
    }
    let path = format!("{}/{}", children[0], theirs_wal[1]);
    let (ours, place) = (at(&format!("{wal}/{}", own[1])), at(&path));
    case(
        "a parent's segment in a child's place",
        FlawKind::DamagedWal,
        &path,
        Box::new(move |root| {
            fs::copy(ours(root), place(root)).map(drop).unwrap();
        }),
    );
    let path = format!("{backup}/000001");
    let place = at(&path);
    case(
        "a byte of a backup flipped",
        FlawKind::DamagedBackup,
        &path,
        Box::new(move |root| flip(&place(root), |len| len / 2)),
    );
    let place = at(&path);
    case(
        "a backup cut short",
        FlawKind::DamagedBackup,
        &path,
        Box::new(move |root| {
            let bytes = fs::read(place(root)).unwrap();
            fs::write(place(root), &bytes[..bytes.len() / 2]).unwrap();
        }),
    );
    let place = at(&path);
    case(
        "a backup's data missing",
        FlawKind::MissingBackup,
        &path,
        Box::new(move |root| fs::remove_file(place(root)).unwrap()),
    );
    for path in [
        format!("{backup}/manifest"),
        snapshot.clone(),
        format!("{}/activated", lineage(filled.root)),
        format!("{}/reached", lineage(filled.root)),
        format!("{}/lineage", lineage(filled.first)),
    ] {
        let place = at(&path);
        case(
            "a byte of a record flipped",
            FlawKind::DamagedRecord,
            &path,
            Box::new(move |root| flip(&place(root), |len| len / 3)),
        );
    }
    let path = format!("{}/lineage", lineage(filled.root));
    let place = at(&path);
    case(
        "a lineage's record missing",
        FlawKind::MissingRecord,
        &path,
        Box::new(move |root| fs::remove_file(place(root)).unwrap()),
    );
    let (place, child) = (at(&path), format!("{}/lineage", lineage(filled.first)));
    case(
        "a child whose parent's record is missing",
        FlawKind::BrokenChain,
        &child,
        Box::new(move |root| fs::remove_file(place(root)).unwrap()),
    );
    let place = at(&object);
    case(
        "a file with another's bytes",
        FlawKind::WrongFile,
        &object,
        Box::new(move |root| fs::write(place(root), "else").unwrap()),
    );
    let place = at(&object);
    case(
        "a file cut short",
        FlawKind::WrongFile,
        &object,
        Box::new(move |root| fs::write(place(root), "an attach").unwrap()),
    );
    let path = format!("tenants/{tenant}/files/{}/README", &name[..2]);
    let place = at(&path);
    case(
        "a file of no object's name",
        FlawKind::Unknown,
        &path,
        Box::new(move |root| fs::write(place(root), "").unwrap()),
    );
    for path in [
        "notes.txt".to_owned(),
        format!("{wal}/notes"),
        format!("{}/x", lineage(filled.root)),
        format!("{backup}/x"),
        format!("tenants/{tenant}/x"),
        format!("tenants/{tenant}/snapshots/x"),
    ] {
        let place = at(&path);
        case(
            "an unknown file",
            FlawKind::Unknown,
            &path,
            Box::new(move |root| fs::write(place(root), "x\n").unwrap()),
        );
    }
    let from = at(&format!("tenants/{stranger}/lineages/{}", theirs.id));
    let path = format!("{}/lineage", lineage(theirs.id));
    let to = at(&lineage(theirs.id));
    case(
        "a foreign tenant's lineage copied in",
        FlawKind::DamagedRecord,
        &path,
        Box::new(move |root| copy(&from(root), &to(root))),
    );

    for name in ["key.json", "lineages"] {
        let path = format!("tenants/{tenant}/key.json");
        let (place, key) = (at(&format!("tenants/{tenant}/{name}")), at(&path));
        let (what, kind): (_, _) = match name {
            "key.json" => ("a tenant's key gone", FlawKind::MissingKey),
            _ => ("another tenant's key in a tenant's place", FlawKind::LockedKey),
        };
        let other = at(&format!("tenants/{stranger}/key.json"));
        case(
            what,
            kind,
            &path,
            Box::new(move |root| match kind {
                FlawKind::MissingKey => fs::remove_file(place(root)).unwrap(),
                _ => fs::copy(other(root), key(root)).map(drop).unwrap(),
            }),
        );
    }

    let mut kinds = std::collections::BTreeSet::new();
    for (number, (what, kind, path, damage)) in cases.iter().enumerate() {
        let damaged = house.scratch.path().join(format!("damaged{number}"));
        copy(&root, &damaged);
        damage(&damaged);
        let verified = verify(house, &damaged);
        let found = verified.flaws.iter().find(|flaw| {
            flaw.kind == *kind
                && (flaw.path == Path::new(path) || flaw.path.to_string_lossy().ends_with(path.as_str()))
        });
        assert!(found.is_some(), "{what}: {kind:?} at {path} was not found in {:#?}", verified.flaws);
        kinds.insert(kind.as_str());
        fs::remove_dir_all(&damaged).unwrap();
    }
    for (what, kind) in wrong_content(&filled, &root).await {
        kinds.insert(kind.as_str());
        println!("found: {what}");
    }
    assert!(kinds.len() >= 14 && cases.len() >= 25, "{} kinds in {} cases", kinds.len(), cases.len());
}

/// What is sealed as it should be, and should not have been sealed: the content
/// is checked as well.
async fn wrong_content(filled: &Filled, root: &Path) -> Vec<(&'static str, FlawKind)> {
    let house = &filled.house;
    let tenant = house.archive.tenant();
    let history = house.archive.history().await.unwrap().history;
    let child = &history.lineage(filled.first).unwrap().lineage;
    let own = &history.lineage(filled.root).unwrap();
    let mut found = Vec::new();
    // A record in a segment; the parent's bytes in a first one.
    let inherited = history.lineage(filled.first).unwrap().segments[0];
    for (what, kind, lineage, segment, place) in [
        ("a record in WAL changed", FlawKind::DamagedWal, &own.lineage, own.segments[1], 100),
        ("a first segment that is not its parent's", FlawKind::ForeignWal, child, inherited, 60),
    ] {
        let damaged = house.scratch.path().join("resealed");
        copy(root, &damaged);
        let size = lineage.segment_size;
        let (from, to) = (segment.start(size), segment.end(size));
        let range = WalRange { lineage: lineage.id, timeline: lineage.timeline, from, to };
        let plan =
            Plan { source: lineage.id, backup: BackupId::new(), wal: vec![range], stop: Stop::End, end: to };
        let chain = house.archive.chain(plan).await.unwrap();
        let name = segment.file_name(size);
        let mut bytes = house.archive.fetch_wal(&chain, &name).await.unwrap().unwrap();
        bytes[place] ^= 1;
        let path = format!("tenants/{tenant}/lineages/{}/wal/{name}", lineage.id);
        fs::remove_file(damaged.join(&path)).unwrap();
        let writer = Repository::open_or_create(&damaged, house.keys()).unwrap().tenant(tenant);
        writer.push_wal(lineage.id, WalFile::Segment(segment), bytes).await.unwrap();
        let verified = verify(house, &damaged);
        let as_told = |flaw: &&archive::Flaw| flaw.kind == kind && flaw.path == Path::new(&path);
        assert!(verified.flaws.iter().any(|flaw| as_told(&flaw)), "{what}: {:#?}", verified.flaws);
        found.push((what, kind));
        fs::remove_dir_all(&damaged).unwrap();
    }
    // A history that tells of another fork than the record.
    let damaged = house.scratch.path().join("resealed");
    copy(root, &damaged);
    let folder = format!("tenants/{tenant}/lineages/{}", child.id);
    fs::remove_file(damaged.join(&folder).join("lineage")).unwrap();
    let writer = Repository::open_or_create(&damaged, house.keys()).unwrap().tenant(tenant);
    let fork = child.parent.unwrap();
    let moved = Fork { lsn: Lsn(fork.lsn.0 - 8), ..fork };
    writer.put_lineage(Lineage { parent: Some(moved), ..child.clone() }).await.unwrap();
    let verified = verify(house, &damaged);
    let path = format!("{folder}/wal/00000002.history");
    let wrong = |flaw: &archive::Flaw| flaw.kind == FlawKind::WrongHistory && flaw.path == Path::new(&path);
    assert!(verified.flaws.iter().any(wrong), "{:#?}", verified.flaws);
    found.push(("a history of another fork", FlawKind::WrongHistory));
    fs::remove_dir_all(&damaged).unwrap();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_that_come_in_meanwhile_are_no_findings() {
    let house = House::new();
    let (cell, lineage) = house.first_cell("cell").await;
    let client = cell.connect().await;
    client.batch_execute("CREATE TABLE event (id bigserial PRIMARY KEY, name text)").await.unwrap();
    let wal_timeout = Duration::from_secs(30);
    let request = BackupRequest { lineage, data_dir: cell.data.clone(), client, wal_timeout };
    house.archive.backup(request, |_, _| {}).await.unwrap();
    let repository = house.read(house.service.repository().root());
    let checking = tokio::task::spawn_blocking(move || {
        for _ in 0..30 {
            let found = repository.verify(None, &|_, _| {}).unwrap();
            assert!(found.is_sound(), "{:#?}", found.flaws);
        }
    });
    let mut rounds = 0;
    while !checking.is_finished() {
        write(&house, &cell, lineage, "meanwhile").await;
        rounds += 1;
    }
    checking.await.unwrap();
    assert!(rounds > 2, "{rounds}");
}

/// A crash cuts records off, which PostgreSQL then gives up in its own way.
#[tokio::test(flavor = "multi_thread")]
async fn crashes_leave_no_findings() {
    let house = House::new();
    let (mut cell, lineage) = house.first_cell("cell").await;
    let client = cell.connect().await;
    client.batch_execute("CREATE TABLE event (id bigserial PRIMARY KEY, name text)").await.unwrap();
    let wal_timeout = Duration::from_secs(30);
    let request = BackupRequest { lineage, data_dir: cell.data.clone(), client, wal_timeout };
    house.archive.backup(request, |_, _| {}).await.unwrap();
    for round in 0..8 {
        kill_busy(&mut cell, 150 + 37 * round).await;
        if round % 2 == 0 {
            house.archive.take_pg_wal(lineage, &cell.data).await.unwrap();
        }
        cell.start();
        cell.ready().await;
    }
    write(&house, &cell, lineage, "in the end").await;
    let found = verify(&house, house.service.repository().root());
    assert!(found.is_sound() && found.wal > 20, "{found:#?}");

    // Each next one goes on where the last was cut off.
    let mut serving = lineage;
    for round in 0..4 {
        let at = Timestamp::now();
        house.archive.put_activation(Activation { lineage: serving, at }).await.unwrap();
        kill_busy(&mut cell, 170 + 41 * round).await;
        house.archive.take_pg_wal(serving, &cell.data).await.unwrap();
        let found = verify(&house, house.service.repository().root());
        assert!(found.is_sound(), "{found:#?}");
        let history = house.archive.history().await.unwrap().history;
        let plan = restore::plan(&history, Target::Time(Timestamp::now()), Timestamp::now(), DAY).unwrap();
        let to_end = Plan { stop: Stop::End, ..plan };
        let (child, lineage) = house.materialise(&format!("child{round}"), &to_end).await.unwrap();
        (cell, serving) = (child, lineage.id);
        write(&house, &cell, serving, "in a child").await;
        let found = verify(&house, house.service.repository().root());
        assert!(found.is_sound(), "{found:#?}");
    }
}

/// Kills a cell while it writes records of many pages, so that most kills cut
/// one off.
async fn kill_busy(cell: &mut Cell, after_ms: u64) {
    let busy = cell.connect().await;
    let load = tokio::spawn(async move {
        let message = "SELECT pg_logical_emit_message(false, 'x', repeat(md5(random()::text), 9000))";
        while busy.batch_execute(message).await.is_ok() {}
    });
    tokio::time::sleep(Duration::from_millis(after_ms)).await;
    cell.kill();
    load.await.unwrap();
}

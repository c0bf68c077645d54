//! A real PostgreSQL archives into the repository, dies, and is given back.

mod support;

use std::time::Duration;

use archive::BackupRequest;
use jiff::Timestamp;
use model::archive::{Activation, SnapshotPoint};
use model::lsn::Lsn;
use model::restore::{self, Plan, Stop, Target};
use model::{LineageId, SnapshotId};
use support::{Cell, House};
use tokio::time::Instant;
use tokio_postgres::Client;
use tokio_postgres::types::PgLsn;

const DAY: Duration = Duration::from_secs(86_400);

async fn insert(client: &Client, name: &str) {
    client.execute("INSERT INTO event (name) VALUES ($1)", &[&name]).await.unwrap();
}

async fn now(client: &Client) -> Timestamp {
    client.query_one("SELECT clock_timestamp()", &[]).await.unwrap().get(0)
}

async fn events(cell: &Cell) -> Vec<String> {
    let client = cell.connect().await;
    let rows =
        client.query("SELECT name FROM event WHERE name NOT LIKE 'load%' ORDER BY id", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn lsn(client: &Client, query: &str) -> Lsn {
    let lsn: PgLsn = client.query_one(query, &[]).await.unwrap().get(0);
    Lsn(lsn.into())
}

/// What the worker does with a live cell before it plans.
async fn switch(house: &House, cell: &Cell, lineage: LineageId) -> Lsn {
    let client = cell.connect().await;
    client.query_one("SELECT pg_logical_emit_message(true, 'heddle', 'switch')", &[]).await.unwrap();
    let reached = lsn(&client, "SELECT pg_switch_wal()").await;
    let deadline = Instant::now() + Duration::from_secs(30);
    house.archive.wait_for_wal(lineage, reached, deadline).await.unwrap_or_else(|error| {
        panic!("{error}\n{}", cell.log());
    });
    reached
}

async fn snapshot(house: &House, cell: &Cell, lineage: LineageId, name: &str) -> SnapshotId {
    let client = cell.connect().await;
    let id = SnapshotId::new();
    let at = now(&client).await;
    let query = format!("SELECT pg_create_restore_point('{}')", SnapshotPoint::restore_point(id, 1));
    let lsn = lsn(&client, &query).await;
    switch(house, cell, lineage).await;
    let restore_point = SnapshotPoint::restore_point(id, 1);
    let point = SnapshotPoint { id, lineage, name: name.into(), restore_point, lsn, at };
    house.archive.put_snapshot(point).await.unwrap();
    id
}

async fn backup(house: &House, cell: &Cell, lineage: LineageId) -> model::archive::Backup {
    let client = cell.connect().await;
    let wal_timeout = Duration::from_secs(30);
    let request = BackupRequest { lineage, data_dir: cell.data.clone(), client, wal_timeout };
    house.archive.backup(request, |_, _| {}).await.unwrap_or_else(|error| panic!("{error:?}\n{}", cell.log()))
}

async fn plan(house: &House, target: Target) -> Plan {
    let inventory = house.archive.history().await.unwrap();
    assert!(inventory.findings.is_empty(), "{:?}", inventory.findings);
    restore::plan(&inventory.history, target, Timestamp::now(), DAY).unwrap()
}

async fn activate(house: &House, lineage: LineageId, at: Timestamp) {
    house.archive.put_activation(Activation { lineage, at }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_given_back_across_restores() {
    let house = House::new();
    let (mut first, root) = house.first_cell("first").await;
    let client = first.connect().await;
    let table = "CREATE TABLE event (id bigserial PRIMARY KEY, name text NOT NULL, filler text)";
    client.batch_execute(table).await.unwrap();
    activate(&house, root, now(&client).await).await;
    insert(&client, "before the backup").await;

    // A backup while the cell writes, creates, drops and truncates.
    let busy = first.connect().await;
    let load = tokio::spawn(async move {
        for round in 0.. {
            let statements = format!(
                "INSERT INTO event (name, filler) SELECT 'load {round}', repeat(md5(random()::text), 30) FROM generate_series(1, 200);
                 CREATE TABLE scratch AS SELECT * FROM event LIMIT 500; TRUNCATE scratch; DROP TABLE scratch;
                 UPDATE event SET filler = md5(random()::text) WHERE id % 7 = {round} % 7;"
            );
            if busy.batch_execute(&statements).await.is_err() {
                break;
            }
        }
    });
    let taken = backup(&house, &first, root).await;
    load.abort();
    assert!(taken.start < taken.stop && taken.stored < taken.size && taken.size > 10 << 20, "{taken:?}");

    insert(&client, "one").await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    let after_one = now(&client).await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    insert(&client, "two").await;
    let named = snapshot(&house, &first, root, "named").await;
    insert(&client, "three").await;
    let (mut digest, query) =
        (String::new(), "SELECT md5(string_agg(md5(event::text), '' ORDER BY id)) FROM event");
    digest.push_str(client.query_one(query, &[]).await.unwrap().get(0));

    // It dies with WAL that was never archived.
    first.kill();
    let taken = house.archive.take_pg_wal(root, &first.data).await.unwrap();
    assert!(taken.partial.is_some(), "{taken:?}");
    let again = house.archive.take_pg_wal(root, &first.data).await.unwrap();
    assert!(again.files.is_empty() && again.partial == taken.partial, "{again:?}");
    let died = Timestamp::now();

    // At a time between two commits.
    let to_time = plan(&house, Target::Time(after_one)).await;
    let (mut second, lineage) =
        house.materialise("second", &to_time).await.unwrap_or_else(|log| panic!("{log}"));
    assert_eq!(events(&second).await, ["before the backup", "one"]);
    let second_id = lineage.id;
    assert_eq!(lineage.timeline.0, 2);

    // At a snapshot.
    let to_snapshot = plan(&house, Target::Snapshot(named)).await;
    let (mut other, _) = house.materialise("other", &to_snapshot).await.unwrap();
    assert_eq!(events(&other).await, ["before the backup", "one", "two"]);
    other.stop();
    other.check_pages();
    drop(other);

    // After the last commit: recovery ends before its target, at the WAL's end.
    let idle = plan(&house, Target::Time(died)).await;
    let log = house.materialise("idle", &idle).await.err().unwrap();
    assert!(log.contains("recovery ended before configured recovery target was reached"), "{log}");
    let to_end = Plan { stop: Stop::End, ..idle };
    let (mut last, last_lineage) = house.materialise("last", &to_end).await.unwrap();
    assert_eq!(events(&last).await, ["before the backup", "one", "two", "three"]);
    assert!(to_end.reached(last_lineage.parent.unwrap().lsn, last_lineage.segment_size));
    let found: String = last.connect().await.query_one(query, &[]).await.unwrap().get(0);
    assert_eq!(found, digest, "not a byte of any row differs");
    last.stop();
    last.check_pages();
    drop(last);

    // The second cell is served, without a backup of its own.
    let client = second.connect().await;
    activate(&house, second_id, now(&client).await).await;
    insert(&client, "four").await;
    let after_four = now(&client).await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    insert(&client, "five").await;
    switch(&house, &second, second_id).await;
    let archived = client.query_one("SELECT failed_count FROM pg_stat_archiver", &[]).await.unwrap();
    let refused: i64 = archived.get(0);
    assert!(refused < 5, "archiving got stuck: {}", second.log());

    let through_parent = plan(&house, Target::Time(after_four)).await;
    assert_eq!(through_parent.wal.iter().map(|range| range.lineage).collect::<Vec<_>>(), [root, second_id]);
    let (mut third, lineage) = house.materialise("third", &through_parent).await.unwrap();
    assert_eq!(lineage.timeline.0, 3);
    assert_eq!(events(&third).await, ["before the backup", "one", "four"]);
    third.stop();
    third.check_pages();

    // With one of its own it needs no parent. Its stop archives by itself.
    let own = backup(&house, &second, second_id).await;
    insert(&client, "six").await;
    drop(client);
    second.stop();
    let taken = house.archive.take_pg_wal(second_id, &second.data).await.unwrap();
    assert!(taken.partial.is_some(), "the shutdown's checkpoint is in a segment of its own: {taken:?}");
    let to_now = plan(&house, Target::Time(Timestamp::now())).await;
    assert_eq!((to_now.backup, to_now.wal.len()), (own.id, 1));
    let to_end = Plan { stop: Stop::End, ..to_now };
    let (fourth, _) = house.materialise("fourth", &to_end).await.unwrap();
    assert_eq!(events(&fourth).await, ["before the backup", "one", "four", "five", "six"]);

    // What the first lineage served is still what it served.
    let still = plan(&house, Target::Time(died)).await;
    assert_eq!(still.source, root);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_that_runs_on_supersedes_its_partial() {
    let house = House::new();
    let (mut cell, lineage) = house.first_cell("cell").await;
    let client = cell.connect().await;
    client.batch_execute("CREATE TABLE event (id bigserial PRIMARY KEY, name text NOT NULL)").await.unwrap();
    backup(&house, &cell, lineage).await;
    activate(&house, lineage, now(&client).await).await;
    for round in 0..3 {
        let client = cell.connect().await;
        insert(&client, &format!("round {round}")).await;
        drop(client);
        cell.kill();
        let taken = house.archive.take_pg_wal(lineage, &cell.data).await.unwrap();
        assert!(taken.partial.is_some());
        cell.start();
        cell.ready().await;
    }
    let history = house.archive.history().await.unwrap().history;
    assert!(history.lineages[0].partial.is_some());
    let reached = switch(&house, &cell, lineage).await;
    let mut history = house.archive.history().await.unwrap().history;
    assert_eq!(history.lineages[0].partial, None, "the whole segment is there");
    history.note_reached(lineage, reached);
    let plan = restore::plan(&history, Target::Time(Timestamp::now()), Timestamp::now(), DAY).unwrap();
    let to_end = Plan { stop: Stop::End, ..plan };
    let (restored, _) = house.materialise("restored", &to_end).await.unwrap();
    assert_eq!(events(&restored).await, ["round 0", "round 1", "round 2"]);
    let running = house.archive.take_pg_wal(lineage, &cell.data).await.unwrap_err();
    assert!(running.to_string().contains("is running"), "{running}");
}

#[tokio::test(flavor = "multi_thread")]
async fn archiving_waits_for_the_service_and_goes_on() {
    let house = House::new();
    let (cell, lineage) = house.first_cell("cell").await;
    house.service.close(&cell.archive_socket());
    let client = cell.connect().await;
    client.batch_execute("CREATE TABLE event (id bigserial PRIMARY KEY, name text)").await.unwrap();
    insert(&client, "while it was down").await;
    let reached = lsn(&client, "SELECT pg_switch_wal()").await;
    let soon = Instant::now() + Duration::from_millis(300);
    let error = house.archive.wait_for_wal(lineage, reached, soon).await.unwrap_err();
    assert!(error.to_string().contains("has not reached the repository in time"), "{error}");
    house.serve(&cell, Some(lineage), None).await;
    let later = Instant::now() + Duration::from_secs(70);
    house.archive.wait_for_wal(lineage, reached, later).await.unwrap();
    assert!(cell.log().contains("connect to the archive service"), "{}", cell.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_something_else_is_refused() {
    let house = House::new();
    let (cell, _) = house.first_cell("cell").await;
    let mut foreign = cell.lineage(house.archive.tenant(), None, model::lsn::Timeline(1));
    foreign.system_identifier += 1;
    let id = foreign.id;
    house.archive.put_lineage(foreign).await.unwrap();
    let attempt = async |lineage| {
        let client = cell.connect().await;
        let wal_timeout = Duration::from_secs(1);
        let request = BackupRequest { lineage, data_dir: cell.data.clone(), client, wal_timeout };
        house.archive.backup(request, |_, _| {}).await.unwrap_err()
    };
    let error = attempt(id).await;
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("another system identifier"), "{cause}");

    // Its WAL does not come, and nothing of the backup is left.
    let mut silent = cell.lineage(house.archive.tenant(), None, model::lsn::Timeline(1));
    silent.database = "silent".into();
    let id = silent.id;
    house.archive.put_lineage(silent).await.unwrap();
    let error = attempt(id).await;
    assert!(matches!(error, archive::BackupError::Wal(_)), "{error:?}");
    std::os::unix::fs::symlink("/etc", cell.data.join("base/etc")).unwrap();
    let error = attempt(id).await;
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("is a link"), "{cause}");
    let history = house.archive.history().await.unwrap().history;
    assert!(history.backups.is_empty());
    let tmp = house.service.repository().root().join("tmp");
    assert_eq!(std::fs::read_dir(tmp).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_backup_is_noticed() {
    let house = House::new();
    let (mut cell, lineage) = house.first_cell("cell").await;
    let progress = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = progress.clone();
    let client = cell.connect().await;
    let wal_timeout = Duration::from_secs(30);
    let request = BackupRequest { lineage, data_dir: cell.data.clone(), client, wal_timeout };
    let report = move |done, of| seen.lock().unwrap().push((done, of));
    let taken = house.archive.backup(request, report).await.unwrap();
    cell.stop();
    let progress = progress.lock().unwrap().clone();
    assert!(progress.is_sorted() && progress.last() == Some(&(taken.size, taken.size)), "{progress:?}");

    let manifest = house.archive.manifest(lineage, taken.id).await.unwrap();
    assert!(manifest.directories.iter().any(|path| path == "pg_wal"));
    let skipped = ["postmaster.pid", "pg_wal/", "backup_label", "recovery.signal", "pg_internal.init"];
    let copied = |name: &str| manifest.files.iter().any(|file| file.path.contains(name));
    assert!(!skipped.iter().any(|name| copied(name)), "{:?}", manifest.files);
    assert_eq!(manifest.files.last().unwrap().path, "global/pg_control");
    assert_eq!(manifest.files.iter().map(|file| file.size).sum::<u64>(), taken.size);

    // The databases that every cluster begins with are equal, and stored once.
    let content: u64 = manifest.packs.iter().map(|pack| pack.content).sum();
    assert!(content < taken.size * 2 / 3, "{content} of {}", taken.size);

    let dest = house.scratch.path().join("given");
    let extract = || house.archive.extract_backup(lineage, taken.id, &dest, None, |_, _| {});
    // What an extraction that was killed left is replaced.
    let new = house.scratch.path().join("given.new");
    std::fs::create_dir_all(new.join("base/77")).unwrap();
    extract().await.unwrap();
    assert!(!new.exists() && !dest.join("base/77").exists());
    assert_eq!(std::fs::read_to_string(dest.join("backup_label")).unwrap(), manifest.backup_label);
    assert_eq!(std::fs::read_dir(dest.join("pg_wal")).unwrap().count(), 0);
    for file in &manifest.files {
        let given = std::fs::read(dest.join(&file.path)).unwrap();
        assert_eq!(given.len() as u64, file.size, "{}", file.path);
        let Some((_, name)) = file.path.split_once("base/4/") else { continue };
        // Nobody connects to template0, and others have the same files.
        assert!(std::fs::read(cell.data.join(&file.path)).unwrap() == given, "{name}");
    }
    assert!(matches!(extract().await, Err(archive::ExtractError::Exists(_))));
    std::fs::remove_dir_all(&dest).unwrap();

    let folder = house.service.repository().root().join("tenants").join(house.archive.tenant().to_string());
    let folder = folder.join("lineages").join(lineage.to_string()).join("backups").join(taken.id.to_string());
    let (data, record) = (folder.join("000000"), folder.join("manifest"));
    let (good, good_record) = (std::fs::read(&data).unwrap(), std::fs::read(&record).unwrap());
    let mut bad: Vec<Vec<u8>> = [20, good.len() / 3, good.len() - 2]
        .map(|place| {
            let mut bad = good.clone();
            bad[place] ^= 4;
            bad
        })
        .to_vec();
    bad.push(good[..good.len() / 2].to_vec());
    bad.push([&good[..], b"more"].concat());
    bad.push(good_record.clone());
    for bad in bad {
        std::fs::write(&data, &bad).unwrap();
        let error = extract().await.unwrap_err();
        use archive::ExtractError::{Damaged, Data};
        assert!(matches!(error, Data { .. } | Damaged { .. }), "{error:?}");
        assert!(!dest.exists() && !new.exists());
    }
    std::fs::write(&data, &good).unwrap();
    let mut bad = good_record.clone();
    bad[good_record.len() / 2] ^= 1;
    std::fs::write(&record, &bad).unwrap();
    extract().await.unwrap_err();
    let read = house.archive.history().await.unwrap();
    assert!(read.history.backups.is_empty() && read.findings.len() == 1);
    std::fs::remove_file(&data).unwrap();
    std::fs::write(&record, &good_record).unwrap();
    let read = house.archive.history().await.unwrap();
    assert!(read.history.backups.is_empty() && read.findings.len() == 1, "a manifest without its data");
}

/// A page whose bytes rotted on the disk is named, and copied as it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_rotted_is_named() {
    let house = House::new();
    let (cell, lineage) = house.first_cell("cell").await;
    let client = cell.connect().await;
    client
        .batch_execute(
            "CREATE TABLE rotten AS SELECT n, md5(n::text) FROM generate_series(1, 5000) n; CHECKPOINT",
        )
        .await
        .unwrap();
    let sound = backup(&house, &cell, lineage).await;
    let manifest = house.archive.manifest(lineage, sound.id).await.unwrap();
    assert!(manifest.checksums && manifest.damaged_pages.is_empty(), "{:?}", manifest.damaged_pages);
    assert!(manifest.packs.len() > 2, "{:?}", manifest.packs);

    let row = client.query_one("SELECT pg_relation_filepath('rotten')", &[]).await.unwrap();
    let relation: String = row.get(0);
    let path = cell.data.join(&relation);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[3 * 8192 + 700] ^= 0x40;
    std::fs::write(&path, &bytes).unwrap();
    let rotten = backup(&house, &cell, lineage).await;
    let manifest = house.archive.manifest(lineage, rotten.id).await.unwrap();
    let [page] = &manifest.damaged_pages[..] else { panic!("{:?}", manifest.damaged_pages) };
    assert_eq!((&page.path, page.at), (&relation, 3 * 8192));
    let repository = house.read(house.service.repository().root());
    let found = repository.verify(None, &|_, _| {}).unwrap();
    let [flaw] = &found.flaws[..] else { panic!("{found:#?}") };
    assert_eq!(flaw.kind, archive::FlawKind::DamagedPage);
    assert!(flaw.what.contains(&relation), "{}", flaw.what);
}

/// Backups of changes, one on the other, make the same data directory as a
/// whole one would.
#[tokio::test(flavor = "multi_thread")]
async fn changes_are_backed_up_and_given_back() {
    let house = House::new();
    let (mut cell, lineage) = house.first_cell("cell").await;
    let client = cell.connect().await;
    let tables = "CREATE TABLE event (id bigserial PRIMARY KEY, name text NOT NULL, filler text);
        CREATE TABLE gone AS SELECT n, repeat('x', 200) AS filler FROM generate_series(1, 3000) n;
        CREATE TABLE short AS SELECT n, repeat('y', 200) AS filler FROM generate_series(1, 9000) n;
        INSERT INTO event (name, filler) SELECT 'load', repeat(md5(n::text), 20) FROM generate_series(1, 20000) n";
    client.batch_execute(tables).await.unwrap();
    activate(&house, lineage, now(&client).await).await;
    let whole = backup(&house, &cell, lineage).await;
    let mut taken = vec![whole.clone()];
    for round in 0..3 {
        let changes = format!(
            "UPDATE event SET filler = md5(random()::text) WHERE id % 997 = {round};
             DELETE FROM short WHERE n > {}; VACUUM short; DROP TABLE IF EXISTS gone;
             CREATE TABLE new{round} AS SELECT n FROM generate_series(1, 500) n;
             INSERT INTO event (name) VALUES ('round {round}')",
            6000 - 2000 * round
        );
        for statement in changes.split(';') {
            client.batch_execute(statement).await.unwrap();
        }
        let base = house.archive.newest_base(lineage).await.unwrap();
        assert_eq!(base, taken.last().map(|backup| backup.id));
        let wal_timeout = Duration::from_secs(30);
        let session = cell.connect().await;
        let request = BackupRequest { lineage, data_dir: cell.data.clone(), client: session, wal_timeout };
        let backup = house.archive.backup_since(request, base, |_, _| {}).await.unwrap();
        assert!(backup.stored < whole.stored / 3, "{} after {}", backup.stored, whole.stored);
        println!("changes: {} of {} bytes", backup.stored, whole.stored);
        taken.push(backup);
    }
    insert(&client, "at last").await;
    let digest =
        "SELECT md5(string_agg(md5(event::text), '' ORDER BY id)) || (SELECT count(*) FROM short) FROM event";
    let expected: String = client.query_one(digest, &[]).await.unwrap().get(0);
    drop(client);
    cell.kill();
    house.archive.take_pg_wal(lineage, &cell.data).await.unwrap();
    let found = house.read(house.service.repository().root()).verify(None, &|_, _| {}).unwrap();
    assert!(found.is_sound() && found.backups == 4, "{found:#?}");

    let latest = plan(&house, Target::Time(Timestamp::now())).await;
    assert_eq!(latest.backup, taken[3].id);
    let to_end = Plan { stop: Stop::End, ..latest };
    let (mut restored, _) = house.materialise("restored", &to_end).await.unwrap();
    assert_eq!(events(&restored).await, ["round 0", "round 1", "round 2", "at last"]);
    let found: String = restored.connect().await.query_one(digest, &[]).await.unwrap().get(0);
    assert_eq!(found, expected);
    restored.stop();
    restored.check_pages();

    // Without one of the row, what comes after it is no backup.
    let tenant = house.archive.tenant().to_string();
    let folder = house.service.repository().root().join("tenants").join(tenant).join("lineages");
    let folder = folder.join(lineage.to_string()).join("backups").join(taken[1].id.to_string());
    std::fs::rename(folder.join("manifest"), folder.join("aside")).unwrap();
    let read = house.archive.history().await.unwrap();
    assert_eq!(read.history.backups.iter().map(|backup| backup.id).collect::<Vec<_>>(), [whole.id]);
    assert!(!read.findings.is_empty());
}

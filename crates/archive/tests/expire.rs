//! Expiry of what a real PostgreSQL filled a repository with: what is kept can
//! be restored, what is not goes, and neither kills nor others who use the
//! repository meanwhile change that.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use archive::{
    BackupRequest, Clock, ClockError, Expire, ExpireError, Expired, FileId, Filestore, Repository,
    SnapshotMark, TenantExpired,
};
use jiff::{SignedDuration, Timestamp};
use model::archive::{Activation, Fork, SnapshotPoint};
use model::lsn::{Lsn, Segment, SegmentSize, Timeline, WalFile};
use model::restore::{self, Plan, Stop, Target};
use model::retention::{Retention, Why};
use model::{BackupId, LineageId, SnapshotId};
use support::weed::{self, Weed};
use support::{Cell, House, segment};
use tokio::time::Instant;
use tokio_postgres::types::PgLsn;

const DAY: SignedDuration = SignedDuration::from_hours(24);
const ONE: Retention = Retention { days: 1, daily: 0, weekly: 0, monthly: 0 };

struct Filled {
    house: House,
    cell: Cell,
    lineage: LineageId,
    /// A lineage that came of a restore that failed.
    failed: LineageId,
    /// Full, changes since the first, full.
    backups: [BackupId; 3],
    pinned: SnapshotId,
    expired: SnapshotId,
    /// Named by the pinned snapshot, by the expired one alone, and by all.
    files: [FileId; 3],
}

fn filestore(house: &House) -> Filestore {
    Filestore { data_dir: house.scratch.path().join("odoo"), database: "postgres".into() }
}

fn put_file(house: &House, text: &str) -> FileId {
    let id = FileId::of(text.as_bytes());
    let name = id.to_string();
    let path = filestore(house).data_dir.join("filestore/postgres").join(&name[..2]).join(&name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    id
}

async fn write(house: &House, cell: &Cell, lineage: LineageId, text: &str) -> Lsn {
    let client = cell.connect().await;
    let rows = "INSERT INTO event (name) SELECT $1 || md5(n::text) FROM generate_series(1, 4000) n";
    client.execute(rows, &[&text]).await.unwrap();
    let lsn = Lsn(client.query_one("SELECT pg_switch_wal()", &[]).await.unwrap().get::<_, PgLsn>(0).into());
    let deadline = Instant::now() + Duration::from_secs(30);
    house.archive.wait_for_wal(lineage, lsn, deadline).await.unwrap();
    lsn
}

async fn backup(
    house: &House,
    cell: &Cell,
    lineage: LineageId,
    base: Option<BackupId>,
    files: &[FileId],
) -> BackupId {
    let (client, wal_timeout) = (cell.connect().await, Duration::from_secs(30));
    let request = BackupRequest { lineage, data_dir: cell.data.clone(), client, wal_timeout };
    let id = BackupId::new();
    assert!(house.archive.list_files(id.0, files.to_vec()).await.unwrap().is_empty());
    house.archive.backup_as(id, request, base, |_, _| {}).await.unwrap().id
}

async fn snapshot(house: &House, cell: &Cell, lineage: LineageId, mark: SnapshotMark, files: &[FileId]) {
    let id = mark.snapshot;
    let restore_point = SnapshotPoint::restore_point(id, 1);
    let at = Timestamp::now();
    let query = format!("SELECT pg_create_restore_point('{restore_point}')");
    let lsn = Lsn(cell.connect().await.query_one(&query, &[]).await.unwrap().get::<_, PgLsn>(0).into());
    write(house, cell, lineage, "behind").await;
    assert!(house.archive.list_files(id.0, files.to_vec()).await.unwrap().is_empty());
    house.archive.put_mark(mark).await.unwrap();
    let point = SnapshotPoint { id, lineage, name: "named".into(), restore_point, lsn, at };
    house.archive.put_snapshot(point).await.unwrap();
}

async fn fill() -> Filled {
    let house = House::new();
    let (cell, lineage) = house.first_cell("cell").await;
    cell.connect().await.batch_execute("CREATE TABLE event (id bigserial, name text)").await.unwrap();
    house.archive.put_activation(Activation { lineage, at: Timestamp::now() }).await.unwrap();
    let files = ["one", "two", "three"].map(|text| put_file(&house, text));
    let [of_pinned, of_expired, of_all] = files;
    assert_eq!(house.archive.sync_filestore(&filestore(&house)).await.unwrap().kept, 3);

    // As if they had been there for long.
    let objects = house.scratch.path().join(format!("repository/tenants/{}/files", house.archive.tenant()));
    let hours_ago = std::time::SystemTime::now() - Duration::from_secs(3 * 3600);
    for file in files {
        let name = file.to_string();
        let object = fs::File::options().write(true).open(objects.join(&name[..2]).join(&name)).unwrap();
        object.set_modified(hours_ago).unwrap();
    }

    let first = backup(&house, &cell, lineage, None, &[of_pinned, of_all]).await;
    write(&house, &cell, lineage, "first").await;
    let (pinned, expired) = (SnapshotId::new(), SnapshotId::new());
    let mark = |snapshot, pinned| SnapshotMark {
        snapshot,
        pinned,
        expires_at: Some(Timestamp::now() + SignedDuration::from_hours(1)),
        note: Some("why".to_owned()),
    };
    snapshot(&house, &cell, lineage, mark(pinned, true), &[of_pinned, of_all]).await;
    let fork = write(&house, &cell, lineage, "second").await;
    let second = backup(&house, &cell, lineage, Some(first), &[of_expired, of_all]).await;
    write(&house, &cell, lineage, "third").await;
    snapshot(&house, &cell, lineage, mark(expired, false), &[of_expired, of_all]).await;
    write(&house, &cell, lineage, "fourth").await;
    let third = backup(&house, &cell, lineage, None, &[of_all]).await;
    write(&house, &cell, lineage, "fifth").await;

    let parent = Some(Fork { lineage, lsn: fork });
    let failed = cell.lineage(house.archive.tenant(), parent, Timeline(2));
    house.archive.put_lineage(failed.clone()).await.unwrap();
    let wal = WalFile::Segment(Segment::at(Timeline(2), fork, SegmentSize::CELL));
    let number = fork.0 / u64::from(SegmentSize::CELL.0);
    house.archive.push_wal(failed.id, wal, segment(&failed, number, 0)).await.unwrap();
    let backups = [first, second, third];
    Filled { house, cell, lineage, failed: failed.id, backups, pinned, expired, files }
}

fn later(days: i64) -> Timestamp {
    Timestamp::now() + DAY * i32::try_from(days).unwrap()
}

fn how(now: Timestamp) -> Expire {
    Expire {
        retention: ONE,
        grace: Duration::from_secs(86_400),
        clock: Clock { now, boot: None },
        clock_is_right: true,
        plan_only: false,
    }
}

fn expire(repository: &Repository, days: i64) -> TenantExpired {
    let mut expired = repository.expire(None, &how(later(days))).unwrap();
    assert_eq!(expired.tenants.len(), 1);
    expired.tenants.remove(0)
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

/// What there is, but for what expiry itself notes.
fn objects(root: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => drop(found.insert(path.strip_prefix(root).unwrap().to_owned())),
            }
        }
    }
    found.retain(|path| !path.iter().any(|part| part == "journal"));
    found
}

fn sound(repository: &Repository, filled: &Filled) {
    let found = repository.verify(None, &|_, _| {}).unwrap();
    // The segment that was made up has no records.
    let made_up = filled.failed.to_string();
    let flaws: Vec<_> =
        found.flaws.iter().filter(|flaw| !flaw.path.display().to_string().contains(&made_up)).collect();
    assert!(flaws.is_empty(), "{flaws:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_restored_and_the_rest_goes() {
    let filled = fill().await;
    let Filled { house, cell, backups: [first, second, third], pinned, expired, files, .. } = &filled;
    let root = house.scratch.path().join("repository");
    let repository = house.read(&root);
    let before = objects(&root);

    // A plan changes nothing.
    let plan = Expire { plan_only: true, ..how(later(10)) };
    let planned = repository.expire(None, &plan).unwrap().tenants.remove(0);
    assert_eq!(objects(&root), before);
    assert_eq!(planned.left_alone, None);
    let why: Vec<_> = planned.backups.iter().map(|kept| (kept.id, kept.why)).collect();
    assert_eq!(why, [(*first, Why::LeadsTo { snapshot: *pinned }), (*third, Why::LeadsToWindow)]);
    assert_eq!(planned.snapshots.iter().map(|kept| kept.why).collect::<Vec<_>>(), [Why::Pinned]);
    let kinds: Vec<_> = planned.unneeded.keys().copied().collect();
    assert_eq!(kinds, ["attachments", "backups", "records", "snapshots", "wal"]);
    assert!(planned.due.is_empty() && planned.next_due.is_some());

    // Condemned first, removed after the grace, and then all is done.
    let condemned = expire(&repository, 10);
    assert_eq!((&condemned.unneeded, condemned.removed.len()), (&planned.unneeded, 0));
    assert!(expire(&repository, 10).removed.is_empty());
    let removed = expire(&repository, 12);
    assert_eq!(removed.left_alone, None);
    assert_eq!(removed.removed, planned.unneeded);
    assert_eq!(
        (&removed.dropped_backups[..], &removed.dropped_snapshots[..]),
        (&[*second][..], &[*expired][..])
    );
    sound(&repository, &filled);
    let again = expire(&repository, 14);
    assert!(again.unneeded.is_empty() && again.journal.is_none(), "{:?}", again.unneeded);
    let journal = house.archive.journal().await.unwrap();
    let [(entry, Some(done))] = &journal[..] else { panic!("{journal:?}") };
    assert_eq!((&entry.backups[..], &entry.lineages[..]), (&[*second][..], &[filled.failed][..]));
    assert_eq!((done.objects, entry.files.len()), (entry.objects, 1));
    assert!(objects(&root).len() < before.len());
    assert!(!root.join(format!("tenants/{}/lineages/{}", house.archive.tenant(), filled.failed)).exists());

    // The files of what is kept.
    let missing =
        house.read(&root).tenant(house.archive.tenant()).missing_files(files.to_vec()).await.unwrap();
    assert_eq!(missing, [files[1]]);

    // The pinned snapshot, the newest state, and the backup by itself.
    let inventory = house.read(&root).tenant(house.archive.tenant()).history().await.unwrap();
    assert!(inventory.findings.is_empty(), "{:?}", inventory.findings);
    let now = Timestamp::now();
    let plan = |target| restore::plan(&inventory.history, target, now, Duration::from_secs(86_400));
    assert!(plan(Target::Snapshot(*expired)).is_err());
    let rows = "SELECT count(*) FROM event";
    let live: i64 = cell.connect().await.query_one(rows, &[]).await.unwrap().get(0);
    for (name, plan, count) in [
        ("pinned", plan(Target::Snapshot(*pinned)).unwrap(), 4_000),
        ("latest", Plan { stop: Stop::End, ..plan(Target::Time(now)).unwrap() }, live),
        ("alone", restore::plan_backup(&inventory.history, *third).unwrap(), live - 4_000),
    ] {
        let (mut restored, _) = house.materialise(name, &plan).await.unwrap();
        let found: i64 = restored.connect().await.query_one(rows, &[]).await.unwrap().get(0);
        assert_eq!(found, count, "{name}");
        restored.stop();
        restored.check_pages();
    }
}

fn child(place: &str, key: &Path, now: Timestamp, faults: Option<&Path>) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_archive-wal"));
    command.arg("expire").arg(place).arg(key).arg(now.to_string());
    command.env("HEDDLE_FAULTS", faults.unwrap_or(Path::new("")));
    command.env("AWS_ACCESS_KEY_ID", weed::ACCESS).env("AWS_SECRET_ACCESS_KEY", weed::SECRET);
    command.env("AWS_REGION", "us-east-1");
    if let Ok(port) = place_port(place) {
        command.env("AWS_ENDPOINT", format!("http://127.0.0.1:{port}"));
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The tests' buckets tell their server's port in the prefix.
fn place_port(place: &str) -> Result<u16, std::num::ParseIntError> {
    place.rsplit('/').next().unwrap_or_default().trim_start_matches("at-").parse()
}

fn run(place: &str, key: &Path, now: Timestamp, faults: Option<&Path>) -> Output {
    child(place, key, now, faults).wait_with_output().unwrap()
}

fn done(output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["tenants"][0]["left_alone"], serde_json::Value::Null);
    told
}

const POINTS: &[&str] = &[
    "archive.expire.condemned",
    "archive.expire.begun",
    "archive.expire.one",
    "archive.expire.snapshots",
    "archive.expire.manifests",
    "archive.expire.packs",
    "archive.expire.wal",
    "archive.expire.files",
    "archive.expire.records",
    "archive.expire.removed",
    "archive.expire.ended",
];

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_point_it_is_run_again() {
    let filled = fill().await;
    let house = &filled.house;
    let scratch = house.scratch.path();
    let (root, key) = (scratch.join("repository"), scratch.join("key"));
    let whole = scratch.join("whole");
    copy(&root, &whole);
    let place = |root: &Path| root.display().to_string();
    let (first, second, third) = (later(10), later(12), later(14));
    for now in [first, second, third] {
        done(&run(&place(&whole), &key, now, None));
    }
    let expected = objects(&whole);

    let mut survived = 0;
    for point in POINTS {
        let (copied, faults) = (scratch.join("copied"), scratch.join("faults"));
        copy(&root, &copied);
        fs::create_dir(&faults).unwrap();
        // The first condemns, and the second removes.
        let early = *point == "archive.expire.condemned";
        if !early {
            done(&run(&place(&copied), &key, first, None));
        }
        fs::write(faults.join(point), "").unwrap();
        let killed = run(&place(&copied), &key, if early { first } else { second }, Some(&faults));
        assert!(!killed.status.success(), "{point} was not reached");
        assert!(faults.join(format!("{point}.reached")).exists(), "{point}");
        sound(&house.read(&copied), &filled);
        let archive = house.read(&copied).tenant(house.archive.tenant());
        let history = archive.history().await.unwrap().history;
        restore::plan(&history, Target::Snapshot(filled.pinned), Timestamp::now(), Duration::MAX).unwrap();

        for now in [second, third] {
            done(&run(&place(&copied), &key, now, None));
        }
        sound(&house.read(&copied), &filled);
        assert_eq!(objects(&copied), expected, "{point}");
        let journal = archive.journal().await.unwrap();
        // The one that was broken off is ended in an hour.
        let open = journal.iter().filter(|(_, done)| done.is_none()).count();
        assert!(open <= 1, "{point}: {journal:?}");
        survived += 1;
        fs::remove_dir_all(&copied).unwrap();
        fs::remove_dir_all(&faults).unwrap();
    }
    println!("expire: survived {survived} of {} points", POINTS.len());
    assert_eq!(survived, POINTS.len());
}

/// Copies a folder's repository into a bucket: names and contents are the same.
fn upload(weed: &Weed, root: &Path, prefix: &str) {
    for path in objects(root) {
        let key = format!("{prefix}/{}", path.display());
        weed.put(&key, &fs::read(root.join(&path)).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_expired_as_a_folder_is() {
    let mut filled = fill().await;
    filled.cell.stop();
    let house = &filled.house;
    let (root, key) = (house.scratch.path().join("repository"), house.scratch.path().join("key"));
    let weed = Weed::start(&house.scratch.path().join("weed"));
    let prefix = format!("at-{}", weed.port());
    upload(&weed, &root, &prefix);
    // What a backup that was broken off left.
    let tenant = house.archive.tenant();
    let leftover = format!("tenants/{tenant}/lineages/{}/backups/{}/000000", filled.lineage, BackupId::new());
    weed.put(&format!("{prefix}/{leftover}"), b"half a pack");
    weed.put(&format!("{prefix}/tmp/probe-1"), b"once\n");
    let place = format!("s3://{}/{prefix}", weed::BUCKET);

    done(&run(&place, &key, later(10), None));
    let faults = house.scratch.path().join("faults");
    fs::create_dir(&faults).unwrap();
    let reader = Repository::open(weed.place(&prefix), house.keys()).unwrap();
    for point in ["archive.expire.begun", "archive.expire.manifests", "archive.expire.wal"] {
        fs::write(faults.join(point), "").unwrap();
        assert!(!run(&place, &key, later(12), Some(&faults)).status.success(), "{point}");
        assert!(faults.join(format!("{point}.reached")).exists(), "{point}");
        sound(&reader, &filled);
    }
    done(&run(&place, &key, later(12), None));
    let again = done(&run(&place, &key, later(14), None));
    assert_eq!(again["tenants"][0]["unneeded"], serde_json::json!({}));
    sound(&reader, &filled);
    let reader = Repository::open(weed.place(&prefix), house.keys()).unwrap();
    let archive = reader.tenant(tenant);
    // The bucket's server stored them just now, and so they stay.
    assert!(archive.missing_files(filled.files.to_vec()).await.unwrap().is_empty());
    let inventory = archive.history().await.unwrap();
    assert_eq!((inventory.findings.len(), inventory.history.backups.len()), (0, 2));
    assert_eq!((inventory.history.lineages.len(), inventory.history.snapshots.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_that_he_needs_something_keeps_it() {
    let filled = fill().await;
    let house = &filled.house;
    let scratch = house.scratch.path();
    let (root, key) = (scratch.join("repository"), scratch.join("key"));
    let (place, faults) = (root.display().to_string(), scratch.join("faults"));
    fs::create_dir(&faults).unwrap();
    done(&run(&place, &key, later(10), None));

    // It has told what goes, and is held. Meanwhile somebody pins the snapshot,
    // a file of the same content comes back, WAL comes in, and a backup is taken.
    let held = |point: &str| faults.join(format!("{point}.held"));
    fs::write(faults.join("archive.expire.begun.hold"), "").unwrap();
    let removing = child(&place, &key, later(12), Some(&faults));
    while !held("archive.expire.begun").exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    write(house, &filled.cell, filled.lineage, "meanwhile").await;
    let of_all = [filled.files[2]];
    let fourth = backup(house, &filled.cell, filled.lineage, Some(filled.backups[2]), &of_all).await;
    let archive = house.archive.clone();
    let snapshot = filled.expired;
    let pinning = tokio::spawn(async move {
        let mark = SnapshotMark { snapshot, pinned: true, expires_at: None, note: None };
        archive.put_mark(mark).await
    });
    let (archive, file) = (house.archive.clone(), filled.files[1]);
    let keeping = tokio::spawn(async move { archive.keep_file(file, b"two".to_vec()).await });
    // Both wait for whoever removes to have seen them.
    let noted =
        || fs::read_dir(root.join(format!("tenants/{}/lists", house.archive.tenant()))).unwrap().count();
    while noted() < 7 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!pinning.is_finished() && !keeping.is_finished());
    fs::remove_file(held("archive.expire.begun")).unwrap();
    let told = done(&removing.wait_with_output().unwrap());
    pinning.await.unwrap().unwrap();
    keeping.await.unwrap().unwrap();

    assert_eq!(told["tenants"][0]["dropped_snapshots"], serde_json::json!([]));
    let repository = house.read(&root);
    sound(&repository, &filled);
    let read = repository.tenant(house.archive.tenant());
    assert!(read.missing_files(filled.files.to_vec()).await.unwrap().is_empty());
    assert_eq!(read.read_file(file).await.unwrap().unwrap(), b"two");
    let history = read.history().await.unwrap().history;
    let plan = |target| restore::plan(&history, target, Timestamp::now(), Duration::MAX).unwrap();
    for snapshot in [filled.pinned, filled.expired] {
        plan(Target::Snapshot(snapshot));
    }
    assert!(history.backups.iter().any(|backup| backup.id == fourth));
    let (mut restored, _) = house.materialise("restored", &plan(Target::Snapshot(snapshot))).await.unwrap();
    let rows = "SELECT count(*) FROM event";
    let found: i64 = restored.connect().await.query_one(rows, &[]).await.unwrap().get(0);
    assert_eq!(found, 16_000);
    restored.stop();

    // A file that was removed is stored again when it comes back.
    let mark = SnapshotMark { snapshot, pinned: false, expires_at: Some(Timestamp::now()), note: None };
    house.archive.put_mark(mark).await.unwrap();
    backup(house, &filled.cell, filled.lineage, Some(fourth), &of_all).await;
    for days in [20, 22, 24] {
        done(&run(&place, &key, later(days), None));
    }
    let read = house.read(&root).tenant(house.archive.tenant());
    assert_eq!(read.missing_files(vec![file]).await.unwrap(), [file]);
    read.keep_file(file, b"two".to_vec()).await.unwrap();
    let read = house.read(&root).tenant(house.archive.tenant());
    assert_eq!(read.read_file(file).await.unwrap().unwrap(), b"two");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_expire_at_once_do_no_harm() {
    let filled = fill().await;
    let house = &filled.house;
    let (root, key) = (house.scratch.path().join("repository"), house.scratch.path().join("key"));
    let place = root.display().to_string();
    done(&run(&place, &key, later(10), None));
    let both = [child(&place, &key, later(12), None), child(&place, &key, later(12), None)];
    for number in 0..3 {
        write(house, &filled.cell, filled.lineage, &format!("meanwhile {number}")).await;
    }
    for child in both {
        // Each may find that the other was quicker; neither fails.
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    done(&run(&place, &key, later(12), None));
    sound(&house.read(&root), &filled);
    let history = house.read(&root).tenant(house.archive.tenant()).history().await.unwrap().history;
    assert_eq!((history.snapshots.len(), history.backups.len()), (1, 2));
}

fn refused(repository: &Repository, how: &Expire) -> ClockError {
    match repository.expire(None, how).unwrap_err() {
        ExpireError::Clock(error) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_doubt_nothing_is_removed() {
    let filled = fill().await;
    let house = &filled.house;
    let root = house.scratch.path().join("repository");
    let repository = house.read(&root);
    let before = objects(&root);
    let asking = |now| Expire { clock_is_right: false, ..how(now) };
    let error = refused(&repository, &asking(later(10)));
    assert!(matches!(error, ClockError::LongIdle { .. }), "{error}");
    let error = refused(&repository, &asking(later(-1)));
    assert!(matches!(error, ClockError::WentBack { .. }), "{error}");
    let error = refused(&repository, &asking(Timestamp::now() + SignedDuration::from_hours(30)));
    assert!(matches!(error, ClockError::Differs { .. }), "{error}");
    assert_eq!(objects(&root), before);
    let clock = Clock::system();
    repository.expire(None, &Expire { clock: clock.clone(), ..asking(clock.now) }).unwrap();
    let (id, since) = clock.boot.unwrap();
    let jumped = Clock { now: later(2), boot: Some((id, since)) };
    let error = refused(&repository, &Expire { clock: jumped, ..asking(later(2)) });
    assert!(matches!(error, ClockError::WasSet { .. }), "{error}");

    // A tenant with anything that is not understood is left alone.
    expire(&repository, 10);
    let before = objects(&root);
    let tenant = root.join(format!("tenants/{}", house.archive.tenant()));
    let lineage = tenant.join(format!("lineages/{}", filled.lineage));
    let away = house.scratch.path().join("away");
    for (path, why) in [
        (tenant.join(format!("snapshots/{}", filled.pinned)), "is damaged"),
        (tenant.join(format!("marks/{}", filled.pinned)), "is damaged"),
        (tenant.join(format!("lists/{}", filled.pinned)), "is damaged"),
        (lineage.join(format!("backups/{}/manifest", filled.backups[0])), "is damaged"),
    ] {
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[60] ^= 1;
        fs::write(&path, bad).unwrap();
        let left = expire(&repository, 12).left_alone.unwrap();
        assert!(left.contains(why), "{}: {left}", path.display());
        fs::write(&path, good).unwrap();
    }
    for (path, why) in [
        (lineage.join("lineage"), "is missing or damaged"),
        (lineage.join("activated"), "nothing says from which"),
    ] {
        fs::rename(&path, &away).unwrap();
        // One that has read the record remembers it.
        let left = expire(&house.read(&root), 12).left_alone.unwrap();
        assert!(left.contains(why), "{}: {left}", path.display());
        fs::rename(&away, &path).unwrap();
    }
    fs::write(tenant.join("what"), "").unwrap();
    let left = expire(&repository, 12).left_alone.unwrap();
    assert!(left.contains("what is unknown"), "{left}");
    fs::remove_file(tenant.join("what")).unwrap();
    assert_eq!(objects(&root), before);

    let Expired { tenants, .. } = repository.expire(Some(house.archive.tenant()), &how(later(12))).unwrap();
    assert_eq!(tenants[0].left_alone, None);
    sound(&repository, &filled);
    let unknown = repository.expire(Some(model::TenantId::new()), &how(later(12))).unwrap_err();
    assert!(matches!(unknown, ExpireError::UnknownTenant(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_shredded_tenant_nothing_is_left() {
    let filled = fill().await;
    let house = &filled.house;
    let root = house.scratch.path().join("repository");
    let repository = house.read(&root);
    let other = repository.tenant(model::TenantId::new());
    other.put_lineage(support::a_lineage(other.tenant())).await.unwrap();
    let tenant = house.archive.tenant();
    assert_eq!(repository.clear_shredded(tenant).unwrap().objects, 0);
    repository.shred(tenant).unwrap();
    let planned = Expire { plan_only: true, ..how(later(1)) };
    assert_eq!(repository.expire(None, &planned).unwrap().shredded_removed.objects, 0);
    let expired = repository.expire(None, &how(later(1))).unwrap();
    assert_eq!(expired.shredded, 1);
    assert!(expired.shredded_removed.objects > 20, "{:?}", expired.shredded_removed);
    let names: Vec<_> = fs::read_dir(root.join(format!("tenants/{tenant}"))).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(repository.clear_shredded(tenant).unwrap().objects, 0);
    let gone = house.read(&root).tenant(tenant).history().await.unwrap_err();
    assert!(gone.key_error().unwrap().to_string().contains("was destroyed"), "{gone}");
    let found = repository.verify(None, &|_, _| {}).unwrap();
    assert_eq!((found.shredded, found.tenants, found.flaws.len()), (1, 1, 0));
}

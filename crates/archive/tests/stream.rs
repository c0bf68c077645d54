//! A real PostgreSQL's WAL is streamed into the repository: what was durable
//! there outlives the cell.

mod support;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use archive::{
    BackupRequest, Clock, Expire, FetchError, FlawKind, KeyFile, Repository, Streamed, TenantArchive,
};
use jiff::{SignedDuration, Timestamp};
use model::archive::Activation;
use model::lsn::{Lsn, SegmentSize};
use model::restore::{self, Plan, PlanError, Stop, Target};
use model::retention::Retention;
use model::{LineageId, TenantId};
use support::weed::Weed;
use support::{Cell, House};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use tokio_postgres::types::PgLsn;

const DAY: Duration = Duration::from_secs(86_400);
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a receiver can die.
const POINTS: [&str; 5] = [
    "archive.stream.written",
    "archive.stream.linked",
    "archive.stream.removed",
    "archive.push.written",
    "archive.push.linked",
];

/// A receiver, until it is dropped.
struct Stream {
    told: watch::Receiver<Streamed>,
    task: JoinHandle<()>,
}

impl Stream {
    fn of(archive: &TenantArchive, cell: &Cell, lineage: LineageId) -> Self {
        let (tell, told) = watch::channel(Streamed::default());
        let (archive, socket) = (archive.clone(), cell.dir.join(".s.PGSQL.5432"));
        let task = tokio::spawn(async move {
            archive.stream_wal(lineage, socket, Duration::from_millis(20), tell).await;
        });
        Self { told, task }
    }

    /// Waits until something is so.
    async fn until(&mut self, what: &str, so: impl FnMut(&Streamed) -> bool) -> Streamed {
        let waited = tokio::time::timeout(PATIENCE, self.told.wait_for(so)).await;
        let found = waited.ok().and_then(|found| found.ok().map(|told| told.clone()));
        found.unwrap_or_else(|| panic!("not {what}: {:?}", self.told.borrow()))
    }

    /// Kills it, as far as a task can be: nothing of it goes on but a write
    /// that is under way.
    async fn end(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

async fn lsn(client: &Client, query: &str) -> Lsn {
    let lsn: PgLsn = client.query_one(query, &[]).await.unwrap().get(0);
    Lsn(lsn.into())
}

async fn flushed(client: &Client) -> Lsn {
    lsn(client, "SELECT pg_current_wal_flush_lsn()").await
}

async fn insert(client: &Client, name: &str) -> Lsn {
    client.execute("INSERT INTO event (name) VALUES ($1)", &[&name]).await.unwrap();
    flushed(client).await
}

/// A cell with a table and a base backup, that is served.
async fn begin(house: &House, archive: &TenantArchive, name: &str) -> (Cell, LineageId) {
    let (cell, id) = house.first_cell(name).await;
    let client = cell.connect().await;
    client.batch_execute("CREATE TABLE event (id bigserial PRIMARY KEY, name text NOT NULL)").await.unwrap();
    let wal_timeout = PATIENCE;
    let session = cell.connect().await;
    let request = BackupRequest { lineage: id, data_dir: cell.data.clone(), client: session, wal_timeout };
    archive.backup(request, |_, _| {}).await.unwrap_or_else(|error| panic!("{error:?}\n{}", cell.log()));
    archive.put_activation(Activation { lineage: id, at: Timestamp::now() }).await.unwrap();
    (cell, id)
}

/// Everything is gone but the repository.
fn lose(mut cell: Cell) {
    cell.kill();
    fs::remove_dir_all(&cell.data).unwrap();
}

async fn latest(archive: &TenantArchive) -> Plan {
    let inventory = archive.history().await.unwrap();
    assert!(inventory.findings.is_empty(), "{:?}", inventory.findings);
    let now = Timestamp::now();
    let plan = restore::plan(&inventory.history, Target::Time(now), now, DAY).unwrap();
    Plan { stop: Stop::End, ..plan }
}

async fn events(cell: &Cell) -> Vec<String> {
    let rows = cell.connect().await.query("SELECT name FROM event ORDER BY id", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

fn wal_folder(house: &House, lineage: LineageId) -> PathBuf {
    let tenant = house.archive.tenant().to_string();
    house.service.repository().root().join(format!("tenants/{tenant}/lineages/{lineage}/wal"))
}

fn pieces(house: &House, lineage: LineageId) -> Vec<String> {
    let mut names = names(&wal_folder(house, lineage));
    names.retain(|name| name.contains(".partial-"));
    names
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Every commit that was durable in the repository is given back, and none of
/// them is out of its order; also by the lineage that goes on from there.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_durable_is_given_back() {
    let house = House::new();
    let (cell, root) = begin(&house, &house.archive, "cell").await;
    let mut stream = Stream::of(&house.archive, &cell, root);
    let client = cell.connect().await;
    let mut commits = Vec::new();
    for number in 0..200 {
        let name = format!("{number} {}", "x".repeat(number * 37 % 4000));
        commits.push((insert(&client, &name).await, name));
        if number == 120 {
            // It dies and begins again in the midst of a segment.
            stream.end().await;
            stream = Stream::of(&house.archive, &cell, root);
        }
    }
    let half = commits[150].0;
    stream.until("durable", |told| told.durable >= half).await;
    lose(cell);
    let durable = stream.told.borrow().durable;
    stream.end().await;

    let plan = latest(&house.archive).await;
    let (mut restored, lineage) =
        house.materialise("restored", &plan).await.unwrap_or_else(|log| panic!("{log}"));
    let found = events(&restored).await;
    let expected = commits.iter().filter(|(lsn, _)| *lsn <= durable).count();
    assert!(expected > 150 && found.len() >= expected, "{} of {expected}", found.len());
    assert!(found.iter().zip(&commits).all(|(found, (_, name))| found == name));

    // The new lineage's first segment begins with the old one's streamed bytes.
    let mut stream = Stream::of(&house.archive, &restored, lineage.id);
    let client = restored.connect().await;
    let last = insert(&client, "after the loss").await;
    stream.until("durable", |told| told.durable >= last).await;
    let sound = house.read(house.service.repository().root()).verify(None, &|_, _| {}).unwrap();
    assert!(sound.is_sound(), "{sound:#?}");
    restored.kill();
    stream.end().await;
    house.archive.put_activation(Activation { lineage: lineage.id, at: Timestamp::now() }).await.unwrap();
    fs::remove_dir_all(&restored.data).unwrap();
    let plan = latest(&house.archive).await;
    assert_eq!(plan.wal.len(), 2);
    let (again, _) = house.materialise("again", &plan).await.unwrap_or_else(|log| panic!("{log}"));
    let found = events(&again).await;
    assert_eq!(found.last().unwrap(), "after the loss");
    // What the first lineage served is still what it served: none of the second's.
    assert_eq!(plan.wal[0].lineage, root);
}

/// The receiver's process dies at each point that it can, one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn kills_at_every_point_lose_nothing_durable() {
    let house = House::new();
    let (cell, root) = begin(&house, &house.archive, "cell").await;
    let faults = house.scratch.path().join("faults");
    fs::create_dir(&faults).unwrap();
    let client = cell.connect().await;
    client.batch_execute("CREATE TABLE load (filler text)").await.unwrap();
    let load = "INSERT INTO load SELECT repeat(md5(n::text), 30) FROM generate_series(1, 4000) n";
    let (mut commits, mut durable) = (Vec::new(), Lsn(0));
    for point in POINTS {
        fs::write(faults.join(point), "").unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_archive-wal"))
            .arg("stream")
            .args([house.service.repository().root(), &house.scratch.path().join("key")])
            .args([house.archive.tenant().to_string(), root.to_string()])
            .arg(cell.dir.join(".s.PGSQL.5432"))
            .env("HEDDLE_FAULTS", &faults)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let begun = std::time::Instant::now();
        while child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < PATIENCE, "{point} was not reached");
            for _ in 0..5 {
                let name = commits.len().to_string();
                commits.push((insert(&client, &name).await, name));
            }
            // Segments end in pieces, and by the dozen.
            client.batch_execute(load).await.unwrap();
            client.query_one("SELECT pg_switch_wal()", &[]).await.unwrap();
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(9), "{point}: {output:?}");
        assert!(faults.join(format!("{point}.reached")).exists());
        let told = String::from_utf8(output.stdout).unwrap();
        durable = told.lines().map(|line| line.parse().unwrap()).max().unwrap_or(durable).max(durable);
    }
    println!("fault points of the receiver: reached {0}/{0}", POINTS.len());
    lose(cell);
    let plan = latest(&house.archive).await;
    let (restored, _) = house.materialise("restored", &plan).await.unwrap_or_else(|log| panic!("{log}"));
    let found = events(&restored).await;
    let expected = commits.iter().filter(|(lsn, _)| *lsn <= durable).count();
    assert!(expected > 0 && found.len() >= expected, "{} of {expected}", found.len());
    assert!(found.iter().zip(&commits).all(|(found, (_, name))| found == name));
    let sound = house.read(house.service.repository().root()).verify(None, &|_, _| {}).unwrap();
    assert!(sound.is_sound(), "{sound:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_segments_supersede_what_was_streamed() {
    let house = House::new();
    let (cell, root) = begin(&house, &house.archive, "cell").await;
    let mut stream = Stream::of(&house.archive, &cell, root);
    let client = cell.connect().await;
    for _ in 0..3 {
        let at = insert(&client, "one").await;
        stream.until("durable", |told| told.durable >= at).await;
        assert!(!pieces(&house, root).is_empty());
        let switched = lsn(&client, "SELECT pg_switch_wal()").await;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        house.archive.wait_for_wal(root, switched, deadline).await.unwrap();
    }
    // A segment at once is stored as one.
    client
        .batch_execute(
            "INSERT INTO event (name) SELECT repeat(md5(n::text), 30) FROM generate_series(1, 9000) n",
        )
        .await
        .unwrap();
    let at = flushed(&client).await;
    stream.until("durable", |told| told.durable >= at && told.lag() == Duration::ZERO).await;
    let size = SegmentSize::CELL;
    let now = |lsn: Lsn| model::lsn::Segment::at(model::lsn::Timeline(1), lsn, size).file_name(size);
    let begun = tokio::time::Instant::now();
    loop {
        let durable = now(stream.told.borrow().durable);
        let left = pieces(&house, root);
        if left.iter().all(|name| name[..24] >= durable[..]) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{left:?} before {durable}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Left by one that was killed before it removed them, they are removed by the next.
    stream.end().await;
    let folder = wal_folder(&house, root);
    let archived = names(&folder).into_iter().filter(|name| name.len() == 24).max().unwrap();
    let left = pieces(&house, root);
    let (any, stale) = (left.first(), format!("{archived}.partial-00000000-00000100"));
    let bytes = any.map_or_else(|| vec![1], |any| fs::read(folder.join(any)).unwrap());
    fs::write(folder.join(&stale), bytes).unwrap();
    let mut stream = Stream::of(&house.archive, &cell, root);
    stream.until("connected", |told| told.connected).await;
    assert!(!folder.join(&stale).exists());
    let found = house.read(house.service.repository().root()).verify(None, &|_, _| {}).unwrap();
    assert!(found.is_sound(), "{found:#?}");
}

/// Anything that is not what was streamed there is refused, and named.
#[tokio::test(flavor = "multi_thread")]
async fn bad_pieces_are_refused_by_name() {
    let house = House::new();
    let (cell, root) = begin(&house, &house.archive, "cell").await;
    let mut stream = Stream::of(&house.archive, &cell, root);
    let client = cell.connect().await;
    for number in 0..6 {
        let at = insert(&client, &format!("{number}")).await;
        stream.until("durable", |told| told.durable >= at).await;
    }
    // The cell is gone before a shutdown could finish the segment.
    lose(cell);
    stream.end().await;
    let folder = wal_folder(&house, root);
    let names = pieces(&house, root);
    assert!(names.len() >= 4, "{names:?}");
    let good: Vec<Vec<u8>> = names.iter().map(|name| fs::read(folder.join(name)).unwrap()).collect();
    let plan = latest(&house.archive).await;
    let segment = names[0][..24].to_owned();
    let fetch = async || {
        let chain = house.archive.chain(plan.clone()).await.unwrap();
        house.archive.fetch_wal(&chain, &segment).await
    };
    let whole = fetch().await.unwrap().unwrap();
    assert_eq!(whole.len(), 1 << 20);
    assert!(whole.ends_with(&[0; 4096]), "nothing after the last piece");
    let root_folder = house.service.repository().root().to_owned();
    let verify = || house.read(&root_folder).verify(None, &|_, _| {}).unwrap();
    assert!(verify().is_sound(), "{:#?}", verify());

    let mut flipped = good[1].clone();
    flipped[60] ^= 1;
    let cut = good[1][..good[1].len() - 9].to_vec();
    for (what, bad) in
        [("tampered", flipped), ("cut", cut), ("another's", good[2].clone()), ("empty", Vec::new())]
    {
        fs::write(folder.join(&names[1]), bad).unwrap();
        let error = fetch().await.unwrap_err();
        assert!(matches!(&error, FetchError::Damaged { name, .. } if *name == names[1]), "{what}: {error:?}");
        let found = verify();
        let named =
            |flaw: &&archive::Flaw| flaw.kind == FlawKind::DamagedWal && flaw.path.ends_with(&names[1]);
        assert_eq!(found.flaws.iter().filter(named).count(), 1, "{what}: {found:#?}");
    }
    fs::write(folder.join(&names[1]), &good[1]).unwrap();
    // A piece under the name of another range, of the same bytes.
    let (from, _) = names[1][33..].split_once('-').unwrap();
    let longer = format!("{segment}.partial-{from}-000FFFFF");
    fs::write(folder.join(&longer), &good[1]).unwrap();
    assert!(matches!(fetch().await, Err(FetchError::Damaged { name, .. }) if name == longer));
    fs::remove_file(folder.join(&longer)).unwrap();

    // One is gone: what comes before it is used, and the gap is told.
    fs::remove_file(folder.join(&names[2])).unwrap();
    let inventory = house.archive.history().await.unwrap();
    assert_eq!(inventory.findings.len(), 1, "{:?}", inventory.findings);
    assert!(inventory.findings[0].to_string().contains(&names[2][..42]), "{}", inventory.findings[0]);
    let found = verify();
    assert!(found.flaws.iter().any(|flaw| flaw.kind == FlawKind::MissingWal), "{found:#?}");
    let shorter = fetch().await.unwrap().unwrap();
    let end = usize::from_str_radix(&names[1][42..], 16).unwrap();
    assert!(shorter[..end] == whole[..end] && shorter[end..].iter().all(|byte| *byte == 0));
    fs::write(folder.join(&names[2]), &good[2]).unwrap();

    // Where more is known to have been, less is not given back in silence.
    assert_eq!(fetch().await.unwrap().unwrap(), whole);
    let PlanError::WalGap { segment: missing, .. } = ({
        let mut history = house.archive.history().await.unwrap().history;
        history.note_reached(root, Lsn(plan.end.0 + (3 << 20)));
        restore::plan(&history, Target::Time(Timestamp::now()), Timestamp::now(), DAY).unwrap_err()
    }) else {
        panic!("not a gap")
    };
    assert_eq!(missing, segment);
}

/// Two lineages are on one timeline after the same fork: neither reads what was
/// streamed of the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_siblings_pieces_are_nothing_here() {
    let house = House::new();
    let (cell, root) = begin(&house, &house.archive, "cell").await;
    let mut stream = Stream::of(&house.archive, &cell, root);
    let at = insert(&cell.connect().await, "both").await;
    stream.until("durable", |told| told.durable >= at).await;
    lose(cell);
    stream.end().await;
    let plan = latest(&house.archive).await;
    let mut ids = Vec::new();
    for name in ["left", "right"] {
        let (cell, lineage) = house.materialise(name, &plan).await.unwrap_or_else(|log| panic!("{log}"));
        let mut stream = Stream::of(&house.archive, &cell, lineage.id);
        let at = insert(&cell.connect().await, name).await;
        stream.until("durable", |told| told.durable >= at).await;
        lose(cell);
        stream.end().await;
        ids.push(lineage.id);
    }
    let [left, right] = ids[..] else { panic!() };
    let theirs = pieces(&house, right);
    let stolen = wal_folder(&house, left).join(&theirs[0]);
    house.archive.put_activation(Activation { lineage: left, at: Timestamp::now() }).await.unwrap();
    let plan = latest(&house.archive).await;
    assert_eq!(plan.source, left);
    let (restored, _) = house.materialise("restored", &plan).await.unwrap_or_else(|log| panic!("{log}"));
    assert_eq!(events(&restored).await, ["both", "left"]);

    fs::copy(wal_folder(&house, right).join(&theirs[0]), &stolen).unwrap();
    let chain = house.archive.chain(plan).await.unwrap();
    let error = house.archive.fetch_wal(&chain, &theirs[0][..24]).await;
    // Read or passed over for a longer one, its bytes are never taken.
    if let Err(error) = error {
        assert!(matches!(&error, FetchError::Damaged { name, .. } if *name == theirs[0]), "{error:?}");
    }
    let found = house.read(house.service.repository().root()).verify(None, &|_, _| {}).unwrap();
    assert!(found.flaws.iter().any(|flaw| flaw.path.ends_with(&theirs[0])), "{found:#?}");
}

/// A stream that was away for long lost its slot; the archive has what came
/// meanwhile, and the stream goes on from there.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_slot_is_made_anew() {
    let house = House::new();
    let (cell, root) = begin(&house, &house.archive, "cell").await;
    let mut stream = Stream::of(&house.archive, &cell, root);
    let client = cell.connect().await;
    client.batch_execute("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'").await.unwrap();
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    let at = insert(&client, "before").await;
    stream.until("durable", |told| told.durable >= at).await;
    stream.end().await;
    let fill = "INSERT INTO event (name) SELECT 'load ' || repeat(md5(n::text), 30) FROM generate_series(1, 20000) n";
    let status = "SELECT coalesce(wal_status, '') FROM pg_replication_slots WHERE slot_name = 'heddle'";
    let begun = std::time::Instant::now();
    while client.query_one(status, &[]).await.unwrap().get::<_, String>(0) != "lost" {
        assert!(begun.elapsed() < PATIENCE, "the slot is not lost");
        client.batch_execute(fill).await.unwrap();
        client.query_one("SELECT pg_switch_wal()", &[]).await.unwrap();
        // What is not archived is kept whatever the slots say.
        let switched = flushed(&client).await;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        house.archive.wait_for_wal(root, switched, deadline).await.unwrap();
        client.batch_execute("CHECKPOINT").await.unwrap();
    }
    let mut stream = Stream::of(&house.archive, &cell, root);
    let at = insert(&client, "after").await;
    let told = stream.until("durable", |told| told.durable >= at).await;
    assert_eq!(told.slots_lost, 1, "{told:?}");
    assert_eq!(client.query_one(status, &[]).await.unwrap().get::<_, String>(0), "reserved");
    let count: i64 = client.query_one("SELECT count(*) FROM event", &[]).await.unwrap().get(0);
    drop(client);
    lose(cell);
    stream.end().await;
    let plan = latest(&house.archive).await;
    let (restored, _) = house.materialise("restored", &plan).await.unwrap_or_else(|log| panic!("{log}"));
    let found = events(&restored).await;
    assert_eq!((found.len() as i64, found.last().map(String::as_str)), (count, Some("after")));

    // Where nothing is streamed any more, nothing is kept for it.
    archive::drop_stream_slot(&restored.dir.join(".s.PGSQL.5432")).await.unwrap();
    let mut stream = Stream::of(&house.archive, &restored, root);
    let told = stream.until("refused", |told| told.error.is_some()).await;
    assert!(told.error.unwrap().contains("another cluster than its lineage's"));
    stream.end().await;
}

/// The cell that a stream finds is not the one that it left: its disk was put
/// back, say. What was streamed stays, and is not gone on with.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_cell_does_not_have_is_not_gone_on_with() {
    let house = House::new();
    let (mut cell, root) = begin(&house, &house.archive, "cell").await;
    let mut stream = Stream::of(&house.archive, &cell, root);
    let client = cell.connect().await;
    insert(&client, "one").await;
    client.batch_execute("CHECKPOINT").await.unwrap();
    drop(client);
    cell.kill();
    let copy = cell.dir.join("copy");
    assert!(Command::new("cp").arg("-a").arg(&cell.data).arg(&copy).status().unwrap().success());
    cell.start();
    cell.ready().await;
    let at = insert(&cell.connect().await, "this will not have been").await;
    stream.until("durable", |told| told.connected && told.durable >= at).await;
    stream.end().await;
    lose_data(&mut cell, &copy);
    cell.start();
    cell.ready().await;
    let client = cell.connect().await;
    for _ in 0..30 {
        insert(&client, "something else, and longer than that was").await;
    }
    let mut stream = Stream::of(&house.archive, &cell, root);
    let told = stream.until("refused", |told| told.error.is_some()).await;
    assert!(told.error.as_ref().unwrap().contains("is not what the cell has"), "{told:?}");
    assert!(told.lag() > Duration::ZERO);
    // The whole segment supersedes it, and the stream goes on.
    client.query_one("SELECT pg_switch_wal()", &[]).await.unwrap();
    let at = insert(&client, "after").await;
    stream.until("durable", |told| told.connected && told.durable >= at).await;
    let found = house.read(house.service.repository().root()).verify(None, &|_, _| {}).unwrap();
    assert!(found.is_sound(), "{found:#?}");
}

fn lose_data(cell: &mut Cell, copy: &Path) {
    cell.kill();
    fs::remove_dir_all(&cell.data).unwrap();
    fs::rename(copy, &cell.data).unwrap();
}

/// What nothing supersedes is kept like the segment that it is of, and goes with
/// it; what something does goes by itself.
#[tokio::test(flavor = "multi_thread")]
async fn expiry_drops_pieces_with_their_segments() {
    let house = House::new();
    let (cell, root) = begin(&house, &house.archive, "cell").await;
    let mut stream = Stream::of(&house.archive, &cell, root);
    let at = insert(&cell.connect().await, "streamed").await;
    stream.until("durable", |told| told.durable >= at).await;
    lose(cell);
    stream.end().await;
    let folder = wal_folder(&house, root);
    let unfinished = pieces(&house, root);
    assert!(!unfinished.is_empty());
    let whole = names(&folder).into_iter().filter(|name| name.len() == 24).max().unwrap();
    let superseded = format!("{whole}.partial-00000000-00000100");
    fs::copy(folder.join(&unfinished[0]), folder.join(&superseded)).unwrap();

    let repository = house.read(house.service.repository().root());
    let expire = |days: i32| {
        let now = Timestamp::now() + SignedDuration::from_hours(24) * days;
        let how = Expire {
            retention: Retention { days: 1, daily: 0, weekly: 0, monthly: 0 },
            grace: DAY,
            clock: Clock { now, boot: None },
            clock_is_right: true,
            plan_only: false,
        };
        let found = repository.expire(None, &how).unwrap();
        assert!(found.tenants[0].left_alone.is_none(), "{:?}", found.tenants[0].left_alone);
    };
    expire(10);
    assert!(folder.join(&superseded).exists(), "not before its grace is over");
    expire(12);
    assert_eq!(pieces(&house, root), unfinished);
    assert!(folder.join(&whole).exists());
    assert!(repository.verify(None, &|_, _| {}).unwrap().is_sound());

    // Served from another lineage with a backup of its own, it is not needed.
    let plan = latest(&house.archive).await;
    let (second, lineage) = house.materialise("second", &plan).await.unwrap_or_else(|log| panic!("{log}"));
    assert_eq!(events(&second).await, ["streamed"]);
    house.archive.put_activation(Activation { lineage: lineage.id, at: Timestamp::now() }).await.unwrap();
    let session = second.connect().await;
    let data_dir = second.data.clone();
    let request = BackupRequest { lineage: lineage.id, data_dir, client: session, wal_timeout: PATIENCE };
    house.archive.backup(request, |_, _| {}).await.unwrap();
    expire(20);
    expire(22);
    assert_eq!(pieces(&house, root), [""; 0]);
    let found = repository.verify(None, &|_, _| {}).unwrap();
    assert!(found.is_sound(), "{found:#?}");
}

/// The same in a bucket, which goes away meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_has_what_was_durable() {
    let house = House::new();
    let mut weed = Weed::start(&house.scratch.path().join("weed"));
    let keys: KeyFile = house.keys();
    let repository = Repository::open_or_create(weed.place("a"), keys.clone()).unwrap();
    let archive = repository.tenant(TenantId::new());
    let house = House { service: archive::ArchiveService::new(repository.clone()), archive, ..house };
    let (cell, root) = begin(&house, &house.archive, "cell").await;
    let mut stream = Stream::of(&house.archive, &cell, root);
    let client = cell.connect().await;
    for number in 0..20 {
        let at = insert(&client, &format!("{number}")).await;
        stream.until("durable", |told| told.durable >= at).await;
    }
    weed.stop();
    let at = insert(&client, "while it was away").await;
    stream.until("behind", |told| told.reached >= at && told.durable < at && told.lag_bytes() > 0).await;
    weed.resume();
    stream.until("durable", |told| told.durable >= at).await;
    lose(cell);
    stream.end().await;
    let plan = latest(&house.archive).await;
    let (restored, _) = house.materialise("restored", &plan).await.unwrap_or_else(|log| panic!("{log}"));
    let found = events(&restored).await;
    assert_eq!((found.len(), found.last().map(String::as_str)), (21, Some("while it was away")));
    let found = Repository::open(weed.place("a"), keys).unwrap().verify(None, &|_, _| {}).unwrap();
    assert!(found.is_sound(), "{found:#?}");
}

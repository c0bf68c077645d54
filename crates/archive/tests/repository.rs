//! What goes into a repository, what is refused, and what is read back.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use archive::{FetchError, Finding, OpenError, PushError, Pushed, PutError, Repository, TenantArchive};
use jiff::Timestamp;
use model::archive::{Activation, Fork, Lineage, SnapshotPoint};
use model::lsn::{Lsn, Segment, SegmentSize, Timeline, WalFile};
use model::restore::{Plan, Stop, WalRange};
use model::{BackupId, LineageId, SnapshotId, TenantId};
use support::{a_lineage, segment};

const MIB: u64 = 1 << 20;

struct Scene {
    folder: tempfile::TempDir,
    root: PathBuf,
    archive: TenantArchive,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("repository");
        let repository = Repository::open_or_create(&root, support::keys(folder.path())).unwrap();
        let archive = repository.tenant(TenantId::new());
        Self { folder, root, archive }
    }

    async fn lineage(&self) -> Lineage {
        let lineage = a_lineage(self.archive.tenant());
        self.archive.put_lineage(lineage.clone()).await.unwrap();
        lineage
    }

    async fn child(&self, parent: &Lineage, lsn: u64) -> Lineage {
        let lineage = Lineage {
            id: LineageId::new(),
            parent: Some(Fork { lineage: parent.id, lsn: Lsn(lsn) }),
            timeline: Timeline(parent.timeline.0 + 1),
            ..parent.clone()
        };
        self.archive.put_lineage(lineage.clone()).await.unwrap();
        lineage
    }

    async fn push(&self, lineage: &Lineage, number: u64, bytes: Vec<u8>) -> Result<Pushed, PushError> {
        let file = WalFile::Segment(Segment { timeline: lineage.timeline, number });
        self.archive.push_wal(lineage.id, file, bytes).await
    }

    async fn store(&self, lineage: &Lineage, numbers: std::ops::Range<u64>) {
        for number in numbers {
            self.push(lineage, number, segment(lineage, number, 0)).await.unwrap();
        }
    }

    fn lineage_folder(&self, lineage: &Lineage) -> PathBuf {
        let tenant = self.root.join("tenants").join(self.archive.tenant().to_string());
        tenant.join("lineages").join(lineage.id.to_string())
    }

    fn wal(&self, lineage: &Lineage, name: &str) -> PathBuf {
        self.lineage_folder(lineage).join("wal").join(name)
    }
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x20;
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn equal_duplicates_succeed_and_different_ones_do_not() {
    let scene = Scene::new();
    let lineage = scene.lineage().await;
    let bytes = segment(&lineage, 5, 1);
    assert_eq!(scene.push(&lineage, 5, bytes.clone()).await.unwrap(), Pushed::Stored);
    assert_eq!(scene.push(&lineage, 5, bytes.clone()).await.unwrap(), Pushed::AlreadyThere);
    let error = scene.push(&lineage, 5, segment(&lineage, 5, 2)).await.unwrap_err();
    assert!(matches!(&error, PushError::Different { name } if name == "000000010000000000000005"), "{error}");
    assert_eq!(scene.push(&lineage, 5, bytes).await.unwrap(), Pushed::AlreadyThere);

    // Both at once: one stores, the other finds it there.
    let both = futures_like(&scene, &lineage).await;
    assert!(both.contains(&Pushed::Stored) && both.contains(&Pushed::AlreadyThere), "{both:?}");
    assert_eq!(fs::read_dir(scene.root.join("tmp")).unwrap().count(), 0);
}

async fn futures_like(scene: &Scene, lineage: &Lineage) -> [Pushed; 2] {
    let bytes = segment(lineage, 6, 3);
    let (one, two) =
        tokio::join!(scene.push(lineage, 6, bytes.clone()), scene.push(lineage, 6, bytes.clone()));
    [one.unwrap(), two.unwrap()]
}

#[tokio::test]
async fn foreign_wal_is_refused() {
    let scene = Scene::new();
    let lineage = scene.lineage().await;
    let push = |number, bytes| scene.push(&lineage, number, bytes);

    // A sibling: another tenant's cell made from the same template.
    let sibling = Lineage { system_identifier: lineage.system_identifier + 1, ..lineage.clone() };
    let error = push(5, segment(&sibling, 5, 0)).await.unwrap_err();
    assert!(matches!(error, PushError::WrongSystem { found, .. } if found == sibling.system_identifier));
    let larger = Lineage { segment_size: SegmentSize(16 << 20), ..lineage.clone() };
    let mut cut = segment(&larger, 5, 0);
    cut.truncate(1 << 20);
    let later = Lineage { timeline: Timeline(2), ..lineage.clone() };
    for (bytes, why) in [
        (segment(&lineage, 6, 0), "another place"),
        (segment(&later, 5, 0), "timeline 2"),
        (vec![0; 1 << 20], "does not begin as a WAL segment"),
        (segment(&lineage, 5, 0)[..8192].to_vec(), "8192 bytes"),
        (cut, "segments of 16777216 bytes"),
        (vec![], "0 bytes"),
    ] {
        let error = push(5, bytes).await.unwrap_err();
        assert!(error.to_string().contains(why), "{error} for {why}");
    }
    let error =
        scene.archive.push_wal(lineage.id, WalFile::History(Timeline(2)), b"1\t0/1\tx\n".to_vec()).await;
    assert!(matches!(error.unwrap_err(), PushError::WrongPlace { .. }));
    let stray = LineageId::new();
    let file = WalFile::History(Timeline(1));
    let error = scene.archive.push_wal(stray, file, vec![1]).await.unwrap_err();
    assert!(matches!(error, PushError::UnknownLineage(id) if id == stray));
    let history = scene.archive.history().await.unwrap().history;
    assert!(history.lineages[0].segments.is_empty());
}

#[tokio::test]
async fn a_childs_first_segment_begins_with_its_parents_bytes() {
    let scene = Scene::new();
    let parent = scene.lineage().await;
    let child = scene.child(&parent, 5 * MIB + 4711).await;
    let inherited = segment(&parent, 5, 0);
    assert_eq!(scene.push(&child, 5, inherited.clone()).await.unwrap(), Pushed::Stored);
    let error = scene.push(&child, 6, segment(&parent, 6, 0)).await.unwrap_err();
    assert!(matches!(error, PushError::WrongPlace { .. }), "{error}");

    // What PostgreSQL archives of the parent after a recovery.
    let partial = |number| WalFile::Partial(Segment { timeline: Timeline(1), number });
    let pushed = scene.archive.push_wal(child.id, partial(5), inherited.clone()).await.unwrap();
    assert_eq!(pushed, Pushed::NotNeeded);
    scene.archive.push_wal(child.id, partial(6), inherited.clone()).await.unwrap_err();
    // A sibling's, which is on the same timeline of the same cluster.
    for bad in ["1\t0/501268\tx\n", "2\t0/501267\tx\n", "0/501267\n", "\n"] {
        let history = bad.as_bytes().to_vec();
        let error =
            scene.archive.push_wal(child.id, WalFile::History(Timeline(2)), history).await.unwrap_err();
        assert!(error.to_string().contains("another fork"), "{error}");
    }
    scene.archive.push_wal(parent.id, partial(5), inherited).await.unwrap_err();
}

fn plan(wal: Vec<WalRange>, end: u64) -> Plan {
    let source = wal.last().unwrap().lineage;
    Plan { source, backup: BackupId::new(), wal, stop: Stop::End, end: Lsn(end) }
}

fn range(lineage: &Lineage, from: u64, to: u64) -> WalRange {
    WalRange { lineage: lineage.id, timeline: lineage.timeline, from: Lsn(from), to: Lsn(to) }
}

#[tokio::test]
async fn a_recovery_reads_its_plan_and_no_more() {
    let scene = Scene::new();
    let parent = scene.lineage().await;
    scene.store(&parent, 2..9).await;
    let child = scene.child(&parent, 5 * MIB + 4711).await;
    let sibling = scene.child(&parent, 6 * MIB).await;
    scene.store(&sibling, 6..8).await;
    scene.store(&child, 5..8).await;
    let plan = plan(
        vec![range(&parent, 3 * MIB + 40, 5 * MIB + 4711), range(&child, 5 * MIB + 4711, 7 * MIB)],
        7 * MIB,
    );
    let chain = scene.archive.chain(plan).await.unwrap();
    let fetch = async |name: &str| scene.archive.fetch_wal(&chain, name).await;
    for (number, there) in [(2, false), (3, true), (4, true), (5, false), (6, false), (8, false)] {
        let name = format!("0000000100000000{number:016X}").replacen("00000000", "", 1);
        assert_eq!(fetch(&name).await.unwrap().is_some(), there, "parent's {number}");
    }
    for (number, there) in [(4, false), (5, true), (6, true), (7, false)] {
        let name = format!("00000002{number:016X}");
        let fetched = fetch(&name).await.unwrap();
        assert_eq!(fetched, there.then(|| segment(&child, number, 0)), "child's {number}");
    }
    // Its history follows from the records until its own was archived.
    let history = fetch("00000002.history").await.unwrap().unwrap();
    assert_eq!(history, format!("1\t{}\trestored\n", Lsn(5 * MIB + 4711)).into_bytes());
    let own = b"1\t0/501267\tbefore 2026\n".to_vec();
    scene.archive.push_wal(child.id, WalFile::History(Timeline(2)), own.clone()).await.unwrap();
    assert_eq!(fetch("00000002.history").await.unwrap(), Some(own));
    for absent in ["00000001.history", "00000003.history", "000000030000000000000005", "../../etc/passwd", ""]
    {
        assert_eq!(fetch(absent).await.unwrap(), None, "{absent}");
    }

    // What the plan counts on must be there and good.
    flip(&scene.wal(&child, "000000020000000000000006"));
    let error = fetch("000000020000000000000006").await.unwrap_err();
    assert!(matches!(error, FetchError::Damaged { .. }), "{error}");
    fs::remove_file(scene.wal(&parent, "000000010000000000000004")).unwrap();
    let error = fetch("000000010000000000000004").await.unwrap_err();
    assert!(matches!(error, FetchError::Missing { .. }), "{error}");
    // Whole, but another one's.
    fs::copy(scene.wal(&child, "000000020000000000000007"), scene.wal(&child, "000000020000000000000005"))
        .unwrap();
    fetch("000000020000000000000005").await.unwrap_err();
}

#[tokio::test]
async fn waiting_ends_when_there_is_no_gap() {
    let scene = Scene::new();
    let parent = scene.lineage().await;
    let child = scene.child(&parent, 5 * MIB).await;
    let soon = || tokio::time::Instant::now() + std::time::Duration::from_millis(20);
    let wait = async |upto| scene.archive.wait_for_wal(child.id, Lsn(upto), soon()).await;
    wait(5 * MIB).await.unwrap();
    scene.store(&child, 6..7).await;
    let error = wait(7 * MIB).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "WAL segment 000000020000000000000005 has not reached the repository in time"
    );
    let waiting = scene.archive.clone();
    let (id, later) = (child.id, tokio::time::Instant::now() + std::time::Duration::from_secs(20));
    let waiting = tokio::spawn(async move { waiting.wait_for_wal(id, Lsn(7 * MIB), later).await });
    scene.store(&child, 5..6).await;
    waiting.await.unwrap().unwrap();
    wait(7 * MIB + 1).await.unwrap_err();
}

#[tokio::test]
async fn everything_is_read_back_and_what_is_wrong_is_found() {
    let scene = Scene::new();
    let parent = scene.lineage().await;
    scene.archive.put_lineage(parent.clone()).await.unwrap();
    let changed = Lineage { database: "other".into(), ..parent.clone() };
    assert!(matches!(scene.archive.put_lineage(changed).await, Err(PutError::Different(_))));
    let foreign = a_lineage(TenantId::new());
    scene.archive.put_lineage(foreign).await.unwrap_err();

    let child = scene.child(&parent, 4 * MIB).await;
    scene.store(&parent, 2..5).await;
    let at = |second| Timestamp::from_second(second).unwrap();
    let activations =
        [Activation { lineage: parent.id, at: at(10) }, Activation { lineage: child.id, at: at(20) }];
    for activation in activations.iter().rev() {
        scene.archive.put_activation(*activation).await.unwrap();
        scene.archive.put_activation(*activation).await.unwrap();
    }
    let later = Activation { at: at(30), ..activations[0] };
    scene.archive.put_activation(later).await.unwrap_err();
    let point = SnapshotPoint {
        id: SnapshotId::new(),
        lineage: parent.id,
        name: "one".into(),
        restore_point: "heddle-1".into(),
        lsn: Lsn(9),
        at: at(15),
    };
    scene.archive.put_snapshot(point.clone()).await.unwrap();

    let read = scene.archive.history().await.unwrap();
    assert!(read.findings.is_empty(), "{:?}", read.findings);
    assert_eq!(read.history.activations, activations);
    assert_eq!(read.history.snapshots, std::slice::from_ref(&point));
    let held = read.history.lineage(parent.id).unwrap();
    assert_eq!(held.lineage, parent);
    assert_eq!(held.segments.iter().map(|segment| segment.number).collect::<Vec<_>>(), [2, 3, 4]);

    // Misnamed, damaged and unknown things.
    let snapshots = scene.root.join("tenants").join(scene.archive.tenant().to_string()).join("snapshots");
    fs::rename(snapshots.join(point.id.to_string()), snapshots.join(SnapshotId::new().to_string())).unwrap();
    flip(&scene.lineage_folder(&child).join("activated"));
    fs::write(scene.wal(&parent, "notes.txt"), "x").unwrap();
    fs::write(scene.wal(&parent, "000000020000000000000004"), "x").unwrap();
    fs::create_dir(scene.lineage_folder(&parent).parent().unwrap().join("elsewhere")).unwrap();
    let read = scene.archive.history().await.unwrap();
    assert_eq!(read.findings.len(), 5, "{:?}", read.findings);
    assert_eq!(read.findings.iter().filter(|finding| matches!(finding, Finding::Unknown(_))).count(), 3);
    assert_eq!(read.history.activations, activations[..1]);
    assert!(read.history.snapshots.is_empty());

    // Read by another process: a record that was cached here.
    flip(&scene.lineage_folder(&parent).join("lineage"));
    let again = Repository::open_or_create(&scene.root, support::keys(scene.folder.path()))
        .unwrap()
        .tenant(scene.archive.tenant());
    assert!(again.history().await.unwrap().history.lineage(parent.id).is_none());
}

#[tokio::test]
async fn leftovers_are_ignored_and_swept() {
    let scene = Scene::new();
    let lineage = scene.lineage().await;
    let tmp = scene.root.join("tmp");
    fs::write(tmp.join("torn"), [0; 100]).unwrap();
    let held = fs::File::create(tmp.join("being written")).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    let backup = scene.lineage_folder(&lineage).join("backups").join(BackupId::new().to_string());
    fs::create_dir_all(&backup).unwrap();
    fs::write(backup.join("000000"), "half").unwrap();

    let read = scene.archive.history().await.unwrap();
    assert!(read.history.backups.is_empty() && read.findings.is_empty());
    Repository::open_or_create(&scene.root, support::keys(scene.folder.path())).unwrap();
    let left: Vec<_> = fs::read_dir(&tmp).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["being written"]);
    assert!(!backup.exists());
}

#[test]
fn only_a_known_repository_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("a/repository");
    let open = || Repository::open_or_create(&root, support::keys(folder.path()));
    open().unwrap();
    open().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(&root), mode(&root.join("heddle.json")), mode(&root.join("tmp"))),
        (0o700, 0o600, 0o700)
    );
    assert_eq!(fs::read_to_string(root.join("heddle.json")).unwrap(), "{\"format\":2}\n");

    fs::write(root.join("heddle.json"), "{\"format\":3,\"more\":true}\n").unwrap();
    let error = open().err().unwrap();
    assert!(matches!(error, OpenError::NewerFormat { found: 3, .. }));
    let expected = format!(
        "the repository at {} has format 3, and this Heddle knows format 2; use a newer Heddle",
        root.display()
    );
    assert_eq!(error.to_string(), expected);
    fs::write(root.join("heddle.json"), "{\"format\":1}\n").unwrap();
    let error = open().err().unwrap();
    assert!(matches!(error, OpenError::OlderFormat { found: 1, .. }));
    assert!(error.to_string().contains("name an empty folder or bucket"), "{error}");
    fs::write(root.join("heddle.json"), "{").unwrap();
    assert!(matches!(open(), Err(OpenError::Marker { .. })));

    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("thesis.txt"), "x").unwrap();
    assert!(matches!(
        Repository::open_or_create(&other, support::keys(folder.path())),
        Err(OpenError::NotARepository(_))
    ));
    assert_eq!(fs::read_dir(&other).unwrap().count(), 1);
}

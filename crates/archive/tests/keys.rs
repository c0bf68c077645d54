//! What is stored tells nothing without the keys, nothing of it can be put
//! elsewhere, and a destroyed key takes its tenant's history with it, and no
//! other's.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use archive::{FileId, FlawKind, KeyError, KeyFile, OpenError, Repository, TenantArchive, WrapError};
use jiff::Timestamp;
use model::archive::{Activation, Lineage, SnapshotPoint};
use model::lsn::{Lsn, Segment, Timeline, WalFile};
use model::{SnapshotId, TenantId};
use support::{a_lineage, keys, segment};

struct Scene {
    folder: tempfile::TempDir,
    root: PathBuf,
    repository: Repository,
}

/// In the names and the content of everything that is stored.
const MARKER: &str = "MARKER-9f2c";

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("repository");
        let repository = Repository::open_or_create(&root, keys(folder.path())).unwrap();
        Self { folder, root, repository }
    }

    fn open(&self) -> Repository {
        Repository::open(&self.root, keys(self.folder.path())).unwrap()
    }

    /// A tenant with some of everything but a backup.
    async fn tenant(&self) -> (TenantArchive, Lineage, FileId) {
        let archive = self.repository.tenant(TenantId::new());
        let lineage = Lineage { database: MARKER.into(), ..a_lineage(archive.tenant()) };
        archive.put_lineage(lineage.clone()).await.unwrap();
        let at = Timestamp::now();
        archive.put_activation(Activation { lineage: lineage.id, at }).await.unwrap();
        for number in 5..8 {
            archive.push_wal(lineage.id, file(number), marked(&lineage, number)).await.unwrap();
        }
        let bytes = MARKER.repeat(1000).into_bytes();
        let id = FileId::of(&bytes);
        archive.keep_file(id, bytes).await.unwrap();
        let point = SnapshotPoint {
            id: SnapshotId::new(),
            lineage: lineage.id,
            name: MARKER.into(),
            restore_point: MARKER.into(),
            lsn: Lsn(9),
            at,
        };
        archive.put_snapshot(point).await.unwrap();
        (archive, lineage, id)
    }

    fn of(&self, tenant: TenantId) -> PathBuf {
        self.root.join("tenants").join(tenant.to_string())
    }
}

fn file(number: u64) -> WalFile {
    WalFile::Segment(Segment { timeline: Timeline(1), number })
}

fn marked(lineage: &Lineage, number: u64) -> Vec<u8> {
    let mut bytes = segment(lineage, number, 0);
    bytes[9000..9000 + MARKER.len()].copy_from_slice(MARKER.as_bytes());
    bytes
}

fn objects(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

async fn opens(repository: &Repository, tenant: TenantId, file: FileId) -> bool {
    let archive = repository.tenant(tenant);
    let whole = archive.read_file(file).await.is_ok_and(|bytes| bytes.is_some());
    let read = archive.history().await;
    whole && read.is_ok_and(|read| read.history.lineages.len() == 1 && read.findings.is_empty())
}

#[tokio::test]
async fn nothing_that_is_stored_shows_through() {
    let scene = Scene::new();
    let (archive, ..) = scene.tenant().await;
    let found = objects(&scene.root);
    assert!(found.len() > 7, "{found:?}");
    let master = fs::read_to_string(scene.folder.path().join("key")).unwrap();
    for path in found {
        let bytes = fs::read(&path).unwrap();
        for secret in [MARKER, "database", "restore_point", master.trim()] {
            let shows = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!shows, "{secret} in {}", path.display());
        }
        assert!(!path.to_string_lossy().contains(MARKER));
    }
    assert!(opens(&scene.open(), archive.tenant(), FileId::of(&MARKER.repeat(1000).into_bytes())).await);
}

#[tokio::test]
async fn an_object_opens_in_its_own_place_only() {
    let scene = Scene::new();
    let (one, lineage, _) = scene.tenant().await;
    let (two, ..) = scene.tenant().await;
    let all = objects(&scene.of(one.tenant()));
    let sealed = |path: &&PathBuf| path.extension().is_none();
    let foreign = objects(&scene.of(two.tenant()));
    // Each of one tenant's in the place of each other of it, and another's.
    let mut count = 0;
    for place in all.iter().filter(sealed) {
        let good = fs::read(place).unwrap();
        for other in all.iter().chain(&foreign).filter(|path| path.extension().is_none() && *path != place) {
            fs::copy(other, place).unwrap();
            let found = scene.open().verify(Some(one.tenant()), &|_, _| {}).unwrap();
            let path = place.strip_prefix(&scene.root).unwrap();
            let told = |flaw: &archive::Flaw| flaw.path == path && flaw.what.contains("not what was sealed");
            assert!(found.flaws.iter().any(told), "{other:?} as {place:?}: {found:#?}");
            count += 1;
        }
        fs::write(place, good).unwrap();
    }
    assert!(count > 80, "{count}");
    // A whole lineage under another tenant.
    let from = scene.of(one.tenant()).join("lineages").join(lineage.id.to_string());
    let to = scene.of(two.tenant()).join("lineages");
    let copied = std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(copied.success());
    let read = scene.open().tenant(two.tenant()).history().await.unwrap();
    assert!(read.history.lineages.len() == 1 && !read.findings.is_empty());
}

#[tokio::test]
async fn a_wrong_master_key_is_refused_in_words() {
    let scene = Scene::new();
    let (archive, _, id) = scene.tenant().await;
    let other = KeyFile::at(scene.folder.path().join("other"));
    other.make().unwrap();
    let error = Repository::open_or_create(&scene.root, other.clone()).unwrap_err();
    let OpenError::File(error) = &error else { panic!("{error:?}") };
    let Some(KeyError::Wrap(why)) = error.key_error() else { panic!("{error:?}") };
    assert!(why.to_string().contains("name the right key file"), "{why}");

    let reader = Repository::open(&scene.root, other).unwrap();
    reader.tenant(archive.tenant()).read_file(id).await.unwrap_err();
    let found = reader.verify(None, &|_, _| {}).unwrap();
    let [flaw] = &found.flaws[..] else { panic!("{found:#?}") };
    assert_eq!(flaw.kind, FlawKind::LockedKey);

    let absent = KeyFile::at(scene.folder.path().join("absent"));
    let reader = Repository::open(&scene.root, absent).unwrap();
    let error = reader.tenant(archive.tenant()).history().await.unwrap_err();
    let why = error.key_error();
    assert!(matches!(why, Some(KeyError::Wrap(WrapError::NoFile(_)))), "{why:?}");
    for bad in ["", "zz\n", "00\n", &"0".repeat(63), &("ab".repeat(32) + "\nx\n")] {
        let path = scene.folder.path().join("bad");
        let _ = fs::remove_file(&path);
        daemon::secretfile::write(&path, bad.as_bytes()).unwrap();
        assert!(matches!(KeyFile::at(path).count(), Err(WrapError::NotAKeyFile(_))), "{bad:?}");
    }
}

#[tokio::test]
async fn rotating_the_master_seals_the_keys_anew_and_nothing_else() {
    let scene = Scene::new();
    let (one, _, id) = scene.tenant().await;
    let (two, ..) = scene.tenant().await;
    let file = keys(scene.folder.path());
    let old = fs::read(file.path()).unwrap();
    let sealed = |path: &PathBuf| path.file_name().is_none_or(|name| name != "key.json");
    let content = |of: fn(&PathBuf) -> bool| {
        let all = objects(&scene.root).into_iter().filter(of);
        all.map(|path| (fs::read(&path).unwrap(), path)).collect::<Vec<_>>()
    };
    let (objects, wrapped) = (content(sealed), content(|path| path.ends_with("key.json")));

    file.begin_rotation().unwrap();
    // Broken off here, all goes on with both.
    assert_eq!(file.count().unwrap(), 2);
    assert!(opens(&scene.open(), one.tenant(), id).await);
    let done = scene.repository.rotate().unwrap();
    assert_eq!((done.sealed, done.already), (2, 0));
    let again = scene.repository.rotate().unwrap();
    assert_eq!((again.sealed, again.already), (0, 2));
    assert_eq!(file.end_rotation().unwrap().len(), 1);
    assert_eq!(content(sealed), objects);
    let after = content(|path| path.ends_with("key.json"));
    assert!(after.iter().zip(&wrapped).all(|(now, then)| now.0 != then.0));
    for tenant in [one.tenant(), two.tenant()] {
        assert!(opens(&scene.open(), tenant, id).await);
    }
    let before = scene.folder.path().join("before");
    daemon::secretfile::write(&before, &old).unwrap();
    assert!(!opens(&Repository::open(&scene.root, KeyFile::at(before)).unwrap(), one.tenant(), id).await);
}

#[tokio::test]
async fn a_shredded_tenant_is_gone_and_only_it() {
    let scene = Scene::new();
    let (gone, lineage, id) = scene.tenant().await;
    let (stays, ..) = scene.tenant().await;
    let shredded = scene.repository.shred(gone.tenant()).unwrap();
    assert_eq!(scene.repository.shred(gone.tenant()).unwrap(), shredded);
    assert!(!scene.of(gone.tenant()).join("key.json").exists());

    for repository in [scene.repository.clone(), scene.open()] {
        assert!(!opens(&repository, gone.tenant(), id).await);
        assert!(opens(&repository, stays.tenant(), id).await);
        let archive = repository.tenant(gone.tenant());
        let error = archive.history().await.unwrap_err();
        assert!(matches!(error.key_error(), Some(KeyError::Shredded)), "{error:?}");
        // Nor is a new key made for what would come in.
        archive.push_wal(lineage.id, file(9), marked(&lineage, 9)).await.unwrap_err();
        archive.keep_file(FileId::of(b"x"), b"x".to_vec()).await.unwrap_err();
    }
    let found = scene.open().verify(None, &|_, _| {}).unwrap();
    // Made-up segments hold no records, and a snapshot without a backup no plan.
    let made_up = |kind| matches!(kind, FlawKind::DamagedWal | FlawKind::Unplannable | FlawKind::MissingWal);
    assert!(found.flaws.iter().all(|flaw| made_up(flaw.kind)), "{found:#?}");
    assert_eq!((found.tenants, found.shredded, found.wal, found.files), (1, 1, 3, 1));
    // Broken off between the mark and the key, the mark counts.
    let (half, _, id) = scene.tenant().await;
    let key = scene.of(half.tenant()).join("key.json");
    let text = fs::read(&key).unwrap();
    scene.repository.shred(half.tenant()).unwrap();
    fs::write(&key, text).unwrap();
    assert!(!opens(&scene.open(), half.tenant(), id).await);
    scene.repository.shred(half.tenant()).unwrap();
    assert!(!key.exists());
}

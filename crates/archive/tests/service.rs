//! The archive service: what it refuses, and a full disk.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use archive::client::{self, ClientError, Fetched};
use archive::{ArchiveService, FileId, Repository, WalAccess};
use model::TenantId;
use model::archive::Lineage;
use model::lsn::{Lsn, SegmentSize};
use model::program::Identity;
use model::restore::{Plan, Stop, WalRange};
use support::{a_lineage, is_root, scratch, segment};

struct Scene {
    folder: tempfile::TempDir,
    service: ArchiveService,
    lineage: Lineage,
    socket: PathBuf,
}

impl Scene {
    async fn new() -> Self {
        let folder = scratch();
        let root = folder.path().join("repository");
        Self::at(folder, &root).await
    }

    async fn at(folder: tempfile::TempDir, root: &Path) -> Self {
        let service =
            ArchiveService::new(Repository::open_or_create(root, support::keys(folder.path())).unwrap());
        let lineage = a_lineage(TenantId::new());
        service.repository().tenant(lineage.tenant).put_lineage(lineage.clone()).await.unwrap();
        let socket = folder.path().join("archive.sock");
        let scene = Self { folder, service, lineage, socket };
        scene.serve(None, true, None).await;
        scene
    }

    async fn serve(&self, identity: Option<Identity>, push: bool, fetch: Option<Plan>) {
        let push = push.then_some(self.lineage.id);
        let access = WalAccess { tenant: self.lineage.tenant, push, fetch };
        self.service.serve_wal(&self.socket, identity, access).await.unwrap();
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    async fn push(&self, path: PathBuf) -> Result<(), ClientError> {
        let socket = self.socket.clone();
        blocking(move || client::push(&socket, &path)).await
    }

    async fn push_segment(&self, number: u64, fill: u64) -> Result<(), ClientError> {
        let name = format!("00000001{number:016X}");
        let path = self.file(&name, &segment(&self.lineage, number, fill));
        self.push(path).await
    }

    async fn say(&self, socket: &Path, request: Vec<u8>) -> String {
        let socket = socket.to_owned();
        blocking(move || {
            let mut stream = UnixStream::connect(socket).unwrap();
            // A refusal can come before all of it was taken.
            let _ = stream.write_all(&request);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer);
            answer
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test]
async fn wal_goes_in_and_comes_back() {
    let scene = Scene::new().await;
    scene.push_segment(5, 9).await.unwrap();
    scene.push_segment(5, 9).await.unwrap();
    let error = scene.push_segment(5, 8).await.unwrap_err();
    assert_eq!(error.to_string(), "000000010000000000000005 is in the repository with different content");
    assert_eq!(scene.service.last_error(scene.lineage.id), Some(error.to_string()));
    scene.push_segment(6, 9).await.unwrap();
    assert_eq!(scene.service.last_error(scene.lineage.id), None);

    let dest = scene.folder.path().join("RECOVERYXLOG");
    let (socket, to) = (scene.socket.clone(), dest.clone());
    let fetch = move |name: &'static str| {
        let (socket, to) = (socket.clone(), to.clone());
        blocking(move || client::fetch(&socket, name, &to))
    };
    let refused = fetch("000000010000000000000005").await;
    assert_eq!(Fetched::exit_code(&refused), 126);
    assert_eq!(refused.unwrap_err().to_string(), "this cell may not fetch WAL");

    let mib = 1 << 20;
    let (id, timeline) = (scene.lineage.id, scene.lineage.timeline);
    let range = WalRange { lineage: id, timeline, from: Lsn(5 * mib), to: Lsn(7 * mib) };
    let plan = Plan {
        source: id,
        backup: model::BackupId::new(),
        wal: vec![range],
        stop: Stop::End,
        end: Lsn(7 * mib),
    };
    scene.serve(None, false, Some(plan)).await;
    let refused = scene.push_segment(7, 1).await.unwrap_err();
    assert_eq!(refused.to_string(), "this cell may not archive yet");
    let found = fetch("000000010000000000000005").await;
    assert_eq!(Fetched::exit_code(&found), 0);
    assert_eq!(fs::read(&dest).unwrap(), segment(&scene.lineage, 5, 9));
    fs::remove_file(&dest).unwrap();
    for name in ["000000010000000000000007", "00000002.history", "000000010000000000000004"] {
        let absent = fetch(name).await;
        assert_eq!((Fetched::exit_code(&absent), absent.unwrap()), (1, Fetched::Absent));
    }
    assert!(!dest.exists());
    scene.service.close(&scene.socket);
    assert!(!scene.socket.exists());
    assert_eq!(Fetched::exit_code(&fetch("000000010000000000000005").await), 126);
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused() {
    let scene = Scene::new().await;
    let files = scene.folder.path().join("files.sock");
    scene.service.serve_files(&files, None, scene.lineage.tenant).unwrap();
    scene.service.serve_files(&files, None, TenantId::new()).unwrap_err();
    scene.service.serve_files(&scene.socket, None, scene.lineage.tenant).unwrap_err();
    let hash = FileId::of(b"abc");
    let good = "000000010000000000000005";
    for (socket, request, why) in [
        (&scene.socket, "".to_owned(), "not a line"),
        (&scene.socket, "\n".to_owned(), "not one that is known"),
        (&scene.socket, "{}\n".to_owned(), "not one that this socket answers"),
        (&scene.socket, "[1,2]\n".to_owned(), "not one that is known"),
        (&scene.socket, "{\"push\":\"x\",\"tenant\":\"y\"}\n".to_owned(), "not one that is known"),
        (&scene.socket, format!("{{\"push\":\"{good}\"}}\n"), "not one that this socket answers"),
        (&scene.socket, format!("{{\"push\":\"{good}\",\"len\":-1}}\n"), "not one that is known"),
        (&scene.socket, format!("{{\"push\":\"{good}\",\"len\":1048577}}\n"), "larger than a WAL file"),
        (&scene.socket, format!("{{\"push\":\"{good}\",\"len\":18446744073709551615}}\n"), "larger than"),
        (&scene.socket, format!("{{\"push\":\"{good}\",\"len\":1048576}}\nshort"), "read the request"),
        (&scene.socket, format!("{{\"push\":\"{good}\",\"len\":4}}\nABCD"), "it has 4 bytes"),
        (&scene.socket, "{\"push\":\"../../x\",\"len\":4}\nABCD".to_owned(), "not the name of a WAL file"),
        (
            &scene.socket,
            format!("{{\"push\":\"{good}\",\"fetch\":\"{good}\",\"len\":1}}\n"),
            "not one that this",
        ),
        (
            &scene.socket,
            format!("{{\"keep\":\"{hash}\",\"len\":3}}\nabc"),
            "not one that this socket answers",
        ),
        (&scene.socket, format!("{}\n", "x".repeat(5000)), "not a line of at most 1024 bytes"),
        (&files, format!("{{\"push\":\"{good}\",\"len\":4}}\nABCD"), "not one that this socket answers"),
        (&files, format!("{{\"fetch\":\"{good}\"}}\n"), "not one that this socket answers"),
        (&files, "{\"keep\":\"../../x\",\"len\":3}\nabc".to_owned(), "not the name of a filestore's file"),
        (&files, format!("{{\"keep\":\"{hash}\",\"len\":3}}\nabd"), "the bytes have the SHA-1"),
        (&files, format!("{{\"keep\":\"{hash}\",\"len\":4}}\nabc"), "read the request"),
        (&files, format!("{{\"keep\":\"{hash}\",\"len\":99999999999}}\nabc"), "too large to be kept"),
    ] {
        let answer = scene.say(socket, request.clone().into_bytes()).await;
        assert!(
            answer.starts_with("{\"error\":") && answer.contains(why),
            "{request:.80} was answered {answer}"
        );
    }
    let answer = scene.say(&files, format!("{{\"keep\": \"{hash}\", \"len\": 3}}\nabc").into_bytes()).await;
    assert_eq!(answer, "{\"ok\":true}\n");
    let archive = scene.service.repository().tenant(scene.lineage.tenant);
    assert!(archive.missing_files(vec![hash]).await.unwrap().is_empty());
    assert!(archive.history().await.unwrap().history.lineages[0].segments.is_empty());
    let tmp = scene.service.repository().root().join("tmp");
    assert_eq!(fs::read_dir(tmp).unwrap().count(), 0);
}

#[tokio::test]
async fn a_large_file_is_kept_piece_by_piece() {
    let scene = Scene::new().await;
    let files = scene.folder.path().join("files.sock");
    scene.service.serve_files(&files, None, scene.lineage.tenant).unwrap();
    let bytes: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 253) as u8).collect();
    let id = FileId::of(&bytes);
    let mut request = format!("{{\"keep\":\"{id}\",\"len\":{}}}\n", bytes.len()).into_bytes();
    request.extend_from_slice(&bytes);
    assert_eq!(scene.say(&files, request).await, "{\"ok\":true}\n");
}

#[tokio::test]
async fn one_client_cannot_take_all_connections_of_others() {
    let scene = Scene::new().await;
    let idle: Vec<_> = (0..8).map(|_| UnixStream::connect(&scene.socket).unwrap()).collect();
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let error = scene.push_segment(5, 1).await.unwrap_err();
    assert_eq!(error.to_string(), "too many connections at once; try again");
    let other = scene.folder.path().join("other.sock");
    let access = WalAccess { tenant: scene.lineage.tenant, push: Some(scene.lineage.id), fetch: None };
    scene.service.serve_wal(&other, None, access).await.unwrap();
    let path = scene.file("000000010000000000000006", &segment(&scene.lineage, 6, 1));
    blocking(move || client::push(&other, &path)).await.unwrap();
    drop(idle);
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    scene.push_segment(5, 1).await.unwrap();
}

#[tokio::test]
async fn another_user_is_refused() {
    if !is_root() {
        println!("skipped: only root can be two users");
        return;
    }
    let scene = Scene::new().await;
    scene.service.close(&scene.socket);
    let cell = Identity { uid: 2_000_003, gid: 2_000_003 };
    scene.serve(Some(cell), true, None).await;
    let segment = scene.file("000000010000000000000005", &segment(&scene.lineage, 5, 1));
    fs::set_permissions(&segment, fs::Permissions::from_mode(0o644)).unwrap();
    let program = scene.folder.path().join("wal");
    fs::copy(env!("CARGO_BIN_EXE_archive-wal"), &program).unwrap();
    let push_as = |uid: u32| {
        let mut command = Command::new(&program);
        command.arg("push").arg(&scene.socket).arg(&segment).uid(uid).gid(uid);
        blocking(move || command.output().unwrap())
    };
    // The socket's mode keeps others out, and if it did not, the service would.
    let kept_out = push_as(2_000_005).await;
    assert!(String::from_utf8_lossy(&kept_out.stderr).contains("connect to the archive service"));
    fs::set_permissions(&scene.socket, fs::Permissions::from_mode(0o666)).unwrap();
    let refused = push_as(2_000_005).await;
    assert_eq!(String::from_utf8_lossy(&refused.stderr).trim(), "this socket belongs to another user");
    assert!(!refused.status.success());
    assert!(push_as(cell.uid).await.status.success());
}

/// A small file system of its own, taken away at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf, size: &str) -> Self {
        fs::create_dir(&at).unwrap();
        let options = format!("size={size},mode=0711");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&at).status();
        assert!(mounted.unwrap().success());
        Self(at)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_heals() {
    if !is_root() {
        println!("skipped: only root can mount a small disk");
        return;
    }
    let mounts = scratch();
    let disk = SmallDisk::mount(mounts.path().join("disk"), "8m");
    let filler = disk.0.join("filler");
    fs::write(&filler, vec![1; 3 << 20]).unwrap();
    let scene = Scene::at(scratch(), &disk.0.join("repository")).await;
    let files = scene.folder.path().join("files.sock");
    scene.service.serve_files(&files, None, scene.lineage.tenant).unwrap();

    let mut stored = 0;
    let error = loop {
        match scene.push_segment(5 + stored, 77 + stored).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 8, "the disk has to be full by now");
    };
    assert!(error.to_string().starts_with("the repository has no room left"), "{error}");
    assert_eq!(scene.service.last_error(scene.lineage.id), Some(error.to_string()));
    let archive = scene.service.repository().tenant(scene.lineage.tenant);
    let in_time = tokio::time::Instant::now() + std::time::Duration::from_millis(50);
    let waited = archive.wait_for_wal(scene.lineage.id, Lsn((6 + stored) << 20), in_time).await;
    assert!(waited.unwrap_err().to_string().contains("the repository has no room left"));

    // What does not compress.
    let bytes = segment(&Lineage { segment_size: SegmentSize(2 << 20), ..scene.lineage.clone() }, 1, 7);
    let id = FileId::of(&bytes);
    let mut keep = format!("{{\"keep\":\"{id}\",\"len\":{}}}\n", bytes.len()).into_bytes();
    keep.extend_from_slice(&bytes);
    let answer = scene.say(&files, keep.clone()).await;
    assert!(answer.contains("the repository has no room left"), "{answer}");
    assert_eq!(archive.missing_files(vec![id]).await.unwrap(), [id]);

    let visible = archive.history().await.unwrap();
    assert_eq!(visible.history.lineages[0].segments.len() as u64, stored, "nothing half made");
    assert!(visible.findings.is_empty(), "{:?}", visible.findings);
    assert_eq!(fs::read_dir(disk.0.join("repository/tmp")).unwrap().count(), 0);

    fs::remove_file(&filler).unwrap();
    scene.push_segment(5 + stored, 77 + stored).await.unwrap();
    assert_eq!(scene.service.last_error(scene.lineage.id), None);
    assert_eq!(scene.say(&files, keep).await, "{\"ok\":true}\n");
    assert!(archive.missing_files(vec![id]).await.unwrap().is_empty());
}

//! A repository in a bucket of a real server, and of servers that misbehave.

mod support;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use archive::{FileId, Filestore, FlawKind, OpenError, Pushed, Repository, TenantArchive};
use jiff::Timestamp;
use model::archive::{Activation, Lineage, SnapshotPoint};
use model::lsn::{Lsn, Segment, Timeline, WalFile};
use model::{SnapshotId, TenantId};
use support::weed::{self, Weed};
use support::{a_lineage, keys, scratch, segment};

fn file(number: u64) -> WalFile {
    WalFile::Segment(Segment { timeline: Timeline(1), number })
}

async fn push(archive: &TenantArchive, lineage: &Lineage, number: u64) -> Pushed {
    archive.push_wal(lineage.id, file(number), segment(lineage, number, number)).await.unwrap()
}

async fn begin(repository: &Repository) -> (TenantArchive, Lineage) {
    let archive = repository.tenant(TenantId::new());
    let lineage = a_lineage(archive.tenant());
    archive.put_lineage(lineage.clone()).await.unwrap();
    (archive, lineage)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_keeps_what_a_folder_keeps() {
    let scratch = scratch();
    let weed = Weed::start(&scratch.path().join("weed"));
    let keys = keys(scratch.path());
    let absent = Repository::open(weed.place("a/b"), keys.clone()).unwrap_err();
    assert!(matches!(absent, OpenError::Missing(_)), "{absent}");
    let repository = Repository::open_or_create(weed.place("a/b"), keys.clone()).unwrap();
    let (archive, lineage) = begin(&repository).await;
    archive.put_lineage(lineage.clone()).await.unwrap();
    let at = Timestamp::now();
    archive.put_activation(Activation { lineage: lineage.id, at }).await.unwrap();
    for number in 5..8 {
        assert_eq!(push(&archive, &lineage, number).await, Pushed::Stored);
        assert_eq!(push(&archive, &lineage, number).await, Pushed::AlreadyThere);
    }
    let other = archive.push_wal(lineage.id, file(5), segment(&lineage, 5, 99)).await.unwrap_err();
    assert!(other.to_string().contains("with different content"), "{other}");
    let point = SnapshotPoint {
        id: SnapshotId::new(),
        lineage: lineage.id,
        name: "one".into(),
        restore_point: "heddle-1".into(),
        lsn: Lsn(9),
        at,
    };
    archive.put_snapshot(point.clone()).await.unwrap();

    // Files, one of them so large that it goes in parts.
    let data_dir = scratch.path().join("odoo");
    let filestore = Filestore { data_dir, database: "acme".into() };
    let large =
        segment(&Lineage { segment_size: model::lsn::SegmentSize(64 << 20), ..lineage.clone() }, 1, 5);
    let mut ids = Vec::new();
    for bytes in (0..300_u32).map(|n| n.to_le_bytes().repeat(40)).chain([large.clone()]) {
        let id = FileId::of(&bytes);
        let folder = filestore.data_dir.join("filestore/acme").join(&id.to_string()[..2]);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(id.to_string()), bytes).unwrap();
        ids.push(id);
    }
    let report = archive.sync_filestore(&filestore).await.unwrap();
    assert_eq!((report.kept, report.findings.len()), (301, 0));

    // Somebody else, who has the place and the key file.
    let reader = Repository::open(weed.place("a/b"), keys.clone()).unwrap();
    assert_eq!(reader.tenants().unwrap(), [archive.tenant()]);
    let read = reader.tenant(archive.tenant());
    let history = read.history().await.unwrap();
    assert!(history.findings.is_empty(), "{:?}", history.findings);
    assert_eq!(history.history.lineages[0].segments.len(), 3);
    assert_eq!(history.history.snapshots, [point]);
    assert!(read.missing_files(ids.clone()).await.unwrap().is_empty());
    let data_dir = scratch.path().join("restored");
    std::fs::create_dir(&data_dir).unwrap();
    let restored = Filestore { data_dir, database: "acme".into() };
    let placed = read.place_files(ids.clone(), &restored, None).await.unwrap();
    assert_eq!((placed.count, placed.missing.len(), placed.damaged.len()), (301, 0, 0));
    assert_eq!(read.read_file(FileId::of(&large)).await.unwrap().unwrap(), large);
    let found = reader.verify(None, &|_, _| {}).unwrap();
    assert_eq!((found.wal, found.files), (3, 301));
    let made_up = |kind| matches!(kind, FlawKind::DamagedWal | FlawKind::Unplannable | FlawKind::MissingWal);
    assert!(found.flaws.iter().all(|flaw| made_up(flaw.kind)), "{:#?}", found.flaws);

    // A neighbour in the same bucket; and a place that holds something else.
    let beside = Repository::open_or_create(weed.place("a/c"), keys.clone()).unwrap();
    assert!(beside.tenants().unwrap().is_empty());
    let above = Repository::open_or_create(weed.place("a"), keys.clone()).unwrap_err();
    assert!(matches!(above, OpenError::NotARepository(_)), "{above}");

    repository.shred(archive.tenant()).unwrap();
    let gone = Repository::open(weed.place("a/b"), keys.clone()).unwrap();
    gone.tenant(archive.tenant()).read_file(ids[0]).await.unwrap_err();
    assert_eq!(gone.verify(None, &|_, _| {}).unwrap().shredded, 1);

    let stranger = weed::place(weed.port(), "a/b", "guessed");
    let error = Repository::open(stranger, keys).unwrap_err();
    let OpenError::File(error) = &error else { panic!("{error:?}") };
    assert_eq!(error.source.kind(), std::io::ErrorKind::PermissionDenied, "{error:?}");
}

/// Passes connections on to a server; the next ones are cut as is asked.
struct Wire {
    port: u16,
    /// Cut before the request arrives, and before the answer does.
    requests: Arc<AtomicUsize>,
    answers: Arc<AtomicUsize>,
}

fn take(count: &AtomicUsize) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| count.checked_sub(1)).is_ok()
}

impl Wire {
    fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let wire = Self { port, requests: Arc::default(), answers: Arc::default() };
        let (requests, answers) = (wire.requests.clone(), wire.answers.clone());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (requests, answers) = (requests.clone(), answers.clone());
                thread::spawn(move || carry(client, server, &requests, &answers));
            }
        });
        wire
    }
}

fn carry(mut client: TcpStream, server: u16, requests: &AtomicUsize, answers: &AtomicUsize) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", server)) else { return };
    let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let back = thread::spawn(move || {
        let mut buffer = [0; 16384];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
    let mut buffer = [0; 16384];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        let begins = buffer.starts_with(b"PUT ");
        if begins && take(requests) {
            // In the midst of the first piece.
            let _ = server.write_all(&buffer[..count / 2]);
            break;
        }
        if server.write_all(&buffer[..count]).is_err() {
            break;
        }
        if begins && take(answers) {
            // All of the request, and nothing of the answer.
            let _ = client.shutdown(Shutdown::Write);
            client.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
            while let Ok(count @ 1..) = client.read(&mut buffer) {
                let _ = server.write_all(&buffer[..count]);
            }
            thread::sleep(Duration::from_millis(500));
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
    let _ = back.join();
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_connections_and_replies_are_made_up_for() {
    let scratch = scratch();
    let mut weed = Weed::start(&scratch.path().join("weed"));
    let wire = Wire::to(weed.port());
    let place = weed::place(wire.port, "repository", weed::SECRET);
    let repository = Repository::open_or_create(place, keys(scratch.path())).unwrap();
    let (archive, lineage) = begin(&repository).await;
    push(&archive, &lineage, 5).await;
    wire.requests.store(2, Ordering::SeqCst);
    assert_eq!(push(&archive, &lineage, 6).await, Pushed::Stored);
    assert_eq!(wire.requests.load(Ordering::SeqCst), 0, "two were cut");
    // It was stored, and whoever stored it did not hear of it.
    wire.answers.store(1, Ordering::SeqCst);
    push(&archive, &lineage, 7).await;
    assert_eq!(wire.answers.load(Ordering::SeqCst), 0, "one was cut");

    // The server is away for a while.
    weed.stop();
    let waiting = tokio::spawn({
        let (archive, lineage) = (archive.clone(), lineage.clone());
        async move { push(&archive, &lineage, 8).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished());
    let _weed = tokio::task::spawn_blocking(move || {
        weed.resume();
        weed
    })
    .await
    .unwrap();
    waiting.await.unwrap();
    let held = archive.history().await.unwrap();
    assert!(held.findings.is_empty());
    assert_eq!(held.history.lineages[0].segments.len(), 4);
}

/// A server that takes whatever is put, as many times as it is.
fn careless() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let objects: Arc<Mutex<HashMap<String, Vec<u8>>>> = Arc::default();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let objects = objects.clone();
            thread::spawn(move || answer(client, &objects));
        }
    });
    port
}

fn answer(mut client: TcpStream, objects: &Mutex<HashMap<String, Vec<u8>>>) {
    let mut bytes = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            let mut buffer = [0; 4096];
            match client.read(&mut buffer) {
                Ok(count @ 1..) => bytes.extend_from_slice(&buffer[..count]),
                _ => return,
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
        while bytes.len() < end + length {
            let mut buffer = [0; 4096];
            let Ok(count @ 1..) = client.read(&mut buffer) else { return };
            bytes.extend_from_slice(&buffer[..count]);
        }
        let body = bytes[end..end + length].to_vec();
        bytes.drain(..end + length);
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap().to_owned());
        let mut objects = objects.lock().unwrap();
        let (status, body) = match method {
            "put" => {
                objects.insert(path, body);
                ("200 OK", Vec::new())
            }
            "delete" => {
                objects.remove(&path);
                ("204 No Content", Vec::new())
            }
            _ => objects.get(&path).map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body.clone())),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nETag: \"x\"\r\nLast-Modified: Sat, 21 Nov 2026 10:00:00 GMT\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let written = client.write_all(head.as_bytes()).and_then(|()| client.write_all(&body));
        if written.is_err() {
            return;
        }
    }
}

#[test]
fn a_server_that_ignores_conditions_is_refused() {
    let scratch = scratch();
    let place = weed::place(careless(), "repository", weed::SECRET);
    let error = Repository::open_or_create(place, keys(scratch.path())).unwrap_err();
    assert!(matches!(error, OpenError::NoConditionalWrites(_)), "{error:?}");
    assert!(error.to_string().contains("use a server that knows conditional writes"), "{error}");
}

//! Filestores: kept, found out about, given back.

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::time::Instant;

use archive::{FileId, Filestore, FilestoreError, Finding, Repository, TenantArchive};
use model::TenantId;
use model::program::Identity;

fn scene() -> (tempfile::TempDir, TenantArchive, Filestore) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("repository");
    let repository = Repository::open_or_create(root, support::keys(folder.path())).unwrap();
    let archive = repository.tenant(TenantId::new());
    let data_dir = folder.path().join("odoo");
    fs::create_dir(&data_dir).unwrap();
    (folder, archive, Filestore { data_dir, database: "acme".into() })
}

fn write(filestore: &Filestore, bytes: &[u8]) -> FileId {
    let id = FileId::of(bytes);
    let name = id.to_string();
    let folder = filestore.data_dir.join("filestore/acme").join(&name[..2]);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), bytes).unwrap();
    id
}

fn path(filestore: &Filestore, id: FileId) -> std::path::PathBuf {
    let name = id.to_string();
    filestore.data_dir.join("filestore").join(&filestore.database).join(&name[..2]).join(name)
}

#[tokio::test]
async fn files_go_in_once_and_come_back() {
    let (folder, archive, filestore) = scene();
    assert_eq!(archive.sync_filestore(&filestore).await.unwrap().kept, 0, "there is none yet");
    let ids: Vec<_> = (0..600_u32).map(|n| write(&filestore, &n.to_le_bytes().repeat(50))).collect();
    let empty = write(&filestore, b"");
    fs::create_dir_all(filestore.data_dir.join("filestore/acme/checklist/aa")).unwrap();
    fs::write(filestore.data_dir.join("filestore/acme/checklist/aa/x"), "").unwrap();
    let report = archive.sync_filestore(&filestore).await.unwrap();
    assert_eq!((report.kept, report.already, report.findings.len()), (601, 0, 0), "{report:?}");
    let report = archive.sync_filestore(&filestore).await.unwrap();
    assert_eq!((report.kept, report.already), (0, 601));

    // Another process, which has nothing in memory.
    let root = folder.path().join("repository");
    let again = Repository::open_or_create(root, support::keys(folder.path())).unwrap();
    let archive = again.tenant(archive.tenant());
    let report = archive.sync_filestore(&filestore).await.unwrap();
    assert_eq!((report.kept, report.already), (0, 601));

    let absent = FileId::of(b"never seen");
    assert_eq!(archive.missing_files(vec![ids[0], absent]).await.unwrap(), [absent]);
    let data_dir = folder.path().join("restored");
    fs::create_dir(&data_dir).unwrap();
    let restored = Filestore { data_dir, database: "acme".into() };
    let wanted: Vec<_> = ids.iter().copied().chain([empty, absent]).collect();
    let identity = support::is_root().then_some(Identity { uid: 2_000_001, gid: 2_000_001 });
    let placed = archive.place_files(wanted.clone(), &restored, identity).await.unwrap();
    assert_eq!((placed.count, &placed.missing[..], placed.damaged.len()), (601, &[absent][..], 0));
    for id in ids.iter().chain([&empty]) {
        assert_eq!(FileId::of(&fs::read(path(&restored, *id)).unwrap()), *id);
    }
    let given = fs::metadata(path(&restored, empty)).unwrap();
    assert_eq!(given.mode() & 0o777, 0o600);
    if let Some(Identity { uid, .. }) = identity {
        assert_eq!(given.uid(), uid);
        assert_eq!(fs::metadata(path(&restored, empty).parent().unwrap()).unwrap().uid(), uid);
    }
    // Their own copies: writing one changes nothing in the repository.
    fs::write(path(&restored, ids[0]), "scribble").unwrap();
    let placed = archive.place_files(wanted, &restored, identity).await.unwrap();
    assert_eq!(placed.count, 601);
    assert_eq!(FileId::of(&fs::read(path(&restored, ids[0])).unwrap()), ids[0]);
}

#[tokio::test]
async fn a_file_that_is_not_what_its_name_says_is_never_kept() {
    let (folder, archive, filestore) = scene();
    let (good, other) = (write(&filestore, b"good"), FileId::of(b"meant"));
    let wrong = path(&filestore, other);
    fs::create_dir_all(wrong.parent().unwrap()).unwrap();
    fs::write(&wrong, "mea").unwrap();
    let report = archive.sync_filestore(&filestore).await.unwrap();
    // It may still be being written.
    assert_eq!((report.kept, report.unsettled, report.findings.len()), (1, 1, 0));
    fs::write(&wrong, "meant").unwrap();
    assert_eq!(archive.sync_filestore(&filestore).await.unwrap().kept, 1);

    let error = archive.keep_file(other, b"other".to_vec()).await.unwrap_err();
    assert!(matches!(error, FilestoreError::WrongHash { .. }), "{error}");
    let late = FileId::of(b"late");
    let error = archive.keep_file(late, b"lat".to_vec()).await.unwrap_err();
    assert!(matches!(error, FilestoreError::WrongHash { .. }), "{error}");
    archive.keep_file(late, b"late".to_vec()).await.unwrap();
    archive.keep_file(late, b"late".to_vec()).await.unwrap();
    assert!(archive.missing_files(vec![good, late]).await.unwrap().is_empty());
    assert_eq!(fs::read_dir(folder.path().join("repository/tmp")).unwrap().count(), 0);

    // A bit lost in the repository does not come back as if it were right.
    let name = good.to_string();
    let stored = folder.path().join("repository/tenants").join(archive.tenant().to_string());
    let stored = stored.join("files").join(&name[..2]).join(&name);
    fs::write(stored, b"goof").unwrap();
    let placed = archive.place_files(vec![good, late], &filestore, None).await.unwrap();
    assert_eq!((placed.count, &placed.damaged[..]), (1, &[good][..]));
}

#[tokio::test]
async fn links_and_pipes_are_findings_and_lead_nowhere() {
    let (folder, archive, filestore) = scene();
    let neighbour = Filestore { data_dir: folder.path().join("neighbour"), database: "acme".into() };
    let secret = write(&neighbour, b"a neighbour's secret");
    let link = |target: &Path, at: &Path| {
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        symlink(target, at).unwrap();
    };
    // A file, and the folder of a file.
    link(&path(&neighbour, secret), &path(&filestore, FileId::of(b"x")));
    let name = secret.to_string();
    link(
        path(&neighbour, secret).parent().unwrap(),
        &filestore.data_dir.join("filestore/acme").join(&name[..2]),
    );
    let pipe = path(&filestore, FileId::of(b"pipe"));
    fs::create_dir_all(pipe.parent().unwrap()).unwrap();
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, mode, 0).unwrap();
    let report = archive.sync_filestore(&filestore).await.unwrap();
    assert_eq!((report.kept, report.findings.len()), (0, 3), "{report:?}");
    assert!(report.findings.iter().all(|finding| matches!(finding, Finding::NotAFile(_))));

    // Nor does giving back write through one.
    archive.keep_file(secret, b"a neighbour's secret".to_vec()).await.unwrap();
    fs::write(path(&neighbour, secret), "still here").unwrap();
    archive.place_files(vec![secret], &filestore, None).await.unwrap_err();
    assert_eq!(fs::read_to_string(path(&neighbour, secret)).unwrap(), "still here");

    // The filestore itself, or what is above it.
    fs::remove_dir_all(filestore.data_dir.join("filestore")).unwrap();
    symlink(neighbour.data_dir.join("filestore"), filestore.data_dir.join("filestore")).unwrap();
    archive.sync_filestore(&filestore).await.unwrap_err();
    archive.place_files(vec![secret], &filestore, None).await.unwrap_err();
}

#[tokio::test]
async fn known_files_are_passed_over_quickly() {
    let (_folder, archive, filestore) = scene();
    for n in 0..5_000_u32 {
        write(&filestore, &n.to_le_bytes().repeat(500));
    }
    let begun = Instant::now();
    assert_eq!(archive.sync_filestore(&filestore).await.unwrap().kept, 5_000);
    let first = begun.elapsed();
    let begun = Instant::now();
    assert_eq!(archive.sync_filestore(&filestore).await.unwrap().already, 5_000);
    println!("5,000 files of 2 kB: {first:?} to keep, {:?} to pass over", begun.elapsed());
}

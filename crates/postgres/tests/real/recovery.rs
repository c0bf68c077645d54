//! Recovery to a point.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use model::lsn::{Lsn, Segment, SegmentSize, Timeline};
use model::program::Identity;
use model::restore::Stop;
use postgres::{
    Archive, BackupStop, Cluster, NotReady, OnlineBackup, RecoveryError, RecoveryFault, Unready, current_lsn,
    emit_marker, finish_recovery, fork_of, is_in_recovery, is_recovery_pending, make_sibling, restore_point,
    since_last_start, switch_wal, timeline, wait_ready, write_recovery,
};
use tokio_postgres::Client;

use crate::support::{
    PATIENCE, Scratch, Server, appears, binaries, folder_archive, identity, initdb_user, note, notes, setup,
    superuser,
};

/// Waits until everything before `lsn` is in the archive.
pub async fn archived(folder: &Path, timeline: Timeline, lsn: Lsn) {
    let name = Segment::before(timeline, lsn, SegmentSize::CELL).file_name(SegmentSize::CELL);
    appears(&folder.join(name)).await;
    // cp makes the file before it has all of it.
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// An online copy of a cluster's files.
pub struct Copy {
    files: PathBuf,
    pub stop: BackupStop,
}

impl Copy {
    /// `during` is run in the tenant's database while the files are copied.
    pub async fn online(scratch: &Scratch, cluster: &Cluster, during: &str) -> Self {
        let files = scratch.path().join("backup");
        let backup = OnlineBackup::start(superuser(cluster, "postgres").await, "test").await.unwrap();
        superuser(cluster, "tenant").await.batch_execute(during).await.unwrap();
        let script = "mkdir \"$2\" && cd \"$1\" && tar -c --warning=no-file-changed --exclude=./pg_wal/* \
                      --exclude=./postmaster.* . | tar -x -C \"$2\"";
        let copied =
            Command::new("sh").args(["-c", script, "sh"]).arg(&cluster.data_dir).arg(&files).status();
        assert!(copied.unwrap().success());
        let start = backup.start_lsn();
        let stop = backup.stop().await.unwrap();
        assert!(stop.start == start && start < stop.stop && stop.tablespace_map.is_empty());
        fs::create_dir_all(files.join("pg_wal/archive_status")).unwrap();
        fs::write(files.join("backup_label"), &stop.label).unwrap();
        Self { files, stop }
    }

    /// A cluster of these files that has not been started.
    pub fn unpack(
        &self,
        scratch: &Scratch,
        name: &str,
        identity: Option<Identity>,
        from: &Archive,
    ) -> Cluster {
        let mut cluster = scratch.cluster(name, identity);
        cluster.archive = Some(from.clone());
        let status = Command::new("cp").arg("-a").arg(&self.files).arg(&cluster.data_dir).status();
        assert!(status.unwrap().success());
        if let Some(Identity { uid, gid }) = identity {
            let owner = format!("{uid}:{gid}");
            assert!(
                Command::new("chown").arg("-R").arg(owner).arg(&cluster.data_dir).status().unwrap().success()
            );
        }
        cluster.write_config().unwrap();
        cluster
    }
}

fn recover_to(cluster: &Cluster, stop: &Stop, timeline: Timeline) {
    let fetch = &cluster.archive.as_ref().unwrap().fetch;
    write_recovery(&cluster.data_dir, cluster.identity, stop, timeline, fetch).unwrap();
    assert!(is_recovery_pending(&cluster.data_dir).unwrap());
    assert!(matches!(finish_recovery(&cluster.data_dir, cluster.identity), Err(RecoveryError::Pending(_))));
}

async fn promoted(cluster: &Cluster) -> Client {
    drop(wait_ready(cluster, PATIENCE).await.unwrap());
    let client = superuser(cluster, "tenant").await;
    assert!(!is_in_recovery(&client).await.unwrap());
    assert_eq!(timeline(&client).await.unwrap(), Timeline(2));
    finish_recovery(&cluster.data_dir, cluster.identity).unwrap();
    finish_recovery(&cluster.data_dir, cluster.identity).unwrap();
    assert_eq!(fs::read(cluster.data_dir.join("heddle-recovery.conf")).unwrap(), b"");
    client
}

/// When PostgreSQL says that a transaction was committed: out of the WAL itself.
fn commit_times(archive: &Path, from: Lsn) -> Vec<Timestamp> {
    let first = Segment::at(Timeline(1), from, SegmentSize::CELL).file_name(SegmentSize::CELL);
    let output = Command::new(binaries().program("pg_waldump"))
        .env("TZ", "UTC")
        .args(["--rmgr=Transaction", "--path"])
        .arg(archive)
        .arg(first)
        .args(
            fs::read_dir(archive)
                .unwrap()
                .filter_map(|entry| {
                    let name = entry.unwrap().file_name().into_string().unwrap();
                    (name.len() == 24).then_some(name)
                })
                .max(),
        )
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| {
            let stamp = line.split_once("desc: COMMIT ")?.1.split_once(" UTC")?.0;
            Some(stamp.replacen(' ', "T", 1) + "Z")
        })
        .map(|stamp| stamp.parse().unwrap())
        .collect()
}

#[tokio::test]
async fn recovery_ends_exactly_where_it_is_asked_to() {
    let (scratch, bin) = (Scratch::new(), binaries());
    let template = scratch.template().await;
    let mut source = scratch.cluster("source", identity(1));
    let folder = scratch.folder("archive", source.identity);
    let archive = folder_archive(&folder);
    source.archive = Some(archive.clone());
    make_sibling(
        &bin,
        &template.data_dir,
        &source.data_dir,
        initdb_user().as_ref(),
        source.identity,
        &setup("tenant", "x"),
    )
    .unwrap();
    source.write_config().unwrap();

    // The history: one and two, an idle while, a named point, three.
    let mut server = Server::start(&source);
    drop(wait_ready(&source, PATIENCE).await.unwrap());
    let client = superuser(&source, "tenant").await;
    let backup = Copy::online(&scratch, &source, "").await;
    note(&client, "1").await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    note(&client, "2").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let idle = Timestamp::now();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let point = restore_point(&client, "heddle-point").await.unwrap();
    note(&client, "3").await;
    let marker = emit_marker(&client, "snapshot").await.unwrap();
    assert!(backup.stop.stop < point && point < marker);
    assert!(marker <= current_lsn(&client).await.unwrap());
    let end = switch_wal(&client).await.unwrap();
    archived(&folder, Timeline(1), end).await;
    drop(client);
    assert!(server.stop().success());
    let commits = commit_times(&folder, backup.stop.stop);
    let [first, second, third, marked] = commits[..] else { panic!("{commits:?}") };
    let microsecond = SignedDuration::from_micros(1);
    assert!(second < idle && idle < third && third <= marked);

    let name = |name: &str| Stop::Name { name: name.to_owned(), lsn: point };
    for (number, (case, stop, expected)) in [
        ("between", Stop::Time(first + SignedDuration::from_millis(5)), &["1"][..]),
        ("exact", Stop::Time(second), &["1", "2"]),
        ("before", Stop::Time(second - microsecond), &["1"]),
        ("idle", Stop::Time(idle), &["1", "2"]),
        ("named", name("heddle-point"), &["1", "2"]),
        ("marked", Stop::Time(third), &["1", "2", "3"]),
    ]
    .into_iter()
    .enumerate()
    {
        let cluster = backup.unpack(&scratch, case, identity(1), &archive);
        // The next lineage archives elsewhere; here it is in nobody's way.
        let cluster = Cluster {
            archive: Some(Archive {
                push: folder_archive(&scratch.folder(&format!("archive-{case}"), identity(1))).push,
                fetch: archive.fetch.clone(),
            }),
            ..cluster
        };
        cluster.write_config().unwrap();
        recover_to(&cluster, &stop, Timeline(1));
        let mut server = Server::start(&cluster);
        let client = promoted(&cluster).await;
        assert_eq!(notes(&client).await, expected, "{case}");
        let (parent, fork) = fork_of(&cluster.data_dir, Timeline(2)).unwrap();
        assert_eq!(parent, Timeline(1));
        assert!(backup.stop.stop <= fork && fork < marker, "{case}");
        if case == "named" {
            assert_eq!(fork, point);
        }
        assert_eq!(RecoveryFault::in_log(&server.log()), None, "{number}\n{}", server.log());
        // It goes on living, under its old settings too.
        note(&client, "after").await;
        drop(client);
        assert!(server.stop().success());
    }

    // No commit after the time: PostgreSQL gives up, and is asked again.
    let cluster = backup.unpack(&scratch, "last", identity(1), &archive);
    let archive_last = folder_archive(&scratch.folder("archive-last", identity(1)));
    let cluster =
        Cluster { archive: Some(Archive { fetch: archive.fetch.clone(), ..archive_last }), ..cluster };
    cluster.write_config().unwrap();
    recover_to(&cluster, &Stop::Time(Timestamp::now()), Timeline(1));
    let mut server = Server::start(&cluster);
    assert!(!server.ended().success());
    let log = server.log();
    assert_eq!(
        RecoveryFault::in_log(since_last_start(&log)),
        Some(RecoveryFault::EndedBeforeTarget),
        "{log}"
    );
    let error = wait_ready(&cluster, Duration::ZERO).await.unwrap_err();
    assert!(matches!(error, NotReady::Deadline { last: Unready::NotListening, .. }), "{error:?}");
    recover_to(&cluster, &Stop::End, Timeline(1));
    let mut server = Server::start(&cluster);
    let client = promoted(&cluster).await;
    assert_eq!(notes(&client).await, ["1", "2", "3"]);
    let (_, fork) = fork_of(&cluster.data_dir, Timeline(2)).unwrap();
    assert!(marker <= fork && end <= fork, "{marker} {fork} {end}");
    drop(client);
    assert!(server.stop().success());
}

/// What stands in the way of a recovery is told apart.
#[tokio::test]
async fn recovery_faults_are_recognised() {
    let (scratch, bin) = (Scratch::new(), binaries());
    let template = scratch.template().await;
    let mut source = scratch.cluster("source", identity(1));
    let folder = scratch.folder("archive", source.identity);
    let archive = folder_archive(&folder);
    source.archive = Some(archive.clone());
    make_sibling(
        &bin,
        &template.data_dir,
        &source.data_dir,
        initdb_user().as_ref(),
        source.identity,
        &setup("tenant", "x"),
    )
    .unwrap();
    source.write_config().unwrap();
    let mut server = Server::start(&source);
    drop(wait_ready(&source, PATIENCE).await.unwrap());
    let client = superuser(&source, "tenant").await;
    note(&client, "1").await;
    let early = Timestamp::now();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let backup = Copy::online(&scratch, &source, "INSERT INTO note VALUES ('during')").await;
    note(&client, "2").await;
    archived(&folder, Timeline(1), switch_wal(&client).await.unwrap()).await;
    drop(client);
    server.stop();

    let missing = Archive {
        push: archive.push.clone(),
        fetch: postgres::ShellCommand::new("false").wal_name().wal_path(),
    };
    let broken = Archive {
        push: archive.push.clone(),
        fetch: postgres::ShellCommand::new("sh").arg("-c").arg("exit 126").wal_name(),
    };
    let fault = |name: &str, archive: &Archive, stop: Stop, timeline| {
        let cluster = backup.unpack(&scratch, name, identity(1), archive);
        recover_to(&cluster, &stop, timeline);
        let mut server = Server::start(&cluster);
        assert!(!server.ended().success(), "{name}");
        RecoveryFault::in_log(&server.log()).unwrap_or_else(|| panic!("{name}:\n{}", server.log()))
    };
    let found = fault("absent", &missing, Stop::End, Timeline(1));
    assert!(matches!(found, RecoveryFault::Missing(_)), "{found:?}");
    let found = fault("broken", &broken, Stop::End, Timeline(1));
    assert!(matches!(found, RecoveryFault::Fetch(_)), "{found:?}");
    let found = fault("timeline", &archive, Stop::End, Timeline(7));
    assert!(matches!(found, RecoveryFault::WrongTimeline(_)), "{found:?}");
    let found = fault("early", &archive, Stop::Time(early), Timeline(1));
    assert!(matches!(found, RecoveryFault::Inconsistent(_)), "{found:?}");

    // While it is at it, it is told apart from a cluster that does not run.
    let slow = Archive {
        push: archive.push.clone(),
        fetch: postgres::ShellCommand::new("sh").arg("-c").arg("sleep 1; exit 1"),
    };
    let cluster = backup.unpack(&scratch, "slow", identity(1), &slow);
    recover_to(&cluster, &Stop::End, Timeline(1));
    let mut server = Server::start(&cluster);
    let error = wait_ready(&cluster, Duration::from_millis(500)).await.unwrap_err();
    assert!(matches!(error, NotReady::Deadline { last: Unready::Recovering, .. }), "{error:?}");
    assert!(!server.ended().success());
    assert!(is_recovery_pending(&cluster.data_dir).unwrap());
}

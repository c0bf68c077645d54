//! A template, and the clusters made from it.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};

use model::lsn::Timeline;
use model::restore::Stop;
use postgres::{
    ControlFileError, CopyError, RecoveryFault, SingleUserError, State, copy_cluster, give_identifier,
    identify, make_sibling, new_system_identifier, reset_wal, single_user, switch_wal, system_identifier,
    wait_ready, write_recovery,
};

use crate::recovery::{Copy, archived};
use crate::support::{
    PATIENCE, Scratch, Server, binaries, folder_archive, identity, initdb_user, note, notes, setup, superuser,
};

#[tokio::test]
async fn siblings_have_the_templates_data_and_identifiers_of_their_own() {
    let (scratch, bin) = (Scratch::new(), binaries());
    let template = scratch.template().await;
    let original = identify(&bin, &template.data_dir).unwrap();
    assert_eq!(original.state, State::ShutDown);
    assert!(original.checksums);

    // What a killed attempt has left is no hindrance.
    let acme = scratch.cluster("acme", identity(1));
    fs::create_dir(scratch.path().join("acme.new")).unwrap();
    fs::write(scratch.path().join("acme.new/half"), "made").unwrap();

    let mut identifiers = vec![original.system_identifier];
    for (cluster, name) in [(&acme, "acme"), (&scratch.cluster("globex", identity(2)), "globex")] {
        let setup = setup(name, name);
        let made = make_sibling(
            &bin,
            &template.data_dir,
            &cluster.data_dir,
            initdb_user().as_ref(),
            cluster.identity,
            &setup,
        )
        .unwrap();
        assert!(made.copied.files > 500 && made.copied.bytes > 10_000_000, "{made:?}");
        cluster.write_config().unwrap();
        let metadata = fs::metadata(cluster.data_dir.join("global/pg_control")).unwrap();
        if let Some(identity) = cluster.identity {
            assert_eq!((metadata.uid(), metadata.gid()), (identity.uid, identity.gid));
        }
        assert_eq!(metadata.mode() & 0o777, 0o600);
        assert!(!cluster.data_dir.with_extension("new").exists());

        let mut server = Server::start(cluster);
        drop(wait_ready(cluster, PATIENCE).await.unwrap());
        let client = superuser(cluster, name).await;
        assert_eq!(notes(&client).await, [""; 0]);
        assert_eq!(system_identifier(&client).await.unwrap(), made.system_identifier);
        assert_eq!(postgres::timeline(&client).await.unwrap(), Timeline(1));
        identifiers.push(made.system_identifier);

        // A running cluster is neither copied nor changed.
        let error = copy_cluster(&bin, &cluster.data_dir, &scratch.path().join("x"), None).unwrap_err();
        assert!(matches!(error, CopyError::NotShutDown(_)), "{error}");
        let error = give_identifier(&bin, &cluster.data_dir, cluster.identity, 1).unwrap_err();
        assert!(matches!(error, ControlFileError::NotShutDown(_)), "{error}");
        drop(client);
        assert!(server.stop().success());
    }
    identifiers.sort_unstable();
    identifiers.dedup();
    assert_eq!(identifiers.len(), 3);
    assert_eq!(identify(&bin, &template.data_dir).unwrap(), original);
    let again =
        make_sibling(&bin, &template.data_dir, &acme.data_dir, initdb_user().as_ref(), acme.identity, &[])
            .unwrap_err();
    assert!(again.to_string().ends_with("acme exists already"), "{again}");
}

#[tokio::test]
async fn a_cluster_that_was_killed_keeps_its_identifier() {
    let (scratch, bin) = (Scratch::new(), binaries());
    let template = scratch.template().await;
    let server = Server::start(&template);
    drop(wait_ready(&template, PATIENCE).await.unwrap());
    drop(server); // an immediate shutdown: no checkpoint
    let _ = fs::remove_file(template.data_dir.join("postmaster.pid"));
    let before = identify(&bin, &template.data_dir).unwrap();
    assert_eq!(before.state, State::InProduction);

    let error =
        give_identifier(&bin, &template.data_dir, template.identity, new_system_identifier()).unwrap_err();
    assert!(matches!(error, ControlFileError::NotShutDown(_)), "{error}");
    reset_wal(&bin, &template.data_dir, template.identity).unwrap_err();
    let error = copy_cluster(&bin, &template.data_dir, &scratch.path().join("x"), None).unwrap_err();
    assert!(matches!(error, CopyError::NotShutDown(_)), "{error}");
    assert_eq!(identify(&bin, &template.data_dir).unwrap(), before);
}

#[tokio::test]
async fn a_plain_copy_is_the_same_cluster_and_single_user_mode_reports_faults() {
    let (scratch, bin) = (Scratch::new(), binaries());
    let template = scratch.template().await;
    let copy = scratch.cluster("copy", template.identity);
    let copied = copy_cluster(&bin, &template.data_dir, &copy.data_dir, copy.identity).unwrap();
    assert!(copied.bytes > 10_000_000);
    assert_eq!(
        identify(&bin, &copy.data_dir).unwrap().system_identifier,
        identify(&bin, &template.data_dir).unwrap().system_identifier
    );

    let run = |database: &str, statements: &[&str]| {
        let statements: Vec<String> = statements.iter().map(|&text| text.to_owned()).collect();
        single_user(&bin, &copy.data_dir, initdb_user().as_ref(), database, &statements)
    };
    run("template", &["INSERT INTO note\nVALUES ('one;\nline')", "INSERT INTO note VALUES ('two');"])
        .unwrap();
    let refused = |result| match result {
        Err(SingleUserError::Refused(line)) => line,
        other => panic!("{other:?}"),
    };
    let line = refused(run(
        "template",
        &["INSERT INTO note VALUES ('three')", "SELECT 'topsecret'::int", "INSERT INTO note VALUES ('four')"],
    ));
    assert!(line.contains("invalid input syntax") && !line.contains("topsecret"), "{line}");
    let line = refused(run("template", &["ALTER ROLE odoo PASSWORD 'topsecret' 'x'"]));
    assert!(line.contains("syntax error") && !line.contains("topsecret"), "{line}");
    let line = refused(run("absent", &["SELECT 1"]));
    assert!(line.contains("database \"absent\" does not exist"), "{line}");

    copy.write_config().unwrap();
    let mut server = Server::start(&copy);
    drop(wait_ready(&copy, PATIENCE).await.unwrap());
    let client = superuser(&copy, "template").await;
    assert_eq!(notes(&client).await, ["one;\nline", "three", "two"]);
    assert!(!server.log().contains("topsecret"));
    drop(client);
    server.stop();
}

/// The promise that a mix-up of two tenants' archives cannot become a mix-up of
/// their data.
#[tokio::test]
async fn postgresql_refuses_a_siblings_wal() {
    let (scratch, bin) = (Scratch::new(), binaries());
    let template = scratch.template().await;
    let mut folders = Vec::new();
    let mut acme_backup = None;
    // One user for all, so that only PostgreSQL stands in the way.
    let user = identity(1);
    for name in ["acme", "globex"] {
        let mut cluster = scratch.cluster(name, user);
        let folder = scratch.folder(&format!("archive-{name}"), cluster.identity);
        cluster.archive = Some(folder_archive(&folder));
        make_sibling(
            &bin,
            &template.data_dir,
            &cluster.data_dir,
            initdb_user().as_ref(),
            cluster.identity,
            &setup("tenant", name),
        )
        .unwrap();
        cluster.write_config().unwrap();
        let mut server = Server::start(&cluster);
        drop(wait_ready(&cluster, PATIENCE).await.unwrap());
        let client = superuser(&cluster, "tenant").await;
        if name == "acme" {
            acme_backup = Some(Copy::online(&scratch, &cluster, "").await);
        }
        for round in 0..6 {
            note(&client, &format!("{name} {round}")).await;
            archived(&folder, Timeline(1), switch_wal(&client).await.unwrap()).await;
        }
        drop(client);
        server.stop();
        folders.push(folder);
    }
    let backup = acme_backup.unwrap();
    let [own, foreign] = &folders[..] else { unreachable!() };

    // All WAL from the sibling: not even the backup's own checkpoint is found.
    let cluster = backup.unpack(&scratch, "all", user, &folder_archive(foreign));
    write_recovery(
        &cluster.data_dir,
        cluster.identity,
        &Stop::End,
        Timeline(1),
        &cluster.archive.as_ref().unwrap().fetch,
    )
    .unwrap();
    let mut server = Server::start(&cluster);
    assert!(!server.ended().success());
    let fault = RecoveryFault::in_log(&server.log());
    assert!(matches!(fault, Some(RecoveryFault::ForeignWal(_))), "{fault:?}\n{}", server.log());

    // Its own WAL as far as the backup needs it, the sibling's from there on.
    let mixed = scratch.folder("archive-mixed", user);
    let name = |lsn| archived_name(Timeline(1), lsn);
    for entry in fs::read_dir(foreign).unwrap() {
        let file = entry.unwrap().file_name();
        let from = if file.to_str().unwrap() <= name(backup.stop.stop).as_str() { own } else { foreign };
        if from.join(&file).exists() {
            fs::copy(from.join(&file), mixed.join(&file)).unwrap();
            chown(mixed.join(&file), user.map(|id| id.uid), user.map(|id| id.gid)).unwrap();
        }
    }
    let cluster = backup.unpack(&scratch, "mixed", user, &folder_archive(&mixed));
    write_recovery(
        &cluster.data_dir,
        cluster.identity,
        &Stop::End,
        Timeline(1),
        &cluster.archive.as_ref().unwrap().fetch,
    )
    .unwrap();
    let mut server = Server::start(&cluster);
    drop(wait_ready(&cluster, PATIENCE).await.unwrap());
    assert!(server.log().contains("WAL file is from different database system"), "{}", server.log());
    let found = notes(&superuser(&cluster, "tenant").await).await;
    assert!(found.iter().all(|note| note.starts_with("acme")) && found.len() < 6, "{found:?}");
    server.stop();
}

fn archived_name(timeline: Timeline, lsn: model::lsn::Lsn) -> String {
    use model::lsn::{Segment, SegmentSize};
    Segment::before(timeline, lsn, SegmentSize::CELL).file_name(SegmentSize::CELL)
}

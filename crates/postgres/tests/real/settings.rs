//! A cluster's configuration, as PostgreSQL reads it.

use std::fs;

use model::lsn::{SegmentSize, Timeline};
use postgres::{Cluster, InitOptions, initdb, switch_wal, wait_ready};

use crate::recovery::archived;
use crate::support::{PATIENCE, Scratch, Server, binaries, folder_archive, free_port, identity, initdb_user};

#[tokio::test]
async fn a_nasty_path_is_only_a_path() {
    let (scratch, bin) = (Scratch::new(), binaries());
    let identity = identity(1);
    let nasty = scratch.folder("it's, a \"1%00\" $HOME\\n `x`; #", identity);
    let archive = nasty.join("%p '%f' 'archive");
    fs::create_dir(&archive).unwrap();
    if let Some(identity) = identity {
        std::os::unix::fs::chown(&archive, Some(identity.uid), Some(identity.gid)).unwrap();
    }
    let cluster = Cluster {
        data_dir: nasty.join("data"),
        socket_dir: nasty.join("s"),
        port: free_port(),
        identity,
        socket_group: None,
        archive: Some(folder_archive(&archive)),
    };
    // The folder is the cluster's; initdb must be able to work in it.
    let user = initdb_user();
    if let Some(user) = &user {
        std::os::unix::fs::chown(&nasty, Some(user.uid), Some(user.gid)).unwrap();
    }
    initdb(
        &bin,
        &cluster.data_dir,
        user.as_ref(),
        &InitOptions { segment_size: SegmentSize::CELL, owner: identity },
    )
    .unwrap();
    std::os::unix::fs::chown(&nasty, identity.map(|id| id.uid), identity.map(|id| id.gid)).unwrap();
    cluster.make_socket_dir().unwrap();
    cluster.write_config().unwrap();
    cluster.write_config().unwrap();

    let mut server = Server::start(&cluster);
    let client = wait_ready(&cluster, PATIENCE).await.unwrap();
    client.batch_execute("CREATE TABLE x (id int)").await.unwrap();
    archived(&archive, Timeline(1), switch_wal(&client).await.unwrap()).await;

    for (setting, expected) in [
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("data_checksums", "on"),
        ("wal_segment_size", "1MB"),
        ("wal_level", "replica"),
        ("archive_mode", "on"),
        ("hot_standby", "off"),
        ("recovery_init_sync_method", "syncfs"),
        ("listen_addresses", "127.0.0.1"),
        ("log_statement", "none"),
        ("log_min_error_statement", "panic"),
        ("server_encoding", "UTF8"),
        ("lc_collate", "C.UTF-8"),
        ("TimeZone", "UTC"),
    ] {
        let row = client.query_one("SELECT current_setting($1)", &[&setting]).await.unwrap();
        assert_eq!(row.get::<_, String>(0), expected, "{setting}");
    }
    // Nothing in the files was skipped, and every line of pg_hba.conf was read.
    let query = "SELECT (SELECT count(*) FROM pg_file_settings WHERE error IS NOT NULL) + \
                 (SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL) + \
                 (SELECT count(*) FROM pg_ident_file_mappings WHERE error IS NOT NULL)";
    assert_eq!(client.query_one(query, &[]).await.unwrap().get::<_, i64>(0), 0);
    drop(client);
    assert!(server.stop().success());
    assert!(!server.log().contains("WARNING"), "{}", server.log());
}

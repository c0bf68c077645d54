//! The management cluster.

use std::fs;

use postgres::{
    OsUser, connect, ensure_database, ensure_login, identify, prepare_management, verifier, wait_ready,
};

use crate::support::{PATIENCE, Scratch, Server, binaries, initdb_user};

#[tokio::test]
async fn the_management_cluster_is_made_once_and_kept() {
    let (scratch, bin) = (Scratch::new(), binaries());
    let user = initdb_user();
    let cluster = scratch.cluster("management", user.as_ref().map(OsUser::identity));
    // An attempt that was killed half-way.
    fs::create_dir_all(scratch.path().join("management.new/base")).unwrap();
    prepare_management(&bin, &cluster, user.as_ref()).unwrap();
    let made = identify(&bin, &cluster.data_dir).unwrap();

    for password in ["first", "second"] {
        prepare_management(&bin, &cluster, user.as_ref()).unwrap();
        let mut server = Server::start(&cluster);
        let client = wait_ready(&cluster, PATIENCE).await.unwrap();
        ensure_login(&client, "control", &verifier(password)).await.unwrap();
        ensure_database(&client, "heddle", None).await.unwrap();
        // Until it is told so, the role does not even enter.
        let login = || connect(&cluster.socket_dir, cluster.port, "control", Some(password), "heddle");
        if password == "first" {
            login().await.unwrap_err();
        }
        client.batch_execute("GRANT CONNECT ON DATABASE heddle TO control").await.unwrap();
        let control = login().await.unwrap();
        control.batch_execute("CREATE TABLE public.x (id int)").await.unwrap_err();
        connect(&cluster.socket_dir, cluster.port, "control", Some("wrong"), "heddle").await.unwrap_err();
        ensure_database(&client, "heddle", None).await.unwrap();
        drop((client, control));
        assert!(server.stop().success());
    }
    assert_eq!(identify(&bin, &cluster.data_dir).unwrap().system_identifier, made.system_identifier);
    assert!(!scratch.path().join("management.new").exists());
}

//! Who may log in, and what a tenant's role may do.

use std::os::unix::process::CommandExt;
use std::process::Command;

use postgres::{Cluster, ConnectError, connect, make_sibling, wait_ready};
use tokio_postgres::{Client, Config, NoTls};

use crate::support::{PATIENCE, Scratch, Server, binaries, identity, initdb_user, is_root, setup};

async fn over_loopback(
    cluster: &Cluster,
    user: &str,
    password: &str,
) -> Result<Client, tokio_postgres::Error> {
    let mut config = Config::new();
    config.host("127.0.0.1").port(cluster.port).user(user).password(password).dbname("acme");
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

#[tokio::test]
async fn passwords_decide_and_the_superuser_has_none() {
    let (scratch, bin) = (Scratch::new(), binaries());
    let template = scratch.template().await;
    let nobody = postgres::OsUser::find("nobody").unwrap();
    let mut cluster = scratch.cluster("acme", identity(1));
    cluster.socket_group = is_root().then_some(nobody.gid);
    cluster.make_socket_dir().unwrap();
    make_sibling(
        &bin,
        &template.data_dir,
        &cluster.data_dir,
        initdb_user().as_ref(),
        cluster.identity,
        &setup("acme", "right"),
    )
    .unwrap();
    cluster.write_config().unwrap();
    let mut server = Server::start(&cluster);
    let superuser = wait_ready(&cluster, PATIENCE).await.unwrap();

    let login =
        |user, password, database| connect(&cluster.socket_dir, cluster.port, user, password, database);
    login("odoo", Some("right"), "acme").await.unwrap();
    over_loopback(&cluster, "odoo", "right").await.unwrap();
    // Neither another password, nor the template's, nor none.
    for wrong in [Some("wrong"), Some("template"), None] {
        let error = login("odoo", wrong, "acme").await.unwrap_err();
        assert!(matches!(error, ConnectError::Refused { .. }) && error.unready().is_none(), "{error:?}");
    }
    over_loopback(&cluster, "odoo", "wrong").await.unwrap_err();
    over_loopback(&cluster, "heddle", "").await.unwrap_err();
    // Not even if somebody gave it a password.
    superuser.batch_execute("ALTER ROLE heddle PASSWORD 'known'").await.unwrap();
    over_loopback(&cluster, "heddle", "known").await.unwrap_err();

    if is_root() {
        let as_user = |uid: u32, gid: u32| {
            let output = Command::new(bin.program("psql"))
                .args(["-U", "heddle", "-d", "postgres", "-Atc", "SELECT 1", "-p", &cluster.port.to_string()])
                .arg("-h")
                .arg(&cluster.socket_dir)
                .env("PGPASSWORD", "known")
                .uid(uid)
                .gid(gid)
                .current_dir("/")
                .output()
                .unwrap();
            (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        for (uid, gid) in [(nobody.uid, nobody.gid), cluster.identity.map(|id| (id.uid, id.gid)).unwrap()] {
            let (entered, said) = as_user(uid, gid);
            assert!(!entered && said.contains("Peer authentication failed"), "{uid}: {said}");
        }
        // A stranger does not even reach the socket.
        let (entered, said) = as_user(2_099_999, 2_099_999);
        assert!(!entered && said.contains("Permission denied"), "{said}");
    } else {
        eprintln!("not root: logins of other users are not tried");
    }
    drop(superuser);
    assert!(server.stop().success());
    assert!(!server.log().contains("known") && !server.log().contains("SCRAM"), "{}", server.log());
}

#[tokio::test]
async fn a_tenants_role_has_its_database_and_nothing_else() {
    let (scratch, bin) = (Scratch::new(), binaries());
    let template = scratch.template().await;
    let cluster = scratch.cluster("acme", identity(1));
    make_sibling(
        &bin,
        &template.data_dir,
        &cluster.data_dir,
        initdb_user().as_ref(),
        cluster.identity,
        &setup("acme", "right"),
    )
    .unwrap();
    cluster.write_config().unwrap();
    let _server = Server::start(&cluster);
    drop(wait_ready(&cluster, PATIENCE).await.unwrap());

    let login = |database| connect(&cluster.socket_dir, cluster.port, "odoo", Some("right"), database);
    let own = login("acme").await.unwrap();
    for allowed in [
        "CREATE TABLE mine (id int)",
        "CREATE TEMP TABLE passing (id int)",
        "CREATE SCHEMA more",
        "INSERT INTO note VALUES ('x')",
    ] {
        own.batch_execute(allowed).await.unwrap();
    }
    for forbidden in [
        "ALTER ROLE odoo SUPERUSER",
        "ALTER ROLE odoo CREATEDB",
        "CREATE ROLE other",
        "CREATE DATABASE other",
        "SET ROLE heddle",
        "COPY note TO PROGRAM 'id'",
        "COPY note FROM PROGRAM 'id'",
        "COPY note TO '/tmp/note'",
        "SELECT pg_read_file('postgresql.conf')",
        "SELECT pg_ls_dir('.')",
        "SELECT rolpassword FROM pg_authid",
        "SELECT pg_switch_wal()",
        "SELECT pg_create_restore_point('x')",
        "ALTER SYSTEM SET archive_command = 'true'",
        "SET log_statement = 'all'",
        "CREATE EXTENSION file_fdw",
        "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'libc.so.6', 'abs'",
        "LOAD 'auto_explain'",
    ] {
        let error = own.batch_execute(forbidden).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert!(["42501", "0LP01"].contains(&error.code().code()), "{forbidden}: {error}");
    }
    // Odoo's bus listens here.
    let shared = login("postgres").await.unwrap();
    shared.batch_execute("LISTEN imbus").await.unwrap();
    for forbidden in ["CREATE TABLE x (id int)", "CREATE TEMP TABLE x (id int)", "CREATE SCHEMA x"] {
        shared.batch_execute(forbidden).await.unwrap_err();
    }
    login("template1").await.unwrap_err();
}

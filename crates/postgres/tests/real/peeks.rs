//! Peeks at databases that leave more doors open than Odoo does.

use postgres::{Cluster, Reader, configure_peek, lock_for_reading, verifier, wait_ready};
use tokio_postgres::{Client, Config, NoTls};

use crate::support::{PATIENCE, Scratch, Server, superuser};

const ROLE: &str = "heddle_peek";

const OPEN_DOORS: &str = "
    INSERT INTO note VALUES ('one'), ('two');
    GRANT ALL ON note TO PUBLIC;
    CREATE TABLE columns (id serial PRIMARY KEY, text text);
    GRANT INSERT (text), UPDATE (text) ON columns TO PUBLIC;
    GRANT ALL ON SEQUENCE columns_id_seq TO PUBLIC;
    CREATE SCHEMA more;
    GRANT ALL ON SCHEMA more, public TO PUBLIC;
    CREATE TABLE more.hidden (text text);
    INSERT INTO more.hidden VALUES ('three');
    CREATE FUNCTION write_note() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS
        'INSERT INTO note VALUES (''by function''); SELECT count(*) FROM note';
    CREATE PROCEDURE more.write_note() LANGUAGE sql SECURITY DEFINER AS 'INSERT INTO note VALUES (''by procedure'')';
    CREATE VIEW through AS SELECT text FROM note;
    GRANT ALL ON through TO PUBLIC;
    CREATE VIEW calls AS SELECT write_note();
    CREATE ROLE clerk LOGIN PASSWORD 'clerk';
    CREATE ROLE chief SUPERUSER LOGIN PASSWORD 'chief';
    GRANT ALL ON DATABASE template TO PUBLIC;
    ALTER DATABASE template SET default_transaction_read_only = off;
    SELECT lo_from_bytea(4711, 'large');
    ALTER SYSTEM SET listen_addresses = '*';
    ALTER SYSTEM SET archive_mode = on;
";

/// A cluster that was somebody's, and is a peek from here on.
async fn peek(scratch: &Scratch, doors: &str) -> (Cluster, Server, Vec<String>) {
    let cluster = scratch.template().await;
    {
        let mut server = Server::start(&cluster);
        drop(wait_ready(&cluster, PATIENCE).await.unwrap());
        let client = superuser(&cluster, "template").await;
        for door in doors.split(";\n") {
            client.batch_execute(door).await.unwrap_or_else(|error| panic!("{door}: {error:?}"));
        }
        drop(client);
        assert!(server.stop().success());
    }
    configure_peek(&cluster, ROLE, "template").unwrap();
    let server = Server::start(&cluster);
    let client = wait_ready(&cluster, PATIENCE).await.unwrap();
    let database = superuser(&cluster, "template").await;
    let verifier = verifier("right");
    let reader =
        Reader { role: ROLE, verifier: &verifier, database: "template", connections: 2, seconds: 600 };
    let left = lock_for_reading(&client, &database, &reader).await.unwrap();
    (cluster, server, left)
}

async fn login(
    cluster: &Cluster,
    user: &str,
    password: &str,
    database: &str,
) -> Result<Client, tokio_postgres::Error> {
    let mut config = Config::new();
    config.host("127.0.0.1").port(cluster.port).user(user).password(password).dbname(database);
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

#[tokio::test]
async fn open_doors_are_closed_before_anybody_looks() {
    let scratch = Scratch::new();
    let (cluster, mut server, left) = peek(&scratch, OPEN_DOORS).await;
    assert_eq!(left, Vec::<String>::new());
    let client = login(&cluster, ROLE, "right", "template").await.unwrap();
    client.batch_execute("SET default_transaction_read_only = off").await.unwrap();
    for writing in [
        "INSERT INTO note VALUES ('x')",
        "UPDATE note SET text = 'x'",
        "DELETE FROM note",
        "TRUNCATE note",
        "INSERT INTO columns (text) VALUES ('x')",
        "UPDATE columns SET text = 'x'",
        "SELECT nextval('columns_id_seq')",
        "INSERT INTO through VALUES ('x')",
        "SELECT write_note()",
        "SELECT * FROM calls",
        "CALL more.write_note()",
        "CREATE TABLE more.mine (id int)",
        "CREATE TABLE public.mine (id int)",
        "CREATE TEMP TABLE mine (id int)",
        "CREATE SCHEMA mine",
        "SELECT lo_put(4711, 0, 'x')",
        "SELECT lo_unlink(4711)",
        "SELECT lo_create(0)",
        "SELECT lowrite(lo_open(4711, 131072), 'x')",
    ] {
        let error = client.batch_execute(writing).await.expect_err(writing);
        assert_eq!(error.code().map(|code| code.code()), Some("42501"), "{writing}: {error}");
    }
    let texts = async |sql: &str| -> Vec<String> {
        client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    };
    assert_eq!(texts("SELECT text FROM note ORDER BY text").await, ["one", "two"]);
    assert_eq!(texts("SELECT text FROM more.hidden").await, ["three"]);
    assert_eq!(texts("SELECT convert_from(lo_get(4711), 'UTF8')").await, ["large"]);
    // Whoever reads all data reads this, too; and it is in nobody's hands for ever.
    let sql = "SELECT rolname::text FROM pg_authid WHERE rolpassword IS NOT NULL OR rolcanlogin ORDER BY 1";
    assert_eq!(texts(sql).await, ["heddle", ROLE]);
    let sql = format!("SELECT (rolvaliduntil > now())::text FROM pg_roles WHERE rolname = '{ROLE}'");
    assert_eq!(texts(&sql).await, ["true"]);
    assert_eq!(texts("SHOW listen_addresses").await, ["127.0.0.1"]);
    assert_eq!(texts("SHOW archive_mode").await, ["off"]);

    for (user, password, database) in [
        (ROLE, "wrong", "template"),
        (ROLE, "right", "postgres"),
        (ROLE, "right", "template1"),
        ("odoo", "template", "template"),
        ("clerk", "clerk", "template"),
        ("chief", "chief", "template"),
        ("heddle", "", "template"),
    ] {
        assert!(login(&cluster, user, password, database).await.is_err(), "{user} came in to {database}");
    }
    let _second = login(&cluster, ROLE, "right", "template").await.unwrap();
    let third = login(&cluster, ROLE, "right", "template").await.expect_err("a third one came in");
    assert_eq!(third.code().map(|code| code.code()), Some("53300"));
    assert!(server.stop().success());
    assert!(!server.log().contains("SCRAM"), "{}", server.log());
}

/// What somebody else than the owner has granted is not taken back by the owner.
#[tokio::test]
async fn a_door_that_stays_open_is_told() {
    let scratch = Scratch::new();
    let doors = "
        CREATE ROLE clerk;
        GRANT INSERT ON note TO clerk WITH GRANT OPTION;
        SET ROLE clerk;
        GRANT INSERT ON note TO PUBLIC";
    let (_, _server, left) = peek(&scratch, doors).await;
    assert_eq!(left, ["the relation note"]);
}

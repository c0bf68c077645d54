//! What control's role may do, and what it may not.

use crate::scratch::{PASSWORD, Scratch};

/// SQLSTATE of "permission denied".
const DENIED: &str = "42501";

#[tokio::test]
async fn control_is_a_lesser_role() {
    let scratch = Scratch::new().await;
    let admin = scratch.admin().await;
    let role = admin
        .query_one(
            "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls,
                    pg_has_role('heddle_control', 'heddle_owner', 'MEMBER'),
                    (SELECT NOT rolcanlogin FROM pg_roles WHERE rolname = 'heddle_owner'),
                    (SELECT rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE rolname = 'heddle_control')
             FROM pg_roles WHERE rolname = 'heddle_control'",
            &[],
        )
        .await
        .unwrap();
    assert!(!role.get::<_, bool>(0), "has a right it must not have");
    assert!(!role.get::<_, bool>(1), "is a member of the owner");
    assert!(role.get::<_, bool>(2), "the owner can log in");
    assert!(role.get::<_, bool>(3), "the password is not kept as a SCRAM verifier");
    let foreign: i64 = admin
        .query_one(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'ops' AND tableowner <> 'heddle_owner'",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    assert_eq!(foreign, 0, "a table is not the owner's");
}

#[tokio::test]
async fn control_is_refused_what_is_not_its_work() {
    // Migrated itself: a copy would not have the database's own rights.
    let scratch = Scratch::empty().await;
    let turn = scratch.migrating();
    database::migrate::migrate_at(&scratch.admin_url(), PASSWORD).await.unwrap();
    drop(turn);
    let control = scratch.control().await;
    for sql in [
        "CREATE TABLE ops.mine (id int)",
        "CREATE TABLE public.mine (id int)",
        "CREATE TEMPORARY TABLE mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE ROLE mine",
        "ALTER TABLE ops.tenants DISABLE TRIGGER ALL",
        "DROP TABLE ops.run_events",
        "DELETE FROM ops.run_events",
        "UPDATE ops.run_events SET message = ''",
        "TRUNCATE ops.run_events",
        "TRUNCATE ops.leases",
        "DELETE FROM ops.base_backups",
        "UPDATE ops.base_backups SET size = 0",
        "DELETE FROM ops.tenants",
        "UPDATE ops.tenants SET ordinal = DEFAULT",
        "UPDATE ops.lineages SET timeline = 2",
        "DELETE FROM ops.runs",
        "UPDATE ops.schema_migrations SET checksum = ''",
        "SELECT setval('ops.fences', 1)",
        "SET ROLE heddle_owner",
        "COPY ops.users TO PROGRAM 'cat'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT rolpassword FROM pg_authid",
    ] {
        let refused = control.batch_execute(sql).await.expect_err(sql);
        assert_eq!(refused.code().map(|code| code.code()), Some(DENIED), "{sql}: {refused:?}");
    }
}

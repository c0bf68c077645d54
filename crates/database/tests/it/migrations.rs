//! Migrations against a real PostgreSQL.

use crate::scratch::{PASSWORD, Scratch};
use database::Error;
use database::migrate::migrate_at;

#[tokio::test]
async fn twice_changes_nothing_the_second_time() {
    let scratch = Scratch::empty().await;
    let _turn = scratch.migrating();
    let first = migrate_at(&scratch.admin_url(), PASSWORD).await.unwrap();
    assert_eq!(first.applied.first(), Some(&"0001_projects"));
    let second = migrate_at(&scratch.admin_url(), PASSWORD).await.unwrap();
    assert!(second.applied.is_empty());
    database::Pool::connect(&scratch.url(), database::Sizes::each(1)).await.unwrap();
}

#[tokio::test]
async fn two_at_once_apply_each_migration_once() {
    let scratch = Scratch::empty().await;
    let _turn = scratch.migrating();
    let url = scratch.admin_url();
    let (one, two) = tokio::join!(migrate_at(&url, PASSWORD), migrate_at(&url, PASSWORD));
    let (one, two) = (one.unwrap().applied.len(), two.unwrap().applied.len());
    assert!(one == 0 || two == 0, "both applied: {one} and {two}");
    assert!(one + two > 0);
}

#[tokio::test]
async fn a_database_that_was_not_migrated_is_refused() {
    let scratch = Scratch::empty().await;
    let admin = scratch.admin().await;
    admin.batch_execute("CREATE SCHEMA ops; GRANT USAGE ON SCHEMA ops TO heddle_control").await.unwrap();
    let refused = database::Pool::connect(&scratch.url(), database::Sizes::each(1)).await.err().unwrap();
    assert!(matches!(refused, Error::Older { found: 0, .. }), "{refused}");
}

#[tokio::test]
async fn a_newer_database_is_refused_and_left_alone() {
    let scratch = Scratch::new().await;
    let admin = scratch.admin().await;
    let newer = "INSERT INTO ops.schema_migrations VALUES (999, '0999_later', '\\x00')";
    admin.batch_execute(newer).await.unwrap();
    let refused = migrate_at(&scratch.admin_url(), "another password").await.unwrap_err();
    assert!(refused.to_string().contains("a newer one has migrated it"), "{refused}");
    // Nor was the role's password changed: it still connects, and is refused.
    let refused = database::Pool::connect(&scratch.url(), database::Sizes::each(1)).await.err().unwrap();
    assert!(matches!(refused, Error::Newer { found: 999, .. }), "{refused}");
}

#[tokio::test]
async fn a_changed_migration_is_refused() {
    let scratch = Scratch::new().await;
    let admin = scratch.admin().await;
    let change = "UPDATE ops.schema_migrations SET checksum = '\\x00' WHERE number = 2";
    admin.batch_execute(change).await.unwrap();
    let refused = migrate_at(&scratch.admin_url(), PASSWORD).await.unwrap_err();
    assert!(matches!(&refused, Error::Changed { name } if name == "0002_tenants"), "{refused}");
    let refused = database::Pool::connect(&scratch.url(), database::Sizes::each(1)).await.err().unwrap();
    assert!(matches!(refused, Error::Changed { .. }), "{refused}");
}

#[tokio::test]
async fn excess_rights_of_the_lesser_role_are_refused() {
    let scratch = Scratch::empty().await;
    let _turn = scratch.migrating();
    let admin = scratch.admin().await;
    admin.batch_execute("ALTER ROLE heddle_control CREATEDB").await.unwrap();
    let refused = migrate_at(&scratch.admin_url(), PASSWORD).await;
    admin.batch_execute("ALTER ROLE heddle_control NOCREATEDB").await.unwrap();
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("may create databases"), "{refused}");
}

//! Who may set secrets, and that nobody reads them over SQL.

use crate::people::*;

const DENIED: &str = "42501";

#[tokio::test]
async fn administrators_set_secrets_and_nobody_reads_them() {
    let people = People::new().await;
    let key = format!(
        "INSERT INTO ops.data_keys (id, project_id, wrapped, wrapped_by)
         VALUES ('{PROJECT}', '{PROJECT}', decode(repeat('ab', 60), 'hex'), '00112233')"
    );
    people.platform().await.ask(&key).await.unwrap();
    let set = |name: &str| {
        format!(
            "WITH made AS (INSERT INTO ops.secrets (id, project_id, name) VALUES (gen_random_uuid(), '{PROJECT}', '{name}')
                           RETURNING id)
             SELECT id FROM made"
        )
    };
    let value = |secret: &str| {
        format!(
            "INSERT INTO ops.secret_versions (secret_id, version, data_key_id, sealed, fingerprint)
             VALUES ('{secret}', 1, '{PROJECT}', decode(repeat('cd', 40), 'hex'), '0011223344556677')"
        )
    };
    let ada = people.acting(ADMIN).await;
    let secret = ada.one(&set("TOKEN")).await;
    ada.ask(&value(&secret)).await.unwrap();
    for user in [DEVELOPER, TESTER, STRANGER] {
        let acting = people.acting(user).await;
        acting.refused(DENIED, &set("OTHER")).await;
        acting.refused(DENIED, &value(&secret)).await;
        assert!(
            acting.ask("UPDATE ops.secrets SET removed_at = now() RETURNING id").await.unwrap().is_empty()
        );
        assert!(acting.ask("DELETE FROM ops.secret_versions RETURNING secret_id").await.unwrap().is_empty());
    }
    assert_eq!(people.acting(TESTER).await.ask("SELECT name FROM ops.secrets").await.unwrap().len(), 1);
    assert!(people.acting(STRANGER).await.ask("SELECT name FROM ops.secrets").await.unwrap().is_empty());
    for user in [OWNER, ADMIN, DEVELOPER, STRANGER, OPERATOR] {
        let acting = people.acting(user).await;
        for sql in [
            "SELECT sealed FROM ops.secret_versions",
            "SELECT * FROM ops.secret_versions",
            "SELECT count(*) FROM ops.secret_versions WHERE sealed IS NOT NULL",
            "DELETE FROM ops.secret_versions RETURNING sealed",
            "UPDATE ops.secret_versions SET sealed = sealed",
            "SELECT wrapped FROM ops.data_keys",
            "SELECT count(*) FROM ops.data_keys",
            "UPDATE ops.data_keys SET wrapped_by = wrapped_by",
            "SELECT stamp FROM ops.secrets_changed",
            "UPDATE ops.secrets_changed SET stamp = 0",
        ] {
            acting.refused(DENIED, sql).await;
        }
    }
    // Who set it cannot be said to be another.
    ada.refused(DENIED, "UPDATE ops.secret_versions SET set_by = 'user:x'").await;
    let by: String = people.read("SELECT set_by FROM ops.secret_versions").await;
    assert_eq!(by, format!("user:{ADMIN}"));
    // A value in the scope of another project, or a scope across two.
    let across = format!(
        "INSERT INTO ops.secrets (id, project_id, environment_id, name)
         VALUES (gen_random_uuid(), '{OTHER_PROJECT}', '{PRODUCTION}', 'TOKEN')"
    );
    people.acting(STRANGER).await.refused("23503", &across).await;
    let tenant = format!(
        "INSERT INTO ops.secrets (id, project_id, environment_id, tenant_id, name)
         VALUES (gen_random_uuid(), '{PROJECT}', '{STAGING}', '{TENANT}', 'TOKEN')"
    );
    ada.refused("23503", &tenant).await;
}

/// Each change moves the stamp when it is committed, and not before.
#[tokio::test]
async fn a_change_is_noticed_when_it_is_there() {
    let people = People::new().await;
    let stamp = "SELECT stamp FROM ops.secrets_changed";
    assert_eq!(people.read::<i64>(stamp).await, 0);
    let mut other = people.scratch.admin().await;
    let transaction = other.transaction().await.unwrap();
    let sql = format!(
        "INSERT INTO ops.data_keys (id, project_id, wrapped, wrapped_by)
             VALUES ('{PROJECT}', '{PROJECT}', decode(repeat('ab', 60), 'hex'), '00112233');
         INSERT INTO ops.secrets (id, project_id, name) VALUES ('{PROJECT}', '{PROJECT}', 'TOKEN');
         INSERT INTO ops.secret_versions (secret_id, version, data_key_id, sealed, fingerprint)
             VALUES ('{PROJECT}', 1, '{PROJECT}', decode(repeat('cd', 40), 'hex'), '0011223344556677')"
    );
    transaction.batch_execute(&sql).await.unwrap();
    assert_eq!(people.read::<i64>(stamp).await, 0);
    transaction.commit().await.unwrap();
    assert_eq!(people.read::<i64>(stamp).await, 1);
    people.admin.batch_execute("DELETE FROM ops.secret_versions").await.unwrap();
    assert_eq!(people.read::<i64>(stamp).await, 2);
}

//! Approvals: who is asked, who may decide, and that it stays decided.

use uuid::Uuid;

use crate::people::*;

const DENIED: &str = "42501";
const MISSING: &str = "HD001";
const STATE: &str = "HD002";
const FORBIDDEN: &str = "HD003";

async fn policy(people: &People, act: &str, place: &str, approvals: i32) {
    let (environment, stage) = match place {
        "" => ("NULL".to_owned(), "NULL".to_owned()),
        place if place.len() == 36 => (format!("'{place}'"), "NULL".to_owned()),
        stage => ("NULL".to_owned(), format!("'{stage}'")),
    };
    let sql = format!(
        "INSERT INTO ops.policies (id, project_id, act, environment_id, stage, approvals)
         VALUES (gen_random_uuid(), '{PROJECT}', '{act}', {environment}, {stage}, {approvals})"
    );
    people.acting(OWNER).await.ask(&sql).await.expect("make a policy");
}

/// Asks for a restore of a tenant; the run.
async fn restore(acting: &Acting, people: &People, tenant: Uuid) -> Uuid {
    let (run, restore) = (Uuid::now_v7(), Uuid::now_v7());
    people
        .admin
        .batch_execute(&format!(
            "INSERT INTO ops.restores (id, tenant_id, state, at) VALUES ('{restore}', '{tenant}', 'planning', now())"
        ))
        .await
        .unwrap();
    let sql = format!(
        "SELECT outcome FROM ops.queue_runs(ARRAY['{run}']::uuid[], ARRAY['{PROJECT}']::uuid[], ARRAY['restore'],
             tenants => ARRAY['{tenant}']::uuid[], restores => ARRAY['{restore}']::uuid[])"
    );
    assert!(acting.ask(&sql).await.expect("queue a restore").is_empty());
    run
}

async fn state(people: &People, run: Uuid) -> String {
    people.read(&format!("SELECT state || ' ' || approval FROM ops.runs WHERE id = '{run}'")).await
}

async fn approval_of(people: &People, run: Uuid) -> Uuid {
    people
        .read(&format!("SELECT id FROM ops.approvals WHERE run_id = '{run}' ORDER BY asked_at DESC LIMIT 1"))
        .await
}

fn decide(approval: Uuid, decision: &str) -> String {
    format!("SELECT ops.decide_approval('{approval}', '{decision}', 'because')")
}

async fn settle(people: &People, approval: Uuid) -> Vec<Option<String>> {
    people
        .platform()
        .await
        .ask(&format!("SELECT reason FROM ops.settle_approval('{approval}')"))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_run_waits_until_somebody_else_has_approved_it() {
    let people = People::new().await;
    policy(&people, "restore", "production", 1).await;
    let dev = people.acting(DEVELOPER).await;
    let run = restore(&dev, &people, TENANT).await;
    assert_eq!(state(&people, run).await, "waiting pending");
    let ready = format!("SELECT count(*) FROM ops.run_ready WHERE run_id = '{run}'");
    assert_eq!(people.read::<i64>(&ready).await, 0);
    let said: String =
        people.read(&format!("SELECT message FROM ops.run_events WHERE run_id = '{run}'")).await;
    assert!(said.starts_with("waits for one approval of owner or admin (ada, grace, olga) until "), "{said}");
    let approval = approval_of(&people, run).await;
    assert_eq!(
        dev.one(&format!("SELECT array_to_string(ops.deciders('{approval}'), ', ')")).await,
        "ada, grace, olga"
    );

    // Not who asked, by whatever way; not who is not in the role; not a stranger; not nobody.
    dev.refused(FORBIDDEN, &decide(approval, "approve")).await;
    let key = people.key(201, Some(DEVELOPER), "read,operate").await;
    people.with_key(key).await.refused(FORBIDDEN, &decide(approval, "approve")).await;
    people.acting(TESTER).await.refused(FORBIDDEN, &decide(approval, "approve")).await;
    people.acting(STRANGER).await.refused(MISSING, &decide(approval, "approve")).await;
    let nobodys = people.key(202, None, "read,test,develop,operate,administer,own").await;
    people.with_key(nobodys).await.refused(FORBIDDEN, &decide(approval, "approve")).await;
    let narrow = people.key(203, Some(ADMIN), "read,develop").await;
    people.with_key(narrow).await.refused(FORBIDDEN, &decide(approval, "approve")).await;
    people.acting(ADMIN).await.refused(DENIED, &format!("SELECT ops.settle_approval('{approval}')")).await;
    people.acting(ADMIN).await.refused(DENIED, "UPDATE ops.approvals SET state = 'granted'").await;
    people
        .acting(ADMIN)
        .await
        .refused(
            DENIED,
            "INSERT INTO ops.approval_decisions SELECT id, requester_id, 'approve' FROM ops.approvals",
        )
        .await;
    assert!(settle(&people, approval).await.is_empty());
    assert_eq!(state(&people, run).await, "waiting pending");

    let wide = people.key(204, Some(ADMIN), "read,operate").await;
    assert_eq!(people.with_key(wide).await.one(&decide(approval, "approve")).await, "granted");
    people.acting(OWNER).await.refused(STATE, &decide(approval, "refuse")).await;
    assert_eq!(settle(&people, approval).await, [Some("approved by ada: because".to_owned())]);
    assert!(settle(&people, approval).await.is_empty());
    assert_eq!(state(&people, run).await, "queued granted");
    assert_eq!(people.read::<i64>(&ready).await, 1);
}

#[tokio::test]
async fn without_a_policy_nobody_is_asked() {
    let people = People::new().await;
    let dev = people.acting(DEVELOPER).await;
    assert_eq!(state(&people, restore(&dev, &people, TENANT).await).await, "queued none");
    policy(&people, "restore", "production", 1).await;
    // Elsewhere, of another kind, and by control itself.
    assert_eq!(state(&people, restore(&dev, &people, TEST_TENANT).await).await, "queued none");
    people.admin.batch_execute("UPDATE ops.runs SET state = 'cancelled', ended_at = now()").await.unwrap();
    assert_eq!(state(&people, restore(&people.platform().await, &people, TENANT).await).await, "queued none");
    assert_eq!(people.read::<i64>("SELECT count(*) FROM ops.approvals").await, 0);
}

#[tokio::test]
async fn the_nearest_policy_counts() {
    let people = People::new().await;
    let needed = async |environment: Uuid| -> i64 {
        people
            .read(&format!(
                "SELECT COALESCE((SELECT approvals FROM ops.policy_for('restore', '{PROJECT}', '{environment}')), 0)::bigint"
            ))
            .await
    };
    policy(&people, "restore", "", 3).await;
    assert_eq!((needed(PRODUCTION).await, needed(STAGING).await), (3, 3));
    policy(&people, "restore", "production", 2).await;
    assert_eq!((needed(PRODUCTION).await, needed(STAGING).await), (2, 3));
    policy(&people, "restore", &STAGING.to_string(), 0).await;
    assert_eq!((needed(PRODUCTION).await, needed(STAGING).await), (2, 0));
    policy(&people, "restore", &PRODUCTION.to_string(), 1).await;
    assert_eq!(needed(PRODUCTION).await, 1);
}

#[tokio::test]
async fn as_many_different_people_as_are_needed() {
    let people = People::new().await;
    policy(&people, "restore", "production", 2).await;
    let run = restore(&people.acting(DEVELOPER).await, &people, TENANT).await;
    let approval = approval_of(&people, run).await;
    let ada = people.acting(ADMIN).await;
    assert_eq!(ada.one(&decide(approval, "approve")).await, "pending");
    ada.refused(STATE, &decide(approval, "approve")).await;
    let adas = people.key(205, Some(ADMIN), "read,operate").await;
    people.with_key(adas).await.refused(STATE, &decide(approval, "refuse")).await;
    assert_eq!(
        ada.one(&format!("SELECT array_to_string(ops.deciders('{approval}'), ', ')")).await,
        "grace, olga"
    );
    // An operator stands in for any role.
    assert_eq!(people.acting(OPERATOR).await.one(&decide(approval, "approve")).await, "granted");
}

#[tokio::test]
async fn of_many_at_once_each_counts_once() {
    let people = People::new().await;
    policy(&people, "restore", "production", 3).await;
    let run = restore(&people.acting(DEVELOPER).await, &people, TENANT).await;
    let approval = approval_of(&people, run).await;
    let mut deciding = tokio::task::JoinSet::new();
    for user in [OWNER, ADMIN, SECOND_ADMIN, OPERATOR] {
        for _ in 0..2 {
            let acting = people.acting(user).await;
            deciding.spawn(async move { acting.ask(&decide(approval, "approve")).await.ok() });
        }
    }
    let answers: Vec<_> = deciding.join_all().await.into_iter().flatten().flatten().flatten().collect();
    assert_eq!(answers.iter().filter(|answer| *answer == "granted").count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| *answer == "pending").count(), 2, "{answers:?}");
    let kept = format!("SELECT count(*) FROM ops.approval_decisions WHERE approval_id = '{approval}'");
    assert_eq!(people.read::<i64>(&kept).await, 3);
}

#[tokio::test]
async fn a_refusal_ends_the_run_and_a_retry_asks_again() {
    let people = People::new().await;
    policy(&people, "restore", "production", 2).await;
    let dev = people.acting(DEVELOPER).await;
    let run = restore(&dev, &people, TENANT).await;
    let first = approval_of(&people, run).await;
    assert_eq!(people.acting(OWNER).await.one(&decide(first, "approve")).await, "pending");
    assert_eq!(people.acting(ADMIN).await.one(&decide(first, "refuse")).await, "refused");
    assert_eq!(settle(&people, first).await, [Some("refused by ada: because".to_owned())]);
    assert_eq!(state(&people, run).await, "cancelled refused");
    let reason: String = people.read(&format!("SELECT reason FROM ops.runs WHERE id = '{run}'")).await;
    assert_eq!(reason, "refused by ada: because");
    dev.ask(&format!("SELECT ops.retry_run('{run}')")).await.unwrap();
    assert_eq!(state(&people, run).await, "waiting pending");
    let second = approval_of(&people, run).await;
    assert_ne!(first, second);
    // What was decided of the first is not of the second.
    assert_eq!(people.acting(ADMIN).await.one(&decide(second, "approve")).await, "pending");
    assert_eq!(people.acting(OWNER).await.one(&decide(second, "approve")).await, "granted");
    settle(&people, second).await;
    assert_eq!(state(&people, run).await, "queued granted");
}

#[tokio::test]
async fn a_run_that_ends_withdraws_what_it_asked() {
    let people = People::new().await;
    policy(&people, "restore", "production", 1).await;
    let dev = people.acting(DEVELOPER).await;
    let run = restore(&dev, &people, TENANT).await;
    let approval = approval_of(&people, run).await;
    dev.ask(&format!("SELECT ops.cancel_run('{run}')")).await.unwrap();
    let state: String =
        people.read(&format!("SELECT state FROM ops.approvals WHERE id = '{approval}'")).await;
    assert_eq!(state, "withdrawn");
    people.acting(ADMIN).await.refused(STATE, &decide(approval, "approve")).await;
}

#[tokio::test]
async fn what_nobody_decides_on_expires() {
    let people = People::new().await;
    policy(&people, "restore", "production", 1).await;
    people.admin.batch_execute("UPDATE ops.policies SET expires_after = 60").await.unwrap();
    let run = restore(&people.acting(DEVELOPER).await, &people, TENANT).await;
    let approval = approval_of(&people, run).await;
    let platform = people.platform().await;
    assert_eq!(platform.one("SELECT ops.expire_approvals()").await, "0");
    // A minute passes.
    let back = "ALTER TABLE ops.approvals DISABLE TRIGGER stays;
                UPDATE ops.approvals SET asked_at = asked_at - interval '61 s', expires_at = expires_at - interval '61 s';
                ALTER TABLE ops.approvals ENABLE TRIGGER stays";
    people.admin.batch_execute(back).await.unwrap();
    let late = people.acting(ADMIN).await.refused(STATE, &decide(approval, "approve")).await;
    assert!(late.contains("expired"), "{late}");
    assert_eq!(platform.one("SELECT ops.expire_approvals()").await, "1");
    assert_eq!(settle(&people, approval).await, [Some("nobody approved it in time".to_owned())]);
    assert_eq!(state(&people, run).await, "cancelled refused");
}

#[tokio::test]
async fn an_act_without_a_run_is_granted_once_and_for_one_thing() {
    let people = People::new().await;
    policy(&people, "archive_tenant", "production", 1).await;
    let ask = |what: &str| {
        format!(
            "SELECT state || ' ' || COALESCE(approval::text, '') FROM ops.ask_approval('archive_tenant', '{PROJECT}',
                 '{PRODUCTION}', '{what}', 'archive {what}')"
        )
    };
    let dev = people.acting(DEVELOPER).await;
    let asked = dev.one(&ask("acme")).await;
    let approval: Uuid = asked.strip_prefix("pending ").unwrap().parse().unwrap();
    assert_eq!(dev.one(&ask("acme")).await, asked, "asked twice, it is one question");
    assert_ne!(dev.one(&ask("globex")).await, asked);
    // Somebody else's question is another one.
    assert_ne!(people.acting(OWNER).await.one(&ask("acme")).await, asked);
    let use_it = format!("SELECT ops.use_approval('{approval}')");
    dev.refused(STATE, &use_it).await;
    assert_eq!(people.acting(ADMIN).await.one(&decide(approval, "approve")).await, "granted");
    assert_eq!(dev.one(&ask("acme")).await, format!("granted {approval}"));
    people.acting(OWNER).await.refused(STATE, &use_it).await;
    dev.one(&use_it).await;
    dev.refused(STATE, &use_it).await;
    assert!(dev.one(&ask("acme")).await.starts_with("pending "), "it was granted once");
    people.acting(STRANGER).await.refused(MISSING, &ask("acme")).await;
    assert_eq!(people.platform().await.one(&ask("acme")).await, "none ");
    // A refused one may be asked again.
    let again: Uuid = dev.one(&ask("acme")).await.strip_prefix("pending ").unwrap().parse().unwrap();
    assert_eq!(people.acting(ADMIN).await.one(&decide(again, "refuse")).await, "refused");
    assert!(dev.one(&ask("acme")).await.starts_with("pending "));
}

#[tokio::test]
async fn what_was_decided_stays_whoever_tries() {
    let people = People::new().await;
    policy(&people, "restore", "production", 1).await;
    let run = restore(&people.acting(DEVELOPER).await, &people, TENANT).await;
    let approval = approval_of(&people, run).await;
    let refused = async |sql: &str| {
        let error = people.admin.batch_execute(sql).await.expect_err(sql);
        assert_eq!(error.code().unwrap().code(), STATE, "{sql}: {error:?}");
    };
    for sql in [
        "UPDATE ops.approvals SET requester = 'user:x'",
        "UPDATE ops.approvals SET needed = 1, requester_id = NULL",
        "UPDATE ops.approvals SET expires_at = now() + interval '9 days'",
        "DELETE FROM ops.approvals",
        "TRUNCATE ops.approvals CASCADE",
    ] {
        refused(sql).await;
    }
    people.acting(ADMIN).await.one(&decide(approval, "approve")).await;
    settle(&people, approval).await;
    for sql in [
        "UPDATE ops.approvals SET state = 'refused'",
        "UPDATE ops.approvals SET state = 'pending', decided_at = NULL, settled_at = NULL",
        "UPDATE ops.approvals SET decided_at = now() + interval '1 s'",
        "UPDATE ops.approvals SET settled_at = NULL",
        "UPDATE ops.approval_decisions SET decision = 'refuse'",
        "UPDATE ops.approval_decisions SET note = 'another'",
        "DELETE FROM ops.approval_decisions",
        "TRUNCATE ops.approval_decisions",
        "DELETE FROM ops.approvals",
    ] {
        refused(sql).await;
    }
}

#[tokio::test]
async fn policies_are_their_projects_administrators() {
    let people = People::new().await;
    policy(&people, "restore", "production", 1).await;
    let insert = format!(
        "INSERT INTO ops.policies (id, project_id, act, approvals) VALUES (gen_random_uuid(), '{PROJECT}', 'snapshot', 1)"
    );
    for user in [DEVELOPER, TESTER, STRANGER] {
        let acting = people.acting(user).await;
        acting.refused(DENIED, &insert).await;
        assert!(acting.ask("UPDATE ops.policies SET approvals = 0 RETURNING 1").await.unwrap().is_empty());
        assert!(acting.ask("DELETE FROM ops.policies RETURNING 1").await.unwrap().is_empty());
    }
    assert_eq!(people.acting(TESTER).await.ask("SELECT act FROM ops.policies").await.unwrap().len(), 1);
    assert!(people.acting(STRANGER).await.ask("SELECT act FROM ops.policies").await.unwrap().is_empty());
    // A policy of one project for another's environment.
    let foreign = format!(
        "INSERT INTO ops.policies (id, project_id, act, environment_id, approvals)
         VALUES (gen_random_uuid(), '{OTHER_PROJECT}', 'restore', '{PRODUCTION}', 1)"
    );
    people.acting(STRANGER).await.refused("23503", &foreign).await;
    people.acting(ADMIN).await.ask(&insert).await.unwrap();
    people.acting(ADMIN).await.refused("23505", &insert).await;
}

#[tokio::test]
async fn an_environment_that_has_ended_takes_no_tenant() {
    let people = People::new().await;
    let dev = people.acting(ADMIN).await;
    dev.ask(&format!("UPDATE ops.environments SET archived_at = now() WHERE id = '{STAGING}'"))
        .await
        .unwrap();
    let tenant = |environment: Uuid| {
        format!(
            "INSERT INTO ops.tenants (id, environment_id, name, subdomain, database, state, tier)
             VALUES (gen_random_uuid(), '{environment}', 'late', 'late', 'late', 'draft', 'basic')"
        )
    };
    dev.refused(STATE, &tenant(STAGING)).await;
    dev.ask(&tenant(PRODUCTION)).await.unwrap();
    // Its name is free again, and production's place as well.
    let again = format!(
        "INSERT INTO ops.environments (id, project_id, name, stage, build_id)
         VALUES (gen_random_uuid(), '{PROJECT}', 'test', 'staging', '{PROJECT}')"
    );
    dev.ask(&again).await.unwrap();
    dev.refused("23505", &again).await;
}

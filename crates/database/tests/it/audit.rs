//! What the triggers write down, and what they leave out.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::scratch::Scratch;

/// Every table of the schema is audited, or says why it is not.
#[tokio::test]
async fn every_table_is_audited_or_says_why_not() {
    let scratch = Scratch::new().await;
    let rows = scratch
        .admin()
        .await
        .query(
            "SELECT c.relname::text, COALESCE(obj_description(c.oid, 'pg_class'), ''),
                    ARRAY(SELECT t.tgname::text FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname LIKE 'audit\\_%'
                          ORDER BY 1)
             FROM pg_class c
             WHERE c.relnamespace = 'ops'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition",
            &[],
        )
        .await
        .unwrap();
    let (mut audited, mut not) = (0, 0);
    for row in &rows {
        let (table, comment, triggers): (String, String, Vec<String>) = (row.get(0), row.get(1), row.get(2));
        match comment.strip_prefix("not audited:") {
            Some(reason) => {
                assert!(reason.len() > 10, "{table} does not say why it is not audited");
                assert!(triggers.is_empty(), "{table} says that it is not audited, and is");
                not += 1;
            }
            None => {
                assert!(
                    triggers.contains(&"audit_created".to_owned()),
                    "{table} is not audited: {triggers:?}"
                );
                assert!(
                    triggers.contains(&"audit_removed".to_owned()),
                    "{table} is not audited: {triggers:?}"
                );
                audited += 1;
            }
        }
    }
    assert!(audited >= 16 && not >= 8, "{audited} audited, {not} not");
}

/// A migration that makes or changes a table calls `ops.audit_tables()` at its end.
#[tokio::test]
async fn the_triggers_know_every_column() {
    let scratch = Scratch::new().await;
    let admin = scratch.admin().await;
    let functions = "SELECT string_agg(pg_get_functiondef(p.oid), '' ORDER BY p.proname) FROM pg_proc p
                     WHERE p.pronamespace = 'ops'::regnamespace AND p.proname LIKE 'audit\\_of\\_%'";
    let before: String = admin.query_one(functions, &[]).await.unwrap().get(0);
    admin.batch_execute("SET ROLE heddle_owner; SELECT ops.audit_tables(); RESET ROLE").await.unwrap();
    let after: String = admin.query_one(functions, &[]).await.unwrap().get(0);
    assert!(before == after, "the last migration does not end with SELECT ops.audit_tables()");
}

/// Names that secrets have: none of them is a column whose values are shown.
#[tokio::test]
async fn no_secret_is_shown() {
    let scratch = Scratch::new().await;
    let admin = scratch.admin().await;
    let rows = admin
        .query(
            "SELECT p.proname::text, a.attname::text
             FROM pg_proc p
             JOIN pg_class c ON c.relnamespace = p.pronamespace AND 'audit_of_' || c.relname = p.proname
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             WHERE p.pronamespace = 'ops'::regnamespace
               AND (a.atttypid IN ('bytea'::regtype, 'jsonb'::regtype)
                    OR a.attname ~ '(hash|secret|token|csrf|cipher|password|nonce|key|payload)')
               AND a.atttypid NOT IN ('boolean'::regtype, 'uuid'::regtype, 'integer'::regtype, 'bigint'::regtype)
               -- As a value, it would stand there without a word on what it was before.
               AND pg_get_functiondef(p.oid) ~ format('build_array\\([on]\\.%I[,)]', a.attname)",
            &[],
        )
        .await
        .unwrap();
    let shown: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert!(shown.is_empty(), "{shown:?}");
}

#[tokio::test]
async fn nobody_changes_what_was_written_down() {
    let scratch = Scratch::new().await;
    let admin = scratch.admin().await;
    project(&admin, "demo").await;
    for sql in [
        "UPDATE ops.audit SET actor = 'nobody'",
        "DELETE FROM ops.audit",
        "TRUNCATE ops.audit",
        "UPDATE ops.audit_blocks SET number = 1",
        "DELETE FROM ops.audit_blocks",
        "TRUNCATE ops.audit_blocks",
    ] {
        for role in ["postgres", "heddle_owner", "heddle_control", "heddle_user", "heddle_worker"] {
            // Not even where other triggers are switched off.
            admin.batch_execute("SET session_replication_role = replica").await.unwrap();
            admin.batch_execute(&format!("SET ROLE {role}")).await.unwrap();
            let refused = admin.batch_execute(sql).await;
            admin.batch_execute("RESET ROLE").await.unwrap();
            let refused = refused.expect_err(&format!("{role}: {sql}"));
            assert_eq!(refused.code().map(|code| code.code()), Some("42501"), "{role}: {sql}: {refused:?}");
        }
    }
    let control = scratch.control().await;
    for sql in [
        "INSERT INTO ops.audit (act, subjects, detail) VALUES ('mine', '{}', '{}')",
        "UPDATE ops.audit_horizon SET marked = 0",
        "SELECT nextval('ops.audit_id_seq')",
    ] {
        let refused = control.batch_execute(sql).await.expect_err(sql);
        assert_eq!(refused.code().map(|code| code.code()), Some("42501"), "{sql}: {refused:?}");
    }
}

#[tokio::test]
async fn changes_say_who_and_what() {
    let scratch = Scratch::new().await;
    let admin = scratch.admin().await;
    let mut control = scratch.control().await;
    let project = project(&admin, "demo").await;
    // Past control: by the role's name.
    let seen = last(&admin).await;
    assert_eq!((&*seen.act, &*seen.actor, &*seen.via), ("projects.created", "role:postgres", "sql"));
    assert_eq!((seen.project, &seen.subjects[..]), (Some(project), &[project][..]));
    assert_eq!(seen.detail["name"], "demo");

    let (user, run, member) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    control.execute("INSERT INTO ops.users (id, login) VALUES ($1, 'ada')", &[&member]).await.unwrap();
    let seen = last(&admin).await;
    assert_eq!((&*seen.act, &*seen.actor, &*seen.via), ("users.created", "platform", "platform"));
    assert_eq!((seen.project, seen.detail["login"].as_str()), (None, Some("ada")));

    let transaction = control.transaction().await.unwrap();
    for (claim, value) in [
        ("user", user.to_string()),
        ("via", "session".into()),
        ("address", "192.0.2.7".into()),
        ("request", "r-1".into()),
        ("run", run.to_string()),
    ] {
        let set = "SELECT set_config('heddle.' || $1, $2, true)";
        transaction.execute(set, &[&claim, &value]).await.unwrap();
    }
    let add = "INSERT INTO ops.project_members (project_id, user_id, role) VALUES ($1, $2, 'tester')";
    transaction.execute(add, &[&project, &member]).await.unwrap();
    transaction.execute("UPDATE ops.project_members SET role = 'admin'", &[]).await.unwrap();
    // To what it is already: no change.
    transaction.execute("UPDATE ops.project_members SET role = 'admin'", &[]).await.unwrap();
    transaction.execute("UPDATE ops.users SET password_hash = '$argon2id$secret'", &[]).await.unwrap();
    transaction.execute("DELETE FROM ops.project_members", &[]).await.unwrap();
    transaction.commit().await.unwrap();
    let rows = since(&admin, seen.id).await;
    let acts: Vec<&str> = rows.iter().map(|row| &*row.act).collect();
    assert_eq!(
        acts,
        ["project_members.created", "project_members.changed", "users.changed", "project_members.removed"]
    );
    for row in &rows {
        assert_eq!((&row.actor, &*row.via), (&format!("user:{user}"), "session"));
        assert_eq!((row.address.as_deref(), row.request.as_deref()), (Some("192.0.2.7"), Some("r-1")));
        assert_eq!(row.run, Some(run));
    }
    assert_eq!(rows[0].project, Some(project));
    assert_eq!(rows[0].subjects.iter().collect::<BTreeSet<_>>(), BTreeSet::from([&member, &project]));
    assert_eq!(rows[1].detail, json!({"role": ["tester", "admin"]}));
    assert_eq!(rows[2].detail, json!({"password_hash": "changed"}));
    assert_eq!(rows[3].detail["role"], "admin");
}

#[tokio::test]
async fn a_thousand_runs_are_one_row_a_statement() {
    let scratch = Scratch::new().await;
    let admin = scratch.admin().await;
    let projects = [project(&admin, "one").await, project(&admin, "two").await];
    let build = "INSERT INTO ops.builds (id, project_id, state, odoo, addons, modules)
                 VALUES ($1, $2, 'building', '/opt/odoo', '{}', '{base}')";
    let mut before = 0;
    for (place, project) in projects.iter().enumerate() {
        let id = Uuid::now_v7();
        admin.execute(build, &[&id, project]).await.unwrap();
        before = last(&admin).await.id;
        let queue = "INSERT INTO ops.runs (id, kind, state, project_id, build_id, requester)
                     SELECT gen_random_uuid(), 'build', 'waiting', $1, $2, 'platform' FROM generate_series(1, 1000)";
        admin.execute(queue, &[project, &id]).await.unwrap();
        let rows = since(&admin, before).await;
        assert_eq!(rows.len(), 1, "of project {place}");
        assert_eq!((&*rows[0].act, rows[0].subjects.len()), ("runs.created", 1000));
        assert_eq!(rows[0].detail["state"], "waiting");
    }
    let newest = last(&admin).await.id;
    assert!(newest > before);
    // Of both at once: one for each project and change.
    let (progress, cancel) = (
        "UPDATE ops.runs SET progress = 0.5",
        "UPDATE ops.runs SET state = 'cancelled', ended_at = now(), reason = 'none of it is shown'",
    );
    admin.batch_execute(progress).await.unwrap();
    assert_eq!(since(&admin, newest).await.len(), 0, "progress is no state");
    admin.batch_execute(cancel).await.unwrap();
    let rows = since(&admin, newest).await;
    assert_eq!(rows.iter().map(|row| row.subjects.len()).collect::<Vec<_>>(), [1000, 1000]);
    assert!(rows.iter().all(|row| row.detail == json!({"state": ["waiting", "cancelled"]})), "{rows:?}");
    assert_eq!(
        rows.iter().map(|row| row.project.unwrap()).collect::<BTreeSet<_>>(),
        projects.into_iter().collect()
    );
}

#[tokio::test]
async fn refusals_are_written_down_within_bounds() {
    let scratch = Scratch::new().await;
    let admin = scratch.admin().await;
    let project = project(&admin, "theirs").await;
    let control = scratch.control().await;
    let refuse = async |user: Uuid, target: Option<&str>| -> bool {
        let claim = format!("BEGIN; SELECT set_config('heddle.user', '{user}', true)");
        control.batch_execute(&claim).await.unwrap();
        let refused = control.query_one("SELECT ops.audit_refusal('GET /p', $1)", &[&target]).await.unwrap();
        control.batch_execute("COMMIT").await.unwrap();
        refused.get(0)
    };
    let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
    assert!(refuse(one, Some("theirs")).await);
    let seen = last(&admin).await;
    assert_eq!((&*seen.act, seen.project, &seen.subjects[..]), ("refused", Some(project), &[project][..]));
    assert_eq!(seen.actor, format!("user:{one}"));
    assert_eq!(seen.detail, json!({"attempt": "GET /p", "target": "theirs"}));
    assert!(!refuse(one, Some("nobodys")).await, "what does not exist is nobody's");
    assert!(!refuse(one, Some(&Uuid::now_v7().to_string())).await);
    let mut recorded = 1;
    for _ in 0..40 {
        recorded += u32::from(refuse(one, Some(&project.to_string())).await);
    }
    assert_eq!(recorded, 31);
    assert_eq!(last(&admin).await.detail["bound"], "more of them are not recorded in this minute");
    assert!(refuse(other, None).await, "another one is not kept out by that");
}

/// What was written down, by id.
#[derive(Debug)]
struct Seen {
    id: i64,
    project: Option<Uuid>,
    actor: String,
    via: String,
    address: Option<String>,
    request: Option<String>,
    run: Option<Uuid>,
    act: String,
    subjects: Vec<Uuid>,
    detail: Value,
}

async fn since(admin: &Client, id: i64) -> Vec<Seen> {
    let rows = admin
        .query(
            "SELECT id, project_id, actor, via, address, request, run_id, act, subjects, detail
             FROM ops.audit WHERE id > $1 ORDER BY id",
            &[&id],
        )
        .await
        .unwrap();
    rows.iter()
        .map(|row| Seen {
            id: row.get(0),
            project: row.get(1),
            actor: row.get(2),
            via: row.get(3),
            address: row.get(4),
            request: row.get(5),
            run: row.get(6),
            act: row.get(7),
            subjects: row.get(8),
            detail: row.get(9),
        })
        .collect()
}

async fn last(admin: &Client) -> Seen {
    since(admin, 0).await.pop().expect("something was written down")
}

async fn project(admin: &Client, name: &str) -> Uuid {
    let id = Uuid::now_v7();
    admin.execute("INSERT INTO ops.projects (id, name) VALUES ($1, $2)", &[&id, &name]).await.unwrap();
    id
}

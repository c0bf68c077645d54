//! The audit over the API: who did what, and who was refused.

use axum::http::{Method, StatusCode};
use control::reconcile::audit;
use control::{AuditKey, Control, Settings, Verifier};
use protocol::api::Page;
use protocol::audit::{AuditBlocks, AuditChains, AuditRow};
use serde_json::{Value, json};

use crate::site::Site;

async fn rows(site: &Site, query: &str) -> Vec<AuditRow> {
    site.get(&format!("/api/v1/audit{query}")).await.good::<Page<AuditRow>>().items
}

#[tokio::test]
async fn changes_say_through_what_and_in_which_request() {
    let site = Site::new().await;
    site.with_environment().await;
    let made = rows(&site, "?act=projects.created").await;
    assert_eq!(made.len(), 1);
    assert!(made[0].actor.starts_with("key:") && made[0].via == "api_key", "{made:?}");
    assert_eq!(made[0].actor_name.as_deref(), Some("tests"));
    assert_eq!(made[0].project_name.as_deref(), Some("demo"));
    assert!(made[0].request.as_deref().is_some_and(|id| id.len() == 36), "{made:?}");
    // What the worker reports is the worker's, and led to by its run.
    let built = rows(&site, "?act=builds.changed&project=demo").await;
    assert_eq!(built.len(), 1);
    assert!(built[0].actor.starts_with("worker:") && built[0].run.is_some(), "{built:?}");
    let run = built[0].run.unwrap();
    assert!(rows(&site, &format!("?subject={run}")).await.iter().any(|row| row.act == "runs.created"));
    assert_eq!(rows(&site, "?limit=1").await.len(), 1);
    let all = rows(&site, "").await;
    let older = rows(&site, &format!("?after={}", all[2].id)).await;
    assert_eq!(older[0].id, all[3].id);
    assert!(rows(&site, "?since=2099-01-01T00:00:00Z").await.is_empty());
}

#[tokio::test]
async fn bad_questions_are_answered() {
    let site = Site::new().await;
    for (query, status) in [
        ("/audit?limit=0", StatusCode::BAD_REQUEST),
        ("/audit?limit=1001", StatusCode::BAD_REQUEST),
        ("/audit?after=x", StatusCode::BAD_REQUEST),
        ("/audit?since=yesterday", StatusCode::BAD_REQUEST),
        ("/audit?project=nobodys", StatusCode::NOT_FOUND),
        ("/audit?subject=nobody", StatusCode::NOT_FOUND),
        ("/audit/blocks", StatusCode::BAD_REQUEST),
        ("/audit/blocks?project=nobodys", StatusCode::NOT_FOUND),
        ("/audit/blocks?project=-&after=-1", StatusCode::BAD_REQUEST),
    ] {
        let answered = site.get(&format!("/api/v1{query}")).await;
        assert_eq!(answered.status, status, "{query}: {}", answered.text);
        answered.problem();
    }
}

#[tokio::test]
async fn a_chain_is_fetched_and_checked() {
    let site = Site::new().await;
    site.with_environment().await;
    let key = AuditKey::parse(&AuditKey::draw().unwrap()).unwrap();
    let settings = Settings { audit_key: Some(key.clone()), ..Settings::default() };
    let sealer = Control::connect(&site.scratch.url(), settings).await.unwrap();
    // Other tests' transactions on the same server may be in the way for a moment.
    let blocks = loop {
        audit::tick(&sealer).await.unwrap();
        let blocks: AuditBlocks = site.get("/api/v1/audit/blocks?project=demo").await.good();
        if blocks.unsealed == 0 {
            break blocks;
        }
    };
    assert!(!blocks.more && !blocks.items.is_empty());
    let chains: AuditChains = site.get("/api/v1/audit/chains").await.good();
    let names: Vec<_> = chains.items.iter().map(|chain| chain.name.as_deref()).collect();
    assert!(names.contains(&Some("demo")) && names.contains(&None), "{names:?}");
    let head = chains.items.iter().find(|chain| chain.name.is_some()).unwrap().head.clone();
    let mut verifier = Verifier::new(head.project, &[key.public()], std::slice::from_ref(&head));
    for sealed in &blocks.items {
        verifier.block(&sealed.block, &sealed.rows);
    }
    let verified = verifier.end(0);
    assert!(verified.sound() && verified.rows == head.rows, "{verified:?}");
}

#[tokio::test]
async fn refused_attempts_are_written_down() {
    let site = Site::new().await;
    site.with_environment().await;
    site.post("/api/v1/projects", json!({"name": "theirs"})).await.good::<Value>();
    // A key of somebody who is in the other project alone.
    let sql = "INSERT INTO ops.users (id, login) VALUES ('01900000-0000-7000-8000-000000000001', 'eve');
               INSERT INTO ops.project_members (project_id, user_id, role)
               SELECT id, '01900000-0000-7000-8000-000000000001', 'owner' FROM ops.projects WHERE name = 'theirs';
               INSERT INTO ops.api_keys (id, name, prefix, secret_hash, user_id)
               VALUES ('01900000-0000-7000-8000-000000000002', 'eves', 'eveskey', sha256('secret'),
                       '01900000-0000-7000-8000-000000000001')";
    site.scratch.admin().await.batch_execute(sql).await.unwrap();
    let key = "hk_eveskey_secret";
    let mut tried = Vec::new();
    for (method, path) in [
        (Method::GET, "/api/v1/projects/demo"),
        (Method::GET, "/api/v1/environments/demo/production"),
        (Method::GET, "/api/v1/projects/nobodys"),
    ] {
        let answered = site.send(site.request(method.clone(), path, key, None)).await;
        assert_eq!(answered.status, StatusCode::NOT_FOUND, "{path}: {}", answered.text);
        if !path.contains("nobodys") {
            tried.push(answered.header("x-request-id").to_owned());
        }
    }
    let answered = site.send(site.request(Method::GET, "/api/v1/projects/theirs", key, None)).await;
    assert!(answered.status.is_success());
    let mut refused = rows(&site, "?act=refused&project=demo").await;
    refused.reverse();
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert_eq!(refused[0].detail["target"], "demo");
    for (row, request) in refused.iter().zip(&tried) {
        assert_eq!(row.actor, "key:01900000-0000-7000-8000-000000000002");
        assert_eq!(row.actor_name.as_deref(), Some("eves"));
        assert_eq!(row.request.as_deref(), Some(&**request));
    }
    assert_eq!(rows(&site, "?act=refused").await.len(), 2);
}

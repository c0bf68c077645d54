use axum::http::{Method, StatusCode};
use protocol::api::{CreatedTenant, Page, Problem, Restore, Run, Snapshot, Tenant};
use serde_json::{Value, json};

use crate::site::{PLATFORM_KEY, Site};

#[tokio::test]
async fn a_tenant_goes_from_the_request_to_a_planned_restore() {
    let site = Site::new().await;
    let worker = site.with_environment().await;
    let (placed, backup) = worker.tenant("acme").await;

    let tenant: Tenant = site.get("/api/v1/tenants/acme").await.good();
    assert_eq!((tenant.state.as_str(), tenant.url.as_str()), ("active", "http://acme.localhost:8070"));
    assert_eq!(tenant.environment, "demo/production");

    let made = site.post("/api/v1/tenants/acme/snapshots", json!({"name": "before"})).await;
    assert_eq!(made.status, StatusCode::CREATED);
    worker.take_snapshot(placed, backup).await;
    let snapshots: Page<Snapshot> = site.get("/api/v1/tenants/acme/snapshots").await.good();
    assert_eq!(snapshots.items[0].state.as_str(), "ready");

    let restore: Restore =
        site.post("/api/v1/tenants/acme/restores", json!({"snapshot": "before"})).await.good();
    assert_eq!(restore.state.as_str(), "planning");
    worker.plan(placed, backup).await;
    let restore: Restore = site.get(&format!("/api/v1/restores/{}", restore.id)).await.good();
    assert_eq!(restore.plan.unwrap().steps.len(), 3);
    let confirm = format!("/api/v1/restores/{}/confirm", restore.id);
    let confirmed: Restore = site.post(&confirm, json!({})).await.good();
    let run: Run = site.get(&format!("/api/v1/runs/{}", confirmed.run)).await.good();
    assert_eq!((run.kind.as_str(), run.state.as_str()), ("restore", "queued"));

    let suspended: Tenant = site.post("/api/v1/tenants/acme/suspend", json!({})).await.good();
    assert_eq!(suspended.state.as_str(), "suspended");
    let runs: Page<Run> = site.get("/api/v1/runs?tenant=acme&state=queued").await.good();
    assert_eq!(runs.items.len(), 1);
}

#[tokio::test]
async fn the_same_key_twice_is_carried_out_once() {
    let site = Site::new().await;
    site.with_environment().await;
    let ask = |name: &str| {
        let body = json!({"environment": "demo/production", "name": name});
        let mut request = site.request(Method::POST, "/api/v1/tenants", &site.key, Some(&body));
        request.headers_mut().insert("idempotency-key", "once".parse().unwrap());
        site.send(request)
    };
    let first: CreatedTenant = ask("acme").await.good();
    let again: CreatedTenant = ask("acme").await.good();
    assert_eq!(first.tenant.id, again.tenant.id);
    assert!(!first.admin_password.is_empty() && again.admin_password.is_empty());
    assert_eq!(ask("globex").await.problem().kind, "key-reused");
    let tenants: Page<Tenant> = site.get("/api/v1/tenants").await.good();
    assert_eq!(tenants.items.len(), 1);
}

#[tokio::test]
async fn only_a_good_key_opens_the_api() {
    let site = Site::new().await;
    let revoked = site.control.create_api_key("old").await.unwrap();
    site.control.revoke_api_key(revoked.api_key.id.into()).await.unwrap();
    let changed = format!("{}x", site.key);
    for key in ["", "hk_", "hk_no_key", PLATFORM_KEY, &changed, &revoked.key] {
        let refused = site.send(site.request(Method::GET, "/api/v1/projects", key, None)).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{key:?}");
        assert_eq!(refused.header("www-authenticate"), "Bearer");
        assert_eq!(refused.problem().kind, "unauthenticated");
    }
    // Nor does it matter what is asked for.
    let paths = ["/api/v1/tenants/acme/suspend", "/api/v1/no-such-thing"];
    for path in paths {
        let refused = site.send(site.request(Method::POST, path, "", None)).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    let open = site.send(site.request(Method::GET, "/healthz", "", None)).await;
    assert_eq!((open.status, open.text.as_str()), (StatusCode::OK, "ok\n"));
}

#[tokio::test]
async fn our_own_faults_say_nothing_but_the_request_id() {
    let site = Site::new().await;
    site.scratch.admin().await.batch_execute("ALTER TABLE ops.projects RENAME TO elsewhere").await.unwrap();
    let failed = site.get("/api/v1/projects").await;
    assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR);
    let problem: Problem = failed.problem();
    assert_eq!(problem.kind, "internal");
    for secret in ["ops.", "relation", "projects", "SQL"] {
        assert!(!failed.text.contains(secret), "{}", failed.text);
    }
}

#[tokio::test]
async fn every_documented_operation_is_routed() {
    let site = Site::new().await;
    let document: Value = serde_json::from_str(&web::openapi_json()).unwrap();
    let mut operations = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let address = path.replace(['{', '}'], "");
            let answered = site.send(site.request(method.clone(), &address, &site.key, None)).await;
            assert_ne!(answered.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            assert!(!answered.text.contains("there is nothing at"), "{method} {path}");
            operations += 1;
        }
    }
    assert!(operations >= 25, "{operations}");
}

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
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

/// What is wrong with a request, and the status and kind it is refused with.
type Wrong = (&'static str, Method, &'static str, Option<Value>, u16, &'static str);

#[tokio::test]
async fn bad_inputs_are_refused_with_what_to_do() {
    let site = Site::new().await;
    let worker = site.with_environment().await;
    let (placed, backup) = worker.tenant("acme").await;
    worker.tenant("globex").await;
    let snapshot: Snapshot =
        site.post("/api/v1/tenants/acme/snapshots", json!({"name": "mine"})).await.good();
    worker.take_snapshot(placed, backup).await;

    let (get, post) = (Method::GET, Method::POST);
    let tenant = |name: &str| Some(json!({"environment": "demo/production", "name": name}));
    let nobody = "/api/v1/runs/00000000-0000-7000-8000-000000000000";
    let cases: Vec<Wrong> = vec![
        ("unknown tenant", get.clone(), "/api/v1/tenants/nobody", None, 404, "not-found"),
        ("unknown run", get.clone(), nobody, None, 404, "not-found"),
        ("an id that is none", get.clone(), "/api/v1/runs/seven", None, 404, "not-found"),
        ("unknown path", get.clone(), "/api/v1/tenant", None, 404, "not-found"),
        ("unknown path outside v1", get.clone(), "/api/v2/tenants", None, 404, "not-found"),
        ("wrong method", Method::DELETE, "/api/v1/tenants/acme", None, 405, "wrong-method"),
        ("no body", post.clone(), "/api/v1/tenants", None, 415, "invalid"),
        ("a body of another shape", post.clone(), "/api/v1/tenants", Some(json!([])), 422, "invalid"),
        ("a missing field", post.clone(), "/api/v1/tenants", Some(json!({"name": "x"})), 422, "invalid"),
        ("a wrong type", post.clone(), "/api/v1/projects", Some(json!({"name": 7})), 422, "invalid"),
        (
            "an unknown field",
            post.clone(),
            "/api/v1/projects",
            Some(json!({"name": "a", "x": 1})),
            422,
            "invalid",
        ),
        ("a bad name", post.clone(), "/api/v1/tenants", tenant("Not Good"), 400, "invalid"),
        ("a reserved subdomain", post.clone(), "/api/v1/tenants", tenant("www"), 400, "invalid"),
        ("a short subdomain", post.clone(), "/api/v1/tenants", tenant("ab"), 400, "invalid"),
        ("a taken name", post.clone(), "/api/v1/tenants", tenant("acme"), 409, "taken"),
        (
            "an unknown environment",
            post.clone(),
            "/api/v1/tenants",
            Some(json!({"environment": "demo/nowhere", "name": "other"})),
            404,
            "not-found",
        ),
        ("no target", post.clone(), "/api/v1/tenants/acme/restores", Some(json!({})), 400, "invalid"),
        (
            "two targets",
            post.clone(),
            "/api/v1/tenants/acme/restores",
            Some(json!({"snapshot": "mine", "at": "2026-11-21T11:35:51Z"})),
            400,
            "invalid",
        ),
        (
            "a time before its history",
            post.clone(),
            "/api/v1/tenants/acme/restores",
            Some(json!({"at": "2001-01-01T00:00:00Z"})),
            400,
            "invalid",
        ),
        (
            "a time that is none",
            post.clone(),
            "/api/v1/tenants/acme/restores",
            Some(json!({"at": "yesterday"})),
            422,
            "invalid",
        ),
        (
            "a snapshot's name of another tenant",
            post.clone(),
            "/api/v1/tenants/globex/restores",
            Some(json!({"snapshot": "mine"})),
            404,
            "not-found",
        ),
        (
            "a snapshot's id of another tenant",
            post.clone(),
            "/api/v1/tenants/globex/restores",
            Some(json!({"snapshot": snapshot.id})),
            400,
            "invalid",
        ),
        (
            "archive with another name",
            post.clone(),
            "/api/v1/tenants/acme/archive",
            Some(json!({"confirm": "globex"})),
            400,
            "invalid",
        ),
        ("an unknown state", get.clone(), "/api/v1/runs?state=dancing", None, 400, "invalid"),
        ("an unknown log", get.clone(), "/api/v1/tenants/acme/log?source=mail", None, 400, "invalid"),
        (
            "a negative number of lines",
            get.clone(),
            "/api/v1/tenants/acme/log?lines=-1",
            None,
            400,
            "invalid",
        ),
    ];
    for (what, method, path, body, status, kind) in cases {
        let answered = site.send(site.request(method, path, &site.key, body.as_ref())).await;
        assert_eq!(answered.status.as_u16(), status, "{what}: {}", answered.text);
        let problem = answered.problem();
        assert_eq!(problem.kind, kind, "{what}: {}", answered.text);
        assert!(!problem.detail.contains('\n'), "{what} takes one sentence: {}", problem.detail);
    }
    site.post("/api/v1/tenants/globex/archive", json!({"confirm": "globex"})).await.good::<Tenant>();
    for act in ["suspend", "resume", "snapshots"] {
        let refused = site.post(&format!("/api/v1/tenants/globex/{act}"), json!({})).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{act} of an archived tenant: {}", refused.text);
        assert_eq!(refused.problem().kind, "wrong-state");
    }
}

#[tokio::test]
async fn malformed_and_oversized_bodies_are_refused() {
    let site = Site::new().await;
    let send = |body: Vec<u8>| {
        let request = Request::post("/api/v1/projects")
            .header("authorization", format!("Bearer {}", site.key))
            .header("content-type", "application/json")
            .body(Body::from(body))
            .unwrap();
        site.send(request)
    };
    let broken = send(b"{\"name\": ".to_vec()).await;
    assert_eq!((broken.status.as_u16(), broken.problem().kind.as_str()), (400, "invalid"));
    let mut large = b"{\"name\": \"".to_vec();
    large.resize(2 << 20, b'a');
    let refused = send(large).await;
    assert_eq!((refused.status.as_u16(), refused.problem().kind.as_str()), (413, "too-large"));
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

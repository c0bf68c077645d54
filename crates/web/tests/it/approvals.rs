//! Policies, approvals, secrets and logging in over the API.

use std::os::unix::fs::PermissionsExt;

use axum::http::{Method, StatusCode};
use protocol::api::{Approval, Environment, LoggedIn, Page, Policy, Secret};
use serde_json::{Value, json};

use crate::site::{Answered, Site};

/// Somebody in the project `demo`, with a key of their own.
async fn somebody(site: &Site, login: &str, role: &str) -> String {
    let user = uuid::Uuid::now_v7();
    let sql = format!(
        "INSERT INTO ops.users (id, login) VALUES ('{user}', '{login}');
         INSERT INTO ops.project_members (project_id, user_id, role)
             SELECT id, '{user}', '{role}' FROM ops.projects WHERE name = 'demo'"
    );
    site.scratch.admin().await.batch_execute(&sql).await.unwrap();
    let password = password(site, login).await;
    let logged_in: LoggedIn = log_in(site, login, &password).await.good();
    logged_in.key
}

async fn password(site: &Site, login: &str) -> String {
    let one_time = site.control.reset_password(login).await.unwrap();
    let signed_in = site.control.sign_in(login, &one_time, "::1").await.unwrap();
    let password = format!("correct horse of {login}");
    site.control.set_password(&signed_in.token, &password).await.unwrap();
    password
}

async fn log_in(site: &Site, login: &str, password: &str) -> Answered {
    let body = json!({"login": login, "password": password, "name": "laptop"});
    site.send(site.request(Method::POST, "/api/v1/login", "", Some(&body))).await
}

async fn ask(
    site: &Site,
    key: &str,
    method: Method,
    path: &str,
    body: Option<Value>,
    version: &str,
) -> Answered {
    let mut request = site.request(method, path, key, body.as_ref());
    if !version.is_empty() {
        request.headers_mut().insert("if-match", version.parse().unwrap());
    }
    site.send(request).await
}

#[tokio::test]
async fn one_asks_and_another_approves() {
    let site = Site::new().await;
    let worker = site.with_environment().await;
    worker.tenant("acme").await;
    let (olga, ada) = (somebody(&site, "olga", "owner").await, somebody(&site, "ada", "admin").await);
    let new = json!({"project": "demo", "act": "archive_tenant", "stage": "production", "approvals": 1});
    let made = ask(&site, &olga, Method::POST, "/api/v1/policies", Some(new.clone()), "").await;
    assert_eq!(made.status, StatusCode::CREATED);
    let policy: Policy = made.json();
    let at = format!("/api/v1/policies/{}", policy.id);
    let terms = |approvals: i32| Some(json!({"approvals": approvals, "roles": ["owner", "admin"]}));
    let changed = ask(&site, &olga, Method::PUT, &at, terms(2), made.header("etag")).await;
    assert_eq!(changed.good::<Policy>().version, 2);
    let late = ask(&site, &olga, Method::PUT, &at, terms(1), made.header("etag")).await;
    assert_eq!((late.status.as_u16(), late.problem().kind.as_str()), (412, "changed"));
    ask(&site, &ada, Method::PUT, &at, terms(1), changed.header("etag")).await.good::<Policy>();

    let archive = Some(json!({"confirm": "acme"}));
    let refused = ask(&site, &olga, Method::POST, "/api/v1/tenants/acme/archive", archive.clone(), "").await;
    assert_eq!((refused.status.as_u16(), refused.problem().kind.as_str()), (409, "needs-approval"));
    let list = "/api/v1/approvals?project=demo&state=pending";
    let pending: Page<Approval> = ask(&site, &ada, Method::GET, list, None, "").await.good();
    assert_eq!((pending.items[0].requested_by.as_str(), pending.items.len()), ("olga", 1));
    assert_eq!(pending.items[0].waits_for, ["ada"]);
    let at = format!("/api/v1/approvals/{}", pending.items[0].id);
    let approve = format!("{at}/approve");
    let note = Some(json!({"note": "as agreed"}));
    for (key, status, kind) in [(&olga, 403, "forbidden"), (&site.key, 403, "forbidden")] {
        let refused = ask(&site, key, Method::POST, &approve, note.clone(), "").await;
        assert_eq!((refused.status.as_u16(), refused.problem().kind.as_str()), (status, kind));
        assert!(refused.problem().hint.is_some());
    }
    let granted: Approval = ask(&site, &ada, Method::POST, &approve, note.clone(), "").await.good();
    assert_eq!((granted.state.as_str(), granted.decisions[0].by.as_str()), ("granted", "ada"));
    let again = ask(&site, &ada, Method::POST, &approve, note, "").await;
    assert_eq!((again.status.as_u16(), again.problem().kind.as_str()), (409, "wrong-state"));
    ask(&site, &olga, Method::POST, "/api/v1/tenants/acme/archive", archive, "").await.good::<Value>();
}

#[tokio::test]
async fn a_secret_goes_in_and_never_comes_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secrets.key");
    std::fs::write(&file, control::new_key_file().unwrap().as_bytes()).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let site =
        Site::with(control::Settings { secrets_key: Some(file), ..control::Settings::default() }).await;
    site.with_environment().await;
    let ada = somebody(&site, "ada", "admin").await;
    let at = "/api/v1/secrets/TOKEN?environment=demo%2Fproduction";
    let value = Some(json!({"value": "hunter2hunter2"}));
    let set = ask(&site, &ada, Method::PUT, at, value.clone(), "").await;
    let secret: Secret = set.good();
    assert_eq!((secret.version, secret.set_by.as_str(), secret.fingerprint.len()), (1, "ada", 16));
    assert!(!set.text.contains("hunter2"));
    let list = "/api/v1/secrets?environment=demo%2Fproduction";
    let listed = ask(&site, &ada, Method::GET, list, None, "").await;
    assert!(!listed.text.contains("hunter2"));
    assert_eq!(listed.good::<Page<Secret>>().items.len(), 1);
    let late = ask(&site, &ada, Method::PUT, at, value.clone(), "\"7\"").await;
    assert_eq!(late.status.as_u16(), 412);
    ask(&site, &ada, Method::PUT, at, value.clone(), set.header("etag")).await.good::<Secret>();
    let late = ask(&site, &ada, Method::DELETE, at, None, "\"1\"").await;
    assert_eq!(late.status.as_u16(), 412);
    let gone = ask(&site, &ada, Method::DELETE, at, None, "\"2\"").await;
    assert_eq!((gone.status, gone.text.as_str()), (StatusCode::NO_CONTENT, ""));
    let cases = [
        ("a bad name", "/api/v1/secrets/token?project=demo", 400),
        ("a reserved name", "/api/v1/secrets/LD_PRELOAD?project=demo", 400),
        ("nobody's", "/api/v1/secrets/TOKEN", 400),
        ("two owners", "/api/v1/secrets/TOKEN?project=demo&tenant=acme", 400),
        ("a foreign project", "/api/v1/secrets/TOKEN?project=other", 404),
    ];
    for (what, path, status) in cases {
        let refused = ask(&site, &ada, Method::PUT, path, value.clone(), "").await;
        assert_eq!(refused.status.as_u16(), status, "{what}: {}", refused.text);
        assert!(!refused.problem().detail.contains("hunter2"), "{what}");
    }
    for (what, body) in [
        ("an empty value", json!({"value": ""})),
        ("no value", json!({})),
        ("another field", json!({"value": "x", "hunter2hunter2": 1})),
        ("a number", json!({"value": 7})),
    ] {
        let refused = ask(&site, &ada, Method::PUT, at, Some(body), "").await;
        assert!(matches!(refused.status.as_u16(), 400 | 422), "{what}: {}", refused.text);
    }
}

#[tokio::test]
async fn who_logs_in_has_a_key_until_they_log_out() {
    let site = Site::new().await;
    site.with_environment().await;
    let ada = somebody(&site, "ada", "admin").await;
    let projects = |key: String| {
        let request = site.request(Method::GET, "/api/v1/projects", &key, None);
        site.send(request)
    };
    projects(ada.clone()).await.good::<Value>();
    // It acts for her, and within what she may.
    let refused = ask(&site, &ada, Method::POST, "/api/v1/projects", Some(json!({"name": "mine"})), "").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let out = ask(&site, &ada, Method::POST, "/api/v1/logout", None, "").await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert_eq!(projects(ada).await.status, StatusCode::UNAUTHORIZED);
    // The installation's own key is not given up this way.
    let out = ask(&site, &site.key, Method::POST, "/api/v1/logout", None, "").await;
    assert_eq!(out.status, StatusCode::BAD_REQUEST);
    projects(site.key.clone()).await.good::<Value>();

    let password = password(&site, "ada").await;
    assert_eq!(log_in(&site, "ada", "wrong").await.problem().kind, "unauthenticated");
    assert_eq!(log_in(&site, "nobody", &password).await.problem().kind, "unauthenticated");
    let one_time = site.control.reset_password("ada").await.unwrap();
    let refused = log_in(&site, "ada", &one_time).await.problem();
    assert!(refused.kind == "forbidden" && refused.hint.unwrap().contains("console"));
    for _ in 0..5 {
        log_in(&site, "ada", "wrong").await;
    }
    assert_eq!(log_in(&site, "ada", &password).await.status, StatusCode::TOO_MANY_REQUESTS);
    let body = json!({"login": "ada", "password": "x", "name": ""});
    let bad = site.send(site.request(Method::POST, "/api/v1/login", "", Some(&body))).await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_environment_is_destroyed_over_the_api() {
    let site = Site::new().await;
    let worker = site.with_environment().await;
    worker.tenant("acme").await;
    let at = "/api/v1/environments/demo/production";
    let refused = site.post(&format!("{at}/destroy"), json!({})).await;
    assert_eq!((refused.status.as_u16(), refused.problem().kind.as_str()), (400, "invalid"));
    let ended: Environment =
        site.post(&format!("{at}/destroy"), json!({"confirm": "production"})).await.good();
    assert!(ended.archived_at.is_some());
    assert_eq!(site.get(at).await.status, StatusCode::NOT_FOUND);
    let all: Page<Environment> = site.get("/api/v1/environments").await.good();
    assert!(all.items.is_empty());
    let tenant: Value = site.get("/api/v1/tenants/acme").await.good();
    assert_eq!(tenant["state"], "archived");
}

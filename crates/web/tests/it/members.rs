//! People through the API.

use axum::http::{Method, StatusCode};
use protocol::api::Page;
use protocol::people::{ApiKey, CreatedApiKey, Member, OneTimePassword, User};
use serde_json::{Value, json};

use crate::site::{Answered, Site};

async fn send(site: &Site, method: Method, path: &str, key: &str, body: Option<Value>) -> Answered {
    site.send(site.request(method, path, key, body.as_ref())).await
}

/// A user's own key, which only the user can make.
async fn key_of(site: &Site, login: &str) -> String {
    let made: OneTimePassword = site.post("/api/v1/users", json!({"login": login})).await.good();
    let signed_in = site.control.sign_in(login, &made.one_time_password, "::1").await.unwrap();
    let person = site.control.acting_as(&control::Principal::user(signed_in.session.user));
    let new = protocol::people::NewApiKey { name: "tests".into(), ..Default::default() };
    person.create_key(new).await.unwrap().key
}

#[tokio::test]
async fn members_are_given_roles_and_see_their_project() {
    let site = Site::new().await;
    site.with_environment().await.tenant("acme").await;
    let ada = key_of(&site, "ada@example.com").await;
    let get = async |path: &str, key: &str| send(&site, Method::GET, path, key, None).await;
    // Nothing is theirs yet, and nothing is told.
    assert!(get("/api/v1/projects", &ada).await.good::<Page<Value>>().items.is_empty());
    for path in ["/api/v1/projects/demo", "/api/v1/tenants/acme", "/api/v1/projects/demo/members"] {
        assert_eq!(get(path, &ada).await.problem().kind, "not-found", "{path}");
    }
    let path = "/api/v1/projects/demo/members/ada@example.com";
    let put =
        async |key: &str, role: &str| send(&site, Method::PUT, path, key, Some(json!({"role": role}))).await;
    assert_eq!(put(&ada, "owner").await.status, StatusCode::NOT_FOUND);
    let set = put(&site.key, "viewer").await;
    assert!(set.header("etag").starts_with("\"1"), "{}", set.header("etag"));
    assert_eq!(set.good::<Member>().role.as_str(), "viewer");
    assert_eq!(get("/api/v1/tenants/acme", &ada).await.status, StatusCode::OK);
    let refused = put(&ada, "owner").await;
    let problem = refused.problem();
    assert_eq!((refused.status.as_u16(), &*problem.kind), (403, "forbidden"));
    assert!(problem.detail.contains("administer") && problem.hint.unwrap().contains("heddle member set"));
    let problem =
        site.send(site.request(Method::POST, "/api/v1/tenants/acme/suspend", &ada, Some(&json!({})))).await;
    assert_eq!(problem.problem().kind, "forbidden");

    // Racing edits.
    let mut request = site.request(Method::PUT, path, &site.key, Some(&json!({"role": "admin"})));
    request.headers_mut().insert("if-match", "\"7\"".parse().unwrap());
    assert_eq!(site.send(request).await.status, StatusCode::PRECONDITION_FAILED);
    let grant = "/api/v1/environments/demo/production/grants/ada@example.com/operate";
    send(&site, Method::PUT, grant, &site.key, Some(json!({}))).await.good::<Member>();
    let suspended =
        site.send(site.request(Method::POST, "/api/v1/tenants/acme/suspend", &ada, Some(&json!({})))).await;
    assert_eq!(suspended.status, StatusCode::OK, "{}", suspended.text);
    assert_eq!(send(&site, Method::DELETE, grant, &site.key, None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(send(&site, Method::DELETE, path, &site.key, None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(get("/api/v1/tenants/acme", &ada).await.status, StatusCode::NOT_FOUND);
    let unknown = send(&site, Method::PUT, path, &site.key, Some(json!({"role": "emperor"}))).await;
    assert_eq!(unknown.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn keys_are_made_listed_and_revoked() {
    let site = Site::new().await;
    site.with_environment().await;
    let ada = key_of(&site, "ada@example.com").await;
    let mut pages = Vec::new();
    for n in 0..3 {
        let new = json!({"name": format!("k{n}"), "scopes": ["test"]});
        let created: CreatedApiKey = send(&site, Method::POST, "/api/v1/keys", &ada, Some(new)).await.good();
        assert!(created.key.starts_with(&format!("{}_", created.api_key.prefix)));
        pages.push(created);
    }
    let first: Page<ApiKey> = send(&site, Method::GET, "/api/v1/keys?limit=2", &ada, None).await.good();
    let rest = format!("/api/v1/keys?limit=2&after={}", first.next.unwrap());
    let rest: Page<ApiKey> = send(&site, Method::GET, &rest, &ada, None).await.good();
    assert_eq!((first.items.len(), rest.items.len(), rest.next), (2, 2, None));
    // No secret is ever listed.
    let listed = site.get("/api/v1/keys").await;
    assert!(pages.iter().all(|made| !listed.text.contains(&made.key[12..])));
    let made = &pages[0];
    assert_eq!(send(&site, Method::GET, "/api/v1/projects", &made.key, None).await.status, StatusCode::OK);
    let revoke = format!("/api/v1/keys/{}/revoke", made.api_key.id);
    let other = key_of(&site, "otto@example.com").await;
    assert_eq!(
        send(&site, Method::POST, &revoke, &other, Some(json!({}))).await.status,
        StatusCode::NOT_FOUND
    );
    send(&site, Method::POST, &revoke, &ada, Some(json!({}))).await.good::<ApiKey>();
    let refused = send(&site, Method::GET, "/api/v1/projects", &made.key, None).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let users: Page<User> = site.get("/api/v1/users").await.good();
    assert_eq!(
        users.items.iter().map(|user| &*user.login).collect::<Vec<_>>(),
        ["ada@example.com", "otto@example.com"]
    );
    let disable = "/api/v1/users/ada@example.com/disable";
    assert_eq!(send(&site, Method::POST, disable, &other, Some(json!({}))).await.problem().kind, "forbidden");
    site.post(disable, json!({})).await.good::<User>();
    assert_eq!(
        send(&site, Method::GET, "/api/v1/projects", &ada, None).await.status,
        StatusCode::UNAUTHORIZED
    );
}

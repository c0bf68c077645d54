//! Members, users and keys on the console's pages.

use axum::http::{Method, StatusCode};
use model::access::Role;
use protocol::api::Page;
use protocol::people::{ApiKey, Member, User};
use serde_json::Value;

use crate::browser::{Browser, PASSWORD, hidden};
use crate::site::Site;

const NOWHERE: &str = "00000000-0000-7000-8000-000000000000";

#[tokio::test]
async fn who_administers_a_project_changes_its_members() {
    let site = Site::new().await;
    site.with_environment().await;
    let mut ada = Browser::of(&site, "ada", Some(Role::Admin)).await;
    let mut vic = Browser::of(&site, "vic", Some(Role::Viewer)).await;
    Browser::of(&site, "olga", Some(Role::Owner)).await;
    Browser::of(&site, "nils", None).await;

    // What is not theirs is not offered, and refused.
    let seen = vic.page("/members").await;
    assert!(seen.contains("id=\"member-ada\"") && !seen.contains("id=\"add\""), "{seen}");
    let own = vic.page("/projects/demo/members/vic").await;
    assert!(!own.contains("id=\"save\"") && !own.contains("id=\"grant\"") && !own.contains("id=\"remove\""));
    let at = "/projects/demo/members/vic";
    let acts: [(&str, &[(&str, &str)]); 5] = [
        ("/projects/demo/members", &[("login", "nils"), ("role", "owner")]),
        (&format!("{at}/role"), &[("role", "owner"), ("version", "1")]),
        (&format!("{at}/grant"), &[("environment", "production"), ("permission", "operate")]),
        (&format!("{at}/withdraw"), &[("environment", "production"), ("permission", "operate")]),
        ("/projects/demo/members/ada/remove", &[("version", "1")]),
    ];
    for (path, fields) in acts {
        let refused = vic.submit("/members", path, fields).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}: {}", refused.text);
        assert!(refused.text.contains("role=\"alert\"") && refused.text.contains("administer"), "{path}");
        // Without the session's token nothing is looked at.
        let forged = ada.post(path, fields).await;
        assert_eq!(forged.status, StatusCode::FORBIDDEN, "{path}");
        assert!(forged.text.contains("out of date"), "{path}: {}", forged.text);
    }
    let members: Page<Member> = site.get("/api/v1/projects/demo/members").await.good();
    assert_eq!(members.items.len(), 3);

    let added = [("login", " Nils "), ("role", "tester")];
    let to = ada.submit("/members", "/projects/demo/members", &added).await;
    assert_eq!(to.header("location"), "/members?project=demo", "{}", to.text);
    let again = ada.submit("/members", "/projects/demo/members", &added).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert!(again.text.contains("is a member of demo already"), "{}", again.text);
    let nobody =
        ada.submit("/members", "/projects/demo/members", &[("login", "nobody"), ("role", "viewer")]).await;
    assert!(nobody.status == StatusCode::UNPROCESSABLE_ENTITY && nobody.text.contains("no user nobody"));
    assert_eq!(hidden(&nobody.text, "login"), "nobody");

    // An admin makes no owners, and unmakes none.
    let nils = ada.page("/projects/demo/members/nils").await;
    assert!(!nils.contains("value=\"owner\"") && nils.contains("value=\"admin\""), "{nils}");
    let olga = ada.page("/projects/demo/members/olga").await;
    assert!(olga.contains("Only owners make and unmake owners") && !olga.contains("id=\"save\""));
    let at = "/projects/demo/members/nils";
    let refused = ada.submit(at, &format!("{at}/role"), &[("role", "owner"), ("version", "1")]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);

    // The page that was looked at is of a version; somebody else was quicker.
    let version = hidden(&nils, "version");
    let change = [("role", "developer"), ("version", version.as_str())];
    assert_eq!(ada.submit(at, &format!("{at}/role"), &change).await.header("location"), at);
    for (path, fields) in [("role", &change[..]), ("remove", &change[1..])] {
        let late = ada.submit(at, &format!("{at}/{path}"), fields).await;
        assert_eq!(late.status, StatusCode::PRECONDITION_FAILED);
        assert!(late.text.contains("by somebody else") && late.text.contains("data-role=\"developer\""));
    }

    let production = [("environment", "production"), ("permission", "operate")];
    assert_eq!(ada.submit(at, &format!("{at}/grant"), &production).await.header("location"), at);
    assert!(ada.page(at).await.contains("id=\"withdraw-production-operate\""));
    let read = [("environment", "production"), ("permission", "read")];
    assert_eq!(ada.submit(at, &format!("{at}/grant"), &read).await.status, StatusCode::BAD_REQUEST);
    let nils: Member = site.get("/api/v1/projects/demo/members/nils").await.good();
    assert_eq!((nils.role, nils.granted.len()), (Role::Developer, 1));
    assert_eq!(ada.submit(at, &format!("{at}/withdraw"), &production).await.header("location"), at);

    let version = hidden(&ada.page(at).await, "version");
    let gone = ada.submit(at, &format!("{at}/remove"), &[("version", &version)]).await;
    assert_eq!(gone.header("location"), "/members?project=demo");
    assert_eq!(ada.get(at).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn long_lists_go_on() {
    let site = Site::new().await;
    site.with_environment().await;
    let sql = "WITH made AS (INSERT INTO ops.users (id, login)
                   SELECT gen_random_uuid(), 'u' || lpad(n::text, 3, '0') FROM generate_series(1, 60) n
                   RETURNING id)
               INSERT INTO ops.project_members (project_id, user_id, role)
               SELECT p.id, made.id, 'viewer' FROM ops.projects p, made WHERE p.name = 'demo'";
    site.scratch.admin().await.batch_execute(sql).await.unwrap();
    let mut admin = Browser::signed_in(&site).await;
    let first = admin.page("/members").await;
    assert!(first.contains("id=\"member-u050\"") && !first.contains("id=\"member-u051\""));
    let next = next_page(&first);
    assert_eq!(next, "/members?project=demo&after=u050");
    let second = admin.page(&next).await;
    assert!(second.contains("id=\"member-u060\"") && !second.contains("rel=\"next\""));
    let users = admin.page("/users").await;
    let rest = admin.page(&next_page(&users)).await;
    assert!(rest.contains("id=\"user-u060\"") && !rest.contains("id=\"user-u010\""));
    assert_eq!(admin.get("/keys?after=nonsense").await.status, StatusCode::BAD_REQUEST);
}

/// Where the page's list goes on.
#[track_caller]
pub fn next_page(page: &str) -> String {
    let (_, rest) =
        page.split_once("rel=\"next\" href=\"").unwrap_or_else(|| panic!("no next page in {page}"));
    rest.split('"').next().unwrap().replace("&amp;", "&").replace("&#38;", "&")
}

#[tokio::test]
async fn operators_make_and_disable_users() {
    let site = Site::new().await;
    site.with_environment().await;
    let mut admin = Browser::signed_in(&site).await;
    let created = admin.submit("/users", "/users", &[("login", " Ada@Example.com ")]).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let password = between(&created.text, "aria-label=\"One-time password\">", "<");
    assert!(!admin.page("/users").await.contains(&password), "it is shown once");
    let taken = admin.submit("/users", "/users", &[("login", "ada@example.com")]).await;
    assert_eq!(
        (taken.status, hidden(&taken.text, "login").as_str()),
        (StatusCode::CONFLICT, "ada@example.com")
    );

    let mut ada = Browser::new(&site);
    assert_eq!(ada.sign_in_as("ada@example.com", &password).await.header("location"), "/password");
    ada.choose_password().await;
    // She is no operator: nothing is offered, and all refused.
    let users = ada.page("/users").await;
    assert!(!users.contains("id=\"create\"") && !users.contains("id=\"user-admin\""), "{users}");
    for (path, fields) in [
        ("/users", &[("login", "eve")][..]),
        ("/users/ada@example.com/operator", &[("operator", "yes")]),
        ("/users/ada@example.com/one-time-password", &[]),
        ("/users/ada@example.com/disable", &[]),
        ("/users/ada@example.com/enable", &[]),
    ] {
        let refused = ada.submit("/users", path, fields).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
        assert!(refused.text.contains("takes an operator"), "{path}: {}", refused.text);
        assert_eq!(admin.post(path, fields).await.status, StatusCode::FORBIDDEN, "{path} without a token");
    }
    assert_eq!(ada.get("/users/admin").await.status, StatusCode::NOT_FOUND);

    let at = "/users/ada@example.com";
    for (word, operator) in [("yes", true), ("no", false)] {
        let to = admin.submit(at, &format!("{at}/operator"), &[("operator", word)]).await;
        assert_eq!(to.header("location"), at);
        let user: User = site.get("/api/v1/users/ada@example.com").await.good();
        assert_eq!(user.operator, operator);
    }
    assert_eq!(admin.submit(at, &format!("{at}/disable"), &[]).await.header("location"), at);
    assert_eq!(ada.get("/users").await.header("location"), "/sign-in");
    assert!(admin.page(at).await.contains("id=\"enable\""));
    assert_eq!(admin.submit(at, &format!("{at}/enable"), &[]).await.header("location"), at);
    assert_eq!(ada.sign_in_as("ada@example.com", PASSWORD).await.header("location"), "/tenants");
    let given = admin.submit(at, &format!("{at}/one-time-password"), &[]).await;
    let password = between(&given.text, "aria-label=\"One-time password\">", "<");
    assert_eq!(ada.get("/users").await.header("location"), "/sign-in", "their sessions end");
    assert_eq!(ada.sign_in_as("ada@example.com", &password).await.header("location"), "/password");
    // Nobody locks themselves out.
    let own = admin.page("/users/admin").await;
    assert!(own.contains("This is you") && !own.contains("id=\"disable\""));
    let refused = admin.submit("/users", "/users/admin/disable", &[]).await;
    assert!(refused.status == StatusCode::CONFLICT && refused.text.contains("cannot disable yourself"));
}

#[track_caller]
fn between(page: &str, start: &str, end: &str) -> String {
    let (_, rest) = page.split_once(start).unwrap_or_else(|| panic!("no {start} in {page}"));
    rest.split(end).next().unwrap().to_owned()
}

#[tokio::test]
async fn a_key_is_shown_once_and_revoked() {
    let site = Site::new().await;
    site.with_environment().await;
    let mut ben = Browser::of(&site, "ben", Some(Role::Tester)).await;
    let mut ada = Browser::of(&site, "ada", Some(Role::Admin)).await;
    let mut eve = Browser::of(&site, "eve", None).await;
    let new = [("name", "nightly"), ("project", "demo"), ("term", "month"), ("test", "on")];
    let forged = ben.post("/new-key", &new).await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    let created = ben.submit("/new-key", "/new-key", &new).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let key = between(&created.text, "aria-label=\"Key\">", "<");
    assert!(key.starts_with("hk_"), "{key}");
    let keys: Page<ApiKey> = site.get("/api/v1/keys?project=demo").await.good();
    let [made] = &keys.items[..] else { panic!("{keys:?}") };
    let scopes: Vec<_> = made.scopes.iter().map(|scope| scope.as_str()).collect();
    assert_eq!((made.name.as_str(), scopes), ("nightly", vec!["read", "test"]));
    let days = made.created_at.duration_until(made.expires_at.unwrap()).as_hours();
    assert!((30 * 24 - 1..=30 * 24).contains(&days), "{days} h");
    let projects = async || site.send(site.request(Method::GET, "/api/v1/projects", &key, None)).await;
    projects().await.good::<Value>();

    // Listed without its secret, to whom it belongs and who administers the project.
    let at = format!("/keys/{}", made.id);
    for browser in [&mut ben, &mut ada] {
        for page in ["/keys", "/keys?project=demo", &at] {
            let page = browser.page(page).await;
            assert!(page.contains("nightly") && !page.contains(&key[12..]), "{page}");
        }
    }
    assert!(!eve.page("/keys").await.contains("nightly"));
    assert_eq!(eve.get(&at).await.status, StatusCode::NOT_FOUND);
    assert_eq!(eve.submit("/keys", &format!("{at}/revoke"), &[]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(ada.post(&format!("{at}/revoke"), &[]).await.status, StatusCode::FORBIDDEN);
    projects().await.good::<Value>();
    assert_eq!(ada.submit(&at, &format!("{at}/revoke"), &[]).await.header("location"), at);
    assert_eq!(projects().await.status, StatusCode::UNAUTHORIZED);
    let revoked = ben.page(&at).await;
    assert!(revoked.contains("data-revoked=\"true\"") && !revoked.contains("id=\"confirm-revoke\""));

    // What is wrong is said above the form, which keeps what was written.
    for (name, project, term, status) in
        [("", "", "month", 400), ("x", "", "for a while", 400), ("x", "nobodys", "month", 422)]
    {
        let fields = [("name", name), ("project", project), ("term", term), ("test", "on")];
        let refused = ben.submit("/new-key", "/new-key", &fields).await;
        assert_eq!(refused.status.as_u16(), status, "{name} {project} {term}: {}", refused.text);
        assert!(refused.text.contains("role=\"alert\"") && refused.text.contains("name=\"test\" checked"));
    }
    let missing = ben.get(&format!("/keys/{NOWHERE}")).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn keys_are_listed_in_pieces() {
    let site = Site::new().await;
    for n in 0..55 {
        site.control.create_api_key(&format!("k{n}")).await.unwrap();
    }
    let mut admin = Browser::signed_in(&site).await;
    let first = admin.page("/keys").await;
    assert!(first.contains(">k54</a>") && first.contains(">k5</a>") && !first.contains(">k4</a>"));
    let second = admin.page(&next_page(&first)).await;
    assert!(second.contains(">k4</a>") && second.contains(">tests</a>") && !second.contains(">k5</a>"));
}

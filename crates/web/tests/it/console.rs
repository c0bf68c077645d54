use axum::body::Body;
use axum::http::{Request, StatusCode};
use model::run::RunKind;
use protocol::api::{Page, Run, Snapshot, Tenant};
use protocol::internal::Outcome;
use serde_json::{Value, json};

use crate::browser::{Browser, PASSWORD, form, hidden};
use crate::site::Site;

#[tokio::test]
async fn the_first_sign_in_leads_to_a_password_and_nowhere_else() {
    let site = Site::new().await;
    let one_time = site.control.bootstrap_admin().await.unwrap().unwrap();
    let mut browser = Browser::new(&site);
    for path in ["/tenants", "/runs", "/status", "/password", "/new-tenant"] {
        assert_eq!(browser.get(path).await.header("location"), "/sign-in", "{path}");
    }
    let wrong = browser.sign_in("nonsense").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert!(wrong.text.contains("role=\"alert\""), "{}", wrong.text);

    let right = browser.sign_in(&one_time).await;
    assert_eq!((right.status, right.header("location")), (StatusCode::SEE_OTHER, "/password"));
    assert_eq!(browser.get("/tenants").await.header("location"), "/password");
    assert_eq!(browser.get("/live/tenants").await.header("location"), "/password");

    let csrf = browser.csrf("/password").await;
    let short =
        browser.post("/password", &[("csrf", &csrf), ("password", "short"), ("again", "short")]).await;
    assert!(short.status.is_client_error() && short.text.contains("12 characters"), "{}", short.text);
    let differ = browser.post("/password", &[("csrf", &csrf), ("password", PASSWORD), ("again", "x")]).await;
    assert_eq!(differ.status, StatusCode::UNPROCESSABLE_ENTITY);
    let set =
        browser.post("/password", &[("csrf", &csrf), ("password", PASSWORD), ("again", PASSWORD)]).await;
    assert_eq!(set.header("location"), "/tenants");
    assert_eq!(browser.get("/tenants").await.status, StatusCode::OK);

    let mut other = Browser::new(&site);
    assert_eq!(other.sign_in(&one_time).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(other.sign_in(PASSWORD).await.header("location"), "/tenants");
}

#[tokio::test]
async fn cookies_are_out_of_reach_and_pages_are_not_kept() {
    let site = Site::new().await;
    let one_time = site.control.bootstrap_admin().await.unwrap().unwrap();
    let mut browser = Browser::new(&site);
    let signed_in = browser.sign_in(&one_time).await;
    let cookies: Vec<_> =
        signed_in.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    let session = cookies.iter().find(|cookie| cookie.starts_with("heddle_session=")).unwrap();
    for flag in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(session.contains(flag), "{session}");
    }
    assert!(!session.contains("Domain"), "{session}");
    let page = browser.get("/password").await;
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");

    let mut secure = web::WebState::new(site.control.clone(), "key");
    secure.secure_cookies = true;
    let secure = site.with_router(web::router(secure));
    let page = Browser::new(&secure).get("/sign-in").await;
    assert!(page.header("set-cookie").contains("Secure"));
}

#[tokio::test]
async fn a_form_counts_only_with_its_sessions_token() {
    let site = Site::new().await;
    site.with_environment().await.tenant("acme").await;
    let mut browser = Browser::signed_in(&site).await;
    let csrf = browser.csrf("/tenants/acme").await;
    let stale = {
        let mut other = Browser::new(&site);
        other.sign_in(PASSWORD).await;
        other.csrf("/tenants/acme").await
    };
    assert_ne!(csrf, stale);
    let path = "/tenants/acme/suspend";
    for (what, fields) in [
        ("no token", vec![]),
        ("an empty token", vec![("csrf", "")]),
        ("another session's", vec![("csrf", stale.as_str())]),
    ] {
        let refused = browser.post(path, &fields).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{what}");
    }
    for origin in ["http://evil.test", "null", "http://acme.console.test"] {
        let mut foreign = form(path, &[("csrf", &csrf)]);
        foreign.headers_mut().insert("origin", origin.parse().unwrap());
        assert_eq!(browser.send(foreign).await.status, StatusCode::FORBIDDEN, "{origin}");
    }
    let bare = site.send(form(path, &[("csrf", &csrf)])).await;
    assert_eq!(bare.header("location"), "/sign-in");
    let tenant: Tenant = site.get("/api/v1/tenants/acme").await.good();
    assert_eq!(tenant.state.as_str(), "active");

    let mut own = form(path, &[("csrf", &csrf)]);
    own.headers_mut().insert("origin", "http://console.test".parse().unwrap());
    assert_eq!(browser.send(own).await.header("location"), "/tenants/acme");
    let tenant: Tenant = site.get("/api/v1/tenants/acme").await.good();
    assert_eq!(tenant.state.as_str(), "suspended");

    let door = site.send(form("/sign-in", &[("csrf", ""), ("login", "admin"), ("password", PASSWORD)])).await;
    assert_eq!(door.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn guessing_passwords_is_slowed_down() {
    let site = Site::new().await;
    site.control.bootstrap_admin().await.unwrap().unwrap();
    let mut browser = Browser::new(&site);
    let mut refused = 0;
    while browser.sign_in("guess").await.status == StatusCode::UNAUTHORIZED {
        refused += 1;
        assert!(refused < 50, "guesses are not limited");
    }
    let slowed = browser.sign_in("guess").await;
    assert_eq!(slowed.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(slowed.text.contains("Try again in"), "{}", slowed.text);
}

#[tokio::test]
async fn signing_out_ends_the_session() {
    let site = Site::new().await;
    let mut browser = Browser::signed_in(&site).await;
    let cookies = browser.cookies.clone();
    let csrf = browser.csrf("/tenants").await;
    let out = browser.post("/sign-out", &[("csrf", &csrf)]).await;
    assert_eq!(out.header("location"), "/sign-in");
    assert!(browser.cookies.iter().all(|(name, _)| name != "heddle_session"));
    let mut thief = Browser { site: &site, cookies };
    assert_eq!(thief.get("/tenants").await.header("location"), "/sign-in");
    let mut live = Request::get("/live/tenants").body(Body::empty()).unwrap();
    live.headers_mut().insert("accept", "text/event-stream".parse().unwrap());
    let told = thief.send(live).await;
    assert!(told.text.contains("event: leave") && told.text.contains("/sign-in"), "{}", told.text);
}

#[tokio::test]
async fn a_tenant_is_made_snapshotted_and_planned_on_pages() {
    let site = Site::new().await;
    let mut browser = Browser::signed_in(&site).await;
    let empty = browser.get("/tenants").await;
    assert!(empty.text.contains("No tenants yet") && empty.text.contains("heddle project create"));
    let worker = site.with_environment().await;
    worker.tenant("acme").await;

    let page = browser.get("/new-tenant").await;
    let (csrf, once) = (hidden(&page.text, "csrf"), hidden(&page.text, "once"));
    let ask = |name: &'static str| {
        let (csrf, once) = (csrf.clone(), once.clone());
        move || {
            form(
                "/new-tenant",
                &[
                    ("csrf", csrf.as_str()),
                    ("once", once.as_str()),
                    ("environment", "demo/production"),
                    ("name", name),
                    ("subdomain", ""),
                    ("tier", "pro"),
                ],
            )
        }
    };
    for (name, status) in [("acme", 409), ("www", 400), ("no good", 400)] {
        let refused = browser.send(ask(name)()).await;
        assert_eq!(refused.status.as_u16(), status, "{name}");
        assert!(refused.text.contains("role=\"alert\""), "{name}");
        assert_eq!(hidden(&refused.text, "name"), name);
    }
    let created = browser.send(ask("globex")()).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    assert!(created.text.contains("id=\"admin-password\""));
    let again = browser.send(ask("globex")()).await;
    assert!(again.text.contains("This form was sent before"), "{}", again.text);

    let acme = browser.get("/tenants/acme").await;
    assert!(acme.text.contains("acme.localhost:8070") && acme.text.contains("No snapshots yet"));
    let once = hidden(&acme.text, "once");
    let snapshot = [("csrf", csrf.as_str()), ("once", once.as_str()), ("name", "before")];
    for _ in 0..2 {
        let made = browser.post("/tenants/acme/snapshots", &snapshot).await;
        assert_eq!(made.header("location"), "/tenants/acme", "{}", made.text);
    }
    let snapshots: Page<Snapshot> = site.get("/api/v1/tenants/acme/snapshots").await.good();
    assert_eq!(snapshots.items.len(), 1);
}

#[tokio::test]
async fn a_restore_waits_for_its_yes() {
    let site = Site::new().await;
    let worker = site.with_environment().await;
    let (placed, backup) = worker.tenant("acme").await;
    site.post("/api/v1/tenants/acme/snapshots", json!({"name": "before"})).await.good::<Value>();
    worker.take_snapshot(placed, backup).await;
    let mut browser = Browser::signed_in(&site).await;

    let page = browser.get("/tenants/acme/restore?snapshot=before").await;
    let (csrf, once) = (hidden(&page.text, "csrf"), hidden(&page.text, "once"));
    assert!(page.text.contains("value=\"before\" selected"), "{}", page.text);
    let ask = |by: &str, at: &str| {
        let fields =
            [("csrf", csrf.as_str()), ("once", &once), ("by", by), ("at", at), ("snapshot", "before")];
        form("/tenants/acme/restore", &fields)
    };
    for at in ["", "yesterday", "1999-01-01T00:00:00"] {
        let refused = browser.send(ask("time", at)).await;
        assert!(refused.status.is_client_error() && refused.text.contains("role=\"alert\""), "{at}");
    }
    let planning = browser.send(ask("snapshot", "")).await;
    let path = planning.header("location").to_owned();
    assert!(path.starts_with("/restores/"), "{}", planning.text);
    assert!(browser.get(&path).await.text.contains("Reading its history"));
    worker.plan(placed, backup).await;
    let plan = browser.get(&path).await;
    assert!(plan.text.contains("Copy the base backup") && plan.text.contains("confirm-restore"));
    let runs: Page<Run> = site.get("/api/v1/runs?tenant=acme&state=queued").await.good();
    assert!(runs.items.is_empty(), "nothing is queued before the yes");
    assert!(browser.get("/tenants/acme").await.text.contains("waits for your yes"));

    let once = hidden(&plan.text, "once");
    let yes = browser.post(&format!("{path}/confirm"), &[("csrf", &csrf), ("once", &once)]).await;
    assert_eq!(yes.header("location"), path);
    let runs: Page<Run> = site.get("/api/v1/runs?tenant=acme&state=queued").await.good();
    assert_eq!(runs.items[0].kind.as_str(), "restore");
}

#[tokio::test]
async fn a_run_is_shown_as_it_was_told() {
    let site = Site::new().await;
    let worker = site.with_environment().await;
    let new = json!({"environment": "demo/production", "name": "acme"});
    site.post("/api/v1/tenants", new).await.good::<Value>();
    let claimed = worker.claim(RunKind::Provision).await;
    worker.say(&claimed, "<script>alert(1)</script> & co").await;
    let mut browser = Browser::signed_in(&site).await;
    let path = format!("/runs/{}", claimed.run);
    let running = browser.get(&path).await;
    assert!(running.text.contains("data-state=\"running\"") && running.text.contains("id=\"cancel\""));
    assert!(!running.text.contains("<script>alert"), "{}", running.text);
    assert!(running.text.contains("&#60;script&#62;alert(1)"), "{}", running.text);

    worker.finish(&claimed, Outcome::Failed { reason: "no room".into(), hint: None }).await;
    let failed = browser.get(&path).await;
    assert!(failed.text.contains("No room.") && failed.text.contains("id=\"retry\""), "{}", failed.text);
    let live = browser.get(&format!("/live{path}")).await;
    assert!(live.text.contains("event: log") && live.text.contains("event: summary"), "{}", live.text);
    assert!(live.text.trim_end().ends_with("data: ended"), "{}", live.text);

    let csrf = hidden(&failed.text, "csrf");
    let retried = browser.post(&format!("{path}/retry"), &[("csrf", &csrf)]).await;
    assert_eq!(retried.header("location"), path);
    let again = browser.post(&format!("{path}/retry"), &[("csrf", &csrf)]).await;
    assert!(again.status == StatusCode::CONFLICT && again.text.contains("role=\"alert\""));
    for filter in ["", "?state=queued", "?state=failed"] {
        assert_eq!(browser.get(&format!("/runs{filter}")).await.status, StatusCode::OK);
    }
    assert!(browser.get("/status").await.text.contains("workers alive"));
}

#[tokio::test]
async fn what_is_not_there_is_a_page_too() {
    let site = Site::new().await;
    let mut browser = Browser::signed_in(&site).await;
    for path in
        ["/nothing", "/tenants/nobody", "/runs/seven", "/restores/00000000-0000-7000-8000-000000000000"]
    {
        let missing = browser.get(path).await;
        assert_eq!(missing.status, StatusCode::NOT_FOUND, "{path}");
        assert!(missing.header("content-type").starts_with("text/html"), "{path}");
        assert!(missing.text.contains(missing.header("x-request-id")), "{path}");
    }
    let asset = browser.get("/assets/console.css?v=old").await;
    assert_eq!(asset.header("cache-control"), "no-cache");
    let page = browser.get("/tenants").await.text;
    let address = page.split("href=\"").find_map(|part| part.strip_prefix("/assets/console.css?v=")).unwrap();
    let address = format!("/assets/console.css?v={}", address.split('"').next().unwrap());
    assert!(browser.get(&address).await.header("cache-control").contains("immutable"));
    assert_eq!(browser.get("/assets/../Cargo.toml").await.status, StatusCode::NOT_FOUND);
}

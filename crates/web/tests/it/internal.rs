use axum::http::{Method, StatusCode};
use model::run::RunKind;
use protocol::internal::{Finish, Heartbeat, Outcome, Routes};
use serde_json::{Value, json};

use crate::site::{PLATFORM_KEY, Site};

#[tokio::test]
async fn only_the_platform_key_opens_it() {
    let site = Site::new().await;
    let longer = format!("{PLATFORM_KEY}x");
    for key in ["", "x", &longer, &PLATFORM_KEY[1..], &site.key] {
        for path in ["/internal/routes", "/internal/nothing"] {
            let refused = site.send(site.request(Method::GET, path, key, None)).await;
            assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{key:?} {path}");
            refused.problem();
        }
    }
    let routes = site.send(site.request(Method::GET, "/internal/routes", PLATFORM_KEY, None)).await;
    assert!(routes.good::<Routes>().routes.is_empty());
}

#[tokio::test]
async fn a_stale_workers_report_is_refused() {
    let site = Site::new().await;
    let worker = site.with_environment().await;
    let new = json!({"environment": "demo/production", "name": "acme"});
    site.post("/api/v1/tenants", new).await.good::<Value>();
    let claimed = worker.claim(RunKind::Provision).await;
    let beat = |fence| {
        let body = serde_json::to_value(Heartbeat { fence }).unwrap();
        let path = format!("/internal/runs/{}/heartbeat", claimed.run);
        site.send(site.request(Method::POST, &path, PLATFORM_KEY, Some(&body)))
    };
    assert_eq!(beat(claimed.fence).await.status, StatusCode::OK);
    let stale = beat(claimed.fence - 1).await;
    assert_eq!((stale.status.as_u16(), stale.problem().kind.as_str()), (409, "stale"));

    let finish = Finish { fence: claimed.fence - 1, outcome: Outcome::Succeeded };
    let body = serde_json::to_value(finish).unwrap();
    let path = format!("/internal/runs/{}/finish", claimed.run);
    let stale = site.send(site.request(Method::POST, &path, PLATFORM_KEY, Some(&body))).await;
    assert_eq!((stale.status.as_u16(), stale.problem().kind.as_str()), (409, "stale"));
}

#[tokio::test]
async fn the_route_table_follows_a_tenant() {
    let site = Site::new().await;
    let worker = site.with_environment().await;
    let get = |path: String| site.send(site.request(Method::GET, &path, PLATFORM_KEY, None));
    let before: Routes = get("/internal/routes".into()).await.good();
    worker.tenant("acme").await;
    let after: Routes = get(format!("/internal/routes?after={}&wait_ms=5000", before.version)).await.good();
    assert_ne!(before.version, after.version);
    assert!(after.routes.iter().any(|route| route.host == "acme.localhost"), "{after:?}");
}

#[tokio::test]
async fn a_tenants_log_is_asked_of_its_worker() {
    let site = Site::new().await;
    let worker = site.with_environment().await;
    worker.tenant("acme").await;
    let worker_answers = async {
        let path = format!("/internal/workers/{}/questions?wait_ms=5000", worker.id);
        let asked: Value = site.send(site.request(Method::GET, &path, PLATFORM_KEY, None)).await.good();
        let question = &asked["questions"][0];
        assert_eq!(question["ask"]["source"], "cluster");
        let answer = json!({"id": question["id"], "lines": ["one", "two"]});
        site.internal::<Value>(&format!("/internal/workers/{}/answers", worker.id), &answer).await;
    };
    let (log, ()) = tokio::join!(site.get("/api/v1/tenants/acme/log?source=cluster&lines=2"), worker_answers);
    assert_eq!(log.good::<Value>(), json!({"lines": ["one", "two"]}));
}

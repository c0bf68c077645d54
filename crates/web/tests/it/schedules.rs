//! Schedules, maintenance windows and alerts over the API.

use axum::http::{Method, StatusCode};
use protocol::api::{Alert, MaintenanceWindow, Page, Schedule, ScheduleRan, ScheduledTime};
use serde_json::{Value, json};

use crate::site::{Answered, Site};

async fn send(
    site: &Site,
    method: Method,
    path: &str,
    version: Option<&str>,
    body: Option<&Value>,
) -> Answered {
    let mut request = site.request(method, path, &site.key, body);
    if let Some(version) = version {
        request.headers_mut().insert("if-match", version.parse().unwrap());
    }
    site.send(request).await
}

#[tokio::test]
async fn a_schedule_is_made_changed_run_and_removed() {
    let site = Site::new().await;
    let worker = site.with_environment().await;
    worker.tenant("acme").await;
    let new = json!({"project": "demo", "name": "nightly", "action": "snapshot", "environment": "production",
                     "cron": "30 2 * * *", "zone": "europe/paris"});
    let made = site.post("/api/v1/schedules", new).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let made: Schedule = made.good();
    assert_eq!((made.zone.as_str(), made.catch_up.as_str(), made.version), ("Europe/Paris", "once", 1));

    let path = "/api/v1/schedules/demo/nightly";
    let read = site.get(path).await;
    let tag = read.header("etag").to_owned();
    assert!(tag.starts_with("\"1."), "{tag}");
    let pause = json!({"enabled": false});
    let blind = send(&site, Method::PATCH, path, None, Some(&pause)).await;
    assert_eq!(blind.problem().status, 428);
    let paused: Schedule = send(&site, Method::PATCH, path, Some(&tag), Some(&pause)).await.good();
    assert!(!paused.enabled && paused.next_at.is_none());
    let racing = send(&site, Method::PATCH, path, Some(&tag), Some(&json!({"cron": "@daily"}))).await;
    assert_eq!(racing.problem().status, 412);
    let resumed: Schedule =
        send(&site, Method::PATCH, path, Some("\"2\""), Some(&json!({"enabled": true}))).await.good();
    assert!(resumed.next_at.is_some());

    let times: Page<ScheduledTime> = site.get(&format!("{path}/next?count=3")).await.good();
    assert_eq!((times.items.len(), Some(times.items[0].at)), (3, resumed.next_at));
    assert!(times.items[0].local.contains("T02:30:00+0"), "{:?}", times.items[0]);

    let ran: ScheduleRan = site.post(&format!("{path}/run"), json!({})).await.good();
    assert_eq!(ran.runs.len(), 1);
    let run: Value = site.get(&format!("/api/v1/runs/{}", ran.runs[0])).await.good();
    assert_eq!((&run["kind"], &run["state"]), (&json!("snapshot"), &json!("queued")));

    let list: Page<Schedule> = site.get("/api/v1/schedules?project=demo&limit=1").await.good();
    assert_eq!(list.items.len(), 1);
    assert_eq!(send(&site, Method::DELETE, path, None, None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(site.get(path).await.problem().status, 404);
}

/// What is wrong with a request, and the status and kind it is refused with.
type Wrong = (&'static str, Method, &'static str, Option<Value>, u16, &'static str);

#[tokio::test]
async fn bad_inputs_are_refused_with_what_to_do() {
    let site = Site::new().await;
    site.with_environment().await;
    let new = |key: &str, value: Value| {
        let mut new =
            json!({"project": "demo", "name": "nightly", "action": "snapshot", "cron": "30 2 * * *"});
        new[key] = value;
        Some(new)
    };
    let window = |key: &str, value: Value| {
        let mut new = json!({"project": "demo", "name": "sunday", "cron": "0 2 * * SUN", "minutes": 60});
        new[key] = value;
        Some(new)
    };
    let (schedules, windows) = ("/api/v1/schedules", "/api/v1/maintenance-windows");
    let (get, post) = (Method::GET, Method::POST);
    let nobody = "/api/v1/alerts/00000000-0000-7000-8000-000000000000/acknowledge";
    let cases: Vec<Wrong> = vec![
        ("no cron", post.clone(), schedules, new("cron", json!("soon")), 400, "invalid"),
        ("seconds", post.clone(), schedules, new("cron", json!("0 0 0 * * *")), 400, "invalid"),
        ("a day that never comes", post.clone(), schedules, new("cron", json!("0 0 30 2 *")), 400, "invalid"),
        ("a long cron", post.clone(), schedules, new("cron", json!("1,".repeat(10_000))), 400, "invalid"),
        ("no zone", post.clone(), schedules, new("zone", json!("Paris")), 400, "invalid"),
        (
            "a path as zone",
            post.clone(),
            schedules,
            new("zone", json!("../../../etc/passwd")),
            400,
            "invalid",
        ),
        ("a bad name", post.clone(), schedules, new("name", json!("A b")), 400, "invalid"),
        ("no action", post.clone(), schedules, new("action", json!("drop")), 422, "invalid"),
        ("an unknown field", post.clone(), schedules, new("evil", json!(1)), 422, "invalid"),
        ("an unknown project", post.clone(), schedules, new("project", json!("nobody")), 404, "not-found"),
        ("an unknown tenant", post.clone(), schedules, new("tenant", json!("nobody")), 404, "not-found"),
        ("an unknown schedule", get.clone(), "/api/v1/schedules/demo/nothing", None, 404, "not-found"),
        ("to run it", post.clone(), "/api/v1/schedules/demo/nothing/run", None, 404, "not-found"),
        ("its times", get.clone(), "/api/v1/schedules/demo/nothing/next", None, 404, "not-found"),
        ("no window", post.clone(), windows, window("minutes", json!(0)), 400, "invalid"),
        ("an endless window", post.clone(), windows, window("minutes", json!(1441)), 400, "invalid"),
        ("a bad cron", post.clone(), windows, window("cron", json!("* * *")), 400, "invalid"),
        (
            "an unknown environment",
            post.clone(),
            windows,
            window("environment", json!("no")),
            404,
            "not-found",
        ),
        ("an unknown window", get.clone(), "/api/v1/maintenance-windows/demo/no", None, 404, "not-found"),
        ("an unknown alert", post.clone(), nobody, None, 404, "not-found"),
        ("an unknown state", get.clone(), "/api/v1/alerts?state=gone", None, 400, "invalid"),
    ];
    for (what, method, path, body, status, kind) in cases {
        let problem = send(&site, method, path, None, body.as_ref()).await.problem();
        assert_eq!((problem.status, problem.kind.as_str()), (status, kind), "{what}: {problem:?}");
        assert!(problem.detail.len() < 600, "{what}: {} characters", problem.detail.len());
    }
}

#[tokio::test]
async fn windows_and_alerts_are_shown() {
    let site = Site::new().await;
    site.with_environment().await;
    let always = json!({"project": "demo", "name": "always", "cron": "* * * * *", "minutes": 5});
    let made: MaintenanceWindow = site.post("/api/v1/maintenance-windows", always).await.good();
    assert!(made.open_until.is_some() && made.opens_at.is_none());
    let leap = json!({"project": "demo", "name": "leap", "cron": "0 2 29 2 *", "minutes": 5, "zone": "UTC",
                      "environment": "production"});
    site.post("/api/v1/maintenance-windows", leap).await.good::<Value>();
    let windows: Page<MaintenanceWindow> = site.get("/api/v1/maintenance-windows?project=demo").await.good();
    let leap = &windows.items[1];
    assert_eq!((leap.environment.as_deref(), leap.open_until), (Some("production"), None));
    let path = "/api/v1/maintenance-windows/demo/always";
    assert_eq!(send(&site, Method::DELETE, path, None, None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(site.get(path).await.problem().status, 404);

    let admin = site.scratch.admin().await;
    admin.batch_execute("UPDATE ops.workers SET gone_at = now()").await.unwrap();
    control::reconcile::alert::tick(&site.control).await.unwrap();
    let alerts: Page<Alert> = site.get("/api/v1/alerts?state=open").await.good();
    let [alert] = &alerts.items[..] else { panic!("{alerts:?}") };
    assert_eq!((alert.kind.as_str(), alert.subject.as_str()), ("lost_worker", "host"));
    let path = format!("/api/v1/alerts/{}/acknowledge", alert.id);
    let acknowledged: Alert = site.post(&path, json!({})).await.good();
    assert!(acknowledged.acknowledged_by.unwrap().starts_with("key:"));
    assert!(site.get("/api/v1/alerts?state=open").await.good::<Page<Alert>>().items.is_empty());
    assert_eq!(site.get("/api/v1/alerts").await.good::<Page<Alert>>().items.len(), 1);
}

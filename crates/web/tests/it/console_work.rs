//! Runs, approvals, schedules, alerts and the audit on the console's pages.

use axum::http::StatusCode;
use control::reconcile::{alert, audit};
use control::{AuditKey, Control, Settings};
use jiff::{SignedDuration, Timestamp};
use model::access::Role;
use model::run::RunKind;
use protocol::api::{Alert, Approval, Page, Run, Schedule};
use serde_json::{Value, json};

use crate::browser::{Browser, hidden};
use crate::console_people::next_page;
use crate::site::Site;

const NOWHERE: &str = "00000000-0000-7000-8000-000000000000";

#[tokio::test]
async fn runs_are_listed_and_steered_by_who_may() {
    let site = Site::new().await;
    let worker = site.with_environment().await;
    let probe = |name: &str| json!({"project": "demo", "kind": "probe", "metadata": {"name": name}});
    let probes: Vec<_> = (0..60).map(|n| probe(&n.to_string())).collect();
    site.post("/api/v1/runs", json!({"runs": probes})).await.good::<Value>();
    let all: Page<Run> = site.get("/api/v1/runs?limit=1000").await.good();
    let mut vic = Browser::of(&site, "vic", Some(Role::Viewer)).await;
    let mut tess = Browser::of(&site, "tess", Some(Role::Tester)).await;

    let first = vic.page("/runs").await;
    assert!(first.contains("data-live=\"/live/runs\""));
    assert!(first.contains(&format!("id=\"run-{}\"", all.items[49].id)));
    assert!(!first.contains(&format!("id=\"run-{}\"", all.items[50].id)));
    let second = vic.page(&next_page(&first)).await;
    assert!(second.contains(&format!("id=\"run-{}\"", all.items[50].id)));
    assert!(!second.contains("data-live=\"/live/runs\""), "what is old does not change");

    let run = all.items[0].id;
    let path = format!("/runs/{run}");
    let offered = |page: &str| (page.contains("id=\"cancel\""), page.contains("id=\"retry\""));
    assert_eq!(offered(&vic.page(&path).await), (false, false));
    assert_eq!(offered(&tess.page(&path).await), (true, false));
    for verb in ["cancel", "retry"] {
        let refused = vic.submit(&path, &format!("{path}/{verb}"), &[]).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{verb}: {}", refused.text);
        assert_eq!(tess.post(&format!("{path}/{verb}"), &[]).await.status, StatusCode::FORBIDDEN, "{verb}");
    }
    assert_eq!(tess.submit(&path, &format!("{path}/cancel"), &[]).await.header("location"), path);
    assert_eq!(offered(&tess.page(&path).await), (false, true));
    assert_eq!(tess.submit(&path, &format!("{path}/retry"), &[]).await.header("location"), path);
    // A run in production takes more than a tester.
    worker.tenant("acme").await;
    let made: Page<Run> = site.get("/api/v1/runs?tenant=acme&limit=1").await.good();
    assert_eq!(offered(&tess.page(&format!("/runs/{}", made.items[0].id)).await), (false, false));

    let sql = format!(
        "UPDATE ops.runs SET state = 'dead', reason = 'it lost its worker 4 times',
             started_at = now(), ended_at = now() WHERE id = '{run}'"
    );
    site.scratch.admin().await.batch_execute(&sql).await.unwrap();
    let list = tess.page("/runs").await;
    assert!(list.contains("One run was given up") && list.contains(">Dead</span>"), "{list}");
    assert!(tess.page("/runs?state=dead").await.contains(&path));
    let dead = tess.page(&path).await;
    assert!(dead.contains("It lost its worker 4 times.") && offered(&dead) == (false, true), "{dead}");
    assert_eq!(vic.get("/runs?state=lost").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(vic.get("/runs?after=x").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn others_approve_what_somebody_asks_for() {
    let site = Site::new().await;
    site.with_environment().await;
    let policy = json!({"project": "demo", "act": "provision", "stage": "production", "approvals": 1});
    site.post("/api/v1/policies", policy).await.good::<Value>();
    let mut bea = Browser::of(&site, "bea", Some(Role::Admin)).await;
    let mut ada = Browser::of(&site, "ada", Some(Role::Admin)).await;
    let mut vic = Browser::of(&site, "vic", Some(Role::Viewer)).await;
    let policies = vic.page("/policies?project=demo").await;
    assert!(policies.contains("Make a tenant") && policies.contains("1 × owner or admin"), "{policies}");
    assert!(ada.page("/approvals").await.contains("Nothing waits"));

    let mut asked = async |name: &str| {
        let form = bea.page("/new-tenant").await;
        let once = hidden(&form, "once");
        let fields = [
            ("once", once.as_str()),
            ("environment", "demo/production"),
            ("name", name),
            ("subdomain", ""),
            ("tier", "basic"),
        ];
        let made = bea.submit("/new-tenant", "/new-tenant", &fields).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        let approvals: Page<Approval> = site.get("/api/v1/approvals?state=pending").await.good();
        approvals.items[0].clone()
    };
    let first = asked("acme").await;
    let second = asked("globex").await;
    let at = |approval: &Approval| format!("/approvals/{}", approval.id);
    let run = format!("/runs/{}", first.run.unwrap());
    let waiting = vic.page(&run).await;
    assert!(waiting.contains("waits for the approval of ada") && waiting.contains(&at(&first)), "{waiting}");

    // Who is asked sees it wait for them, counted beside the word.
    let list = ada.page("/approvals").await;
    assert!(list.contains("Waits for you") && !list.contains("You have asked"), "{list}");
    assert!(list.contains(">2<span class=\"hush\"> wait for you"), "{list}");
    assert!(bea.page("/approvals").await.contains("You have asked for"));
    assert!(vic.page("/approvals").await.contains("Waits for others"));
    let decide = format!("{}/decide", at(&first));
    let approve = [("decision", "approve"), ("note", "as agreed")];
    for (browser, why) in [(&mut bea, "asked for themselves"), (&mut vic, "takes the role")] {
        let page = browser.page(&at(&first)).await;
        assert!(!page.contains("id=\"approve\"") && !page.contains("id=\"reject\""), "{page}");
        let refused = browser.submit(&at(&first), &decide, &approve).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text);
        assert!(refused.text.contains(why), "{}", refused.text);
    }
    assert_eq!(ada.post(&decide, &approve).await.status, StatusCode::FORBIDDEN, "without a token");
    let unfit = ada.submit(&at(&first), &decide, &[("decision", "perhaps")]).await;
    assert_eq!(unfit.status, StatusCode::BAD_REQUEST);

    assert_eq!(ada.submit(&at(&first), &decide, &approve).await.header("location"), at(&first));
    let decided = bea.page(&at(&first)).await;
    assert!(decided.contains("data-state=\"granted\"") && decided.contains("as agreed"), "{decided}");
    let state = async |path: &str| site.get(&format!("/api/v1{path}")).await.good::<Run>().state;
    assert_eq!(state(&run).await.as_str(), "queued");
    let again = ada.submit(&at(&first), &decide, &approve).await;
    assert!(again.status == StatusCode::CONFLICT && again.text.contains("granted already"), "{}", again.text);

    let reject = [("decision", "refuse"), ("note", "not before the audit")];
    let decide = format!("{}/decide", at(&second));
    assert_eq!(ada.submit(&at(&second), &decide, &reject).await.header("location"), at(&second));
    assert_eq!(state(&format!("/runs/{}", second.run.unwrap())).await.as_str(), "cancelled");
    let decided = vic.page("/approvals?decided=true").await;
    assert!(decided.contains(">Approved</span>") && decided.contains(">Rejected</span>"), "{decided}");
    assert_eq!(ada.get(&format!("/approvals/{NOWHERE}")).await.status, StatusCode::NOT_FOUND);
    let mut stranger = Browser::of(&site, "eve", None).await;
    assert_eq!(stranger.get(&at(&first)).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn schedules_are_switched_and_run() {
    let site = Site::new().await;
    let worker = site.with_environment().await;
    worker.tenant("acme").await;
    let new = json!({"project": "demo", "name": "nightly", "action": "snapshot", "environment": "production",
                     "cron": "30 2 * * *", "zone": "Europe/Paris"});
    site.post("/api/v1/schedules", new).await.good::<Value>();
    let window = json!({"project": "demo", "name": "sunday", "cron": "0 2 * * SUN", "minutes": 60});
    site.post("/api/v1/maintenance-windows", window).await.good::<Value>();
    let mut ada = Browser::of(&site, "ada", Some(Role::Admin)).await;
    let mut dev = Browser::of(&site, "dev", Some(Role::Developer)).await;
    let list = dev.page("/schedules?project=demo").await;
    assert!(list.contains("Snapshot of demo/production") && list.contains("demo/sunday"), "{list}");
    let at = "/schedules/demo/nightly";
    let page = ada.page(at).await;
    assert!(page.contains("02:30:00+0") && page.contains("id=\"switch\"") && page.contains("id=\"run-now\""));
    let (version, once) = (hidden(&page, "version"), hidden(&page, "once"));
    let off = [("to", "off"), ("version", version.as_str())];
    let now = [("once", once.as_str())];
    let seen = dev.page(at).await;
    assert!(!seen.contains("id=\"switch\"") && !seen.contains("id=\"run-now\""), "{seen}");
    for (path, fields) in [("switch", &off[..]), ("run", &now)] {
        let path = format!("{at}/{path}");
        let refused = dev.submit(at, &path, fields).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}: {}", refused.text);
        assert!(refused.text.contains("role=\"alert\""));
        assert_eq!(ada.post(&path, fields).await.status, StatusCode::FORBIDDEN, "{path} without a token");
    }
    assert_eq!(ada.submit(at, &format!("{at}/switch"), &off).await.header("location"), at);
    let schedule = async || site.get("/api/v1/schedules/demo/nightly").await.good::<Schedule>();
    assert!(!schedule().await.enabled);
    let late = ada.submit(at, &format!("{at}/switch"), &off).await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED);
    assert!(late.text.contains("has been changed since") && late.text.contains("data-enabled=\"false\""));
    let version = hidden(&late.text, "version");
    ada.submit(at, &format!("{at}/switch"), &[("to", "on"), ("version", &version)]).await;
    assert!(schedule().await.enabled);

    let ran = ada.submit(at, &format!("{at}/run"), &now).await;
    assert!(ran.header("location").starts_with("/runs/"), "{}", ran.text);
    // The same form sent again is the same run.
    let twice = ada.submit(at, &format!("{at}/run"), &now).await;
    assert_eq!(twice.header("location"), ran.header("location"));
    let runs: Page<Run> = site.get("/api/v1/runs?kind=snapshot").await.good();
    assert_eq!(runs.items.len(), 1);
    worker.claim(RunKind::Snapshot).await;
    let other =
        json!({"project": "demo", "name": "others", "action": "backup", "cron": "@daily", "tenant": "acme"});
    site.post("/api/v1/schedules", other).await.good::<Value>();
    assert_eq!(ada.get("/schedules/demo/nothing").await.status, StatusCode::NOT_FOUND);
    for n in 0..50 {
        let new = json!({"project": "demo", "name": format!("x{n:02}"), "action": "probe", "cron": "@daily"});
        site.post("/api/v1/schedules", new).await.good::<Value>();
    }
    let first = dev.page("/schedules?project=demo").await;
    let second = dev.page(&next_page(&first)).await;
    assert!(second.contains("demo/x49") && !second.contains("demo/nightly\""), "{second}");
}

#[tokio::test]
async fn alerts_are_counted_acknowledged_and_kept() {
    let site = Site::new().await;
    site.with_environment().await;
    let sql = "INSERT INTO ops.alerts (id, kind, subject, project_id, severity, detail, opened_at)
               SELECT gen_random_uuid(), 'backup_failed', p.id::text, p.id, 'warning', 'the backup of acme failed',
                      now() FROM ops.projects p WHERE p.name = 'demo';
               INSERT INTO ops.alerts (id, kind, subject, project_id, severity, detail, opened_at, quiet_since,
                                       resolved_at)
               SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'disk_full', 'host:' || n, p.id, 'info', 'disk ' || n, now(), now(), now()
               FROM ops.projects p, generate_series(1, 60) n WHERE p.name = 'demo';
               UPDATE ops.workers SET gone_at = now()";
    site.scratch.admin().await.batch_execute(sql).await.unwrap();
    alert::tick(&site.control).await.unwrap();
    let alerts: Page<Alert> = site.get("/api/v1/alerts").await.good();
    let of = |kind: &str| alerts.items.iter().find(|alert| alert.kind.as_str() == kind).unwrap().id;
    let (backup, worker) = (of("backup_failed"), of("lost_worker"));
    let mut admin = Browser::signed_in(&site).await;
    let mut ada = Browser::of(&site, "ada", Some(Role::Admin)).await;
    let mut vic = Browser::of(&site, "vic", Some(Role::Viewer)).await;

    let button = |id| format!("id=\"acknowledge-{id}\"");
    let all = admin.page("/alerts").await;
    assert!(all.contains(&button(backup)) && all.contains(&button(worker)), "{all}");
    assert!(admin.page("/tenants").await.contains(">2<span class=\"hush\"> open"));
    // The installation's own alerts are for those who run it.
    let own = ada.page("/alerts").await;
    assert!(own.contains(&button(backup)) && !own.contains(&worker.to_string()), "{own}");
    let seen = vic.page("/alerts").await;
    assert!(seen.contains("The backup of acme failed.") && !seen.contains(&button(backup)), "{seen}");
    let act = |id| format!("/alerts/{id}/acknowledge");
    let refused = vic.submit("/alerts", &act(backup), &[]).await;
    assert!(refused.status == StatusCode::FORBIDDEN && refused.text.contains("operate"), "{}", refused.text);
    assert_eq!(ada.submit("/alerts", &act(worker), &[]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(ada.post(&act(backup), &[]).await.status, StatusCode::FORBIDDEN, "without a token");

    assert_eq!(ada.submit("/alerts", &act(backup), &[]).await.header("location"), "/alerts");
    let looked = ada.page("/alerts").await;
    assert!(looked.contains("Somebody looks at") && looked.contains("acknowledged by you"), "{looked}");
    assert!(!looked.contains(" open</span>"), "none is open to her");
    let both = admin.page("/alerts").await;
    let place = |id: uuid::Uuid| both.find(&format!("id=\"alert-{id}\"")).unwrap();
    assert!(place(worker) < place(backup), "open ones stand first");

    let resolved = vic.page("/alerts?state=resolved").await;
    let rest = vic.page(&next_page(&resolved)).await;
    assert_eq!(resolved.matches("Disk ").count() + rest.matches("Disk ").count(), 60);
    let later = Timestamp::now() + SignedDuration::from_hours(1);
    for minutes in [0, 5] {
        alert::tick_at(&site.control, later + SignedDuration::from_mins(minutes)).await.unwrap();
    }
    assert!(ada.page("/alerts?state=resolved").await.contains("The backup of acme failed."));
    let late = ada.submit("/alerts", &act(backup), &[]).await;
    assert!(late.status == StatusCode::CONFLICT && late.text.contains("is resolved"), "{}", late.text);
    assert_eq!(vic.get("/alerts?state=gone").await.status, StatusCode::BAD_REQUEST);

    // The count is kept fresh where the page stays open.
    let live = async |path: &str| {
        use http_body_util::BodyExt;
        use tower::ServiceExt;
        let mut request = axum::http::Request::get(path).header("accept", "text/event-stream");
        let cookies: Vec<_> = admin.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        request = request.header("cookie", cookies.join("; ")).header("host", "console.test");
        let answer = site.router.clone().oneshot(request.body(axum::body::Body::empty()).unwrap()).await;
        let mut body = answer.unwrap().into_body();
        let mut told = String::new();
        while !told.contains("event: alerts") || !told.ends_with("\n\n") {
            let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
            told.push_str(std::str::from_utf8(&frame).unwrap());
        }
        told
    };
    assert!(live("/live/nav").await.contains(">1<span class=\"hush\"> open"));
    assert!(live("/live/alerts").await.contains(&worker.to_string()));
}

#[tokio::test]
async fn the_audit_is_read_filtered_and_checked() {
    let site = Site::new().await;
    let worker = site.with_environment().await;
    worker.tenant("acme").await;
    for n in 0..60 {
        let new = json!({"project": "demo", "name": format!("x{n}"), "action": "probe", "cron": "@daily"});
        site.post("/api/v1/schedules", new).await.good::<Value>();
    }
    let mut ada = Browser::of(&site, "ada", Some(Role::Admin)).await;
    let mut dev = Browser::of(&site, "dev", Some(Role::Developer)).await;
    let mut admin = Browser::signed_in(&site).await;

    let first = ada.page("/audit").await;
    assert!(first.contains("Member created") && first.contains("name=\"project\" value=\"demo\""), "{first}");
    assert!(!first.contains("The installation itself"));
    let second = ada.page(&next_page(&first)).await;
    assert!(second.contains("Schedule created") && !second.contains("Member created"));
    let tenants = ada.page("/audit?project=demo&act=tenants").await;
    assert!(tenants.contains("Tenant created") && !tenants.contains("Schedule created"), "{tenants}");
    // Each entry with what led to it.
    assert!(tenants.contains("as a worker") && tenants.contains("Led to by"), "{tenants}");
    let about = ada.page("/audit?project=demo&subject=acme").await;
    assert!(about.contains("Tenant created") && !about.contains("Schedule created"), "{about}");
    let pages = next_page(&ada.page("/audit?project=demo&act=schedules&since=2020-01-01T00:00:00").await);
    assert!(pages.contains("act=schedules&since=2020-01-01T00:00:00&after="), "{pages}");
    assert!(ada.page("/audit?since=2099-01-01T00:00").await.contains("Nothing of that"));
    for query in ["since=yesterday", "subject=nobody-of-that-name"] {
        let unfit = ada.get(&format!("/audit?project=demo&{query}")).await;
        assert_eq!(unfit.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
        assert!(unfit.text.contains("role=\"alert\"") && unfit.text.contains("id=\"subject\""), "{query}");
    }
    assert_eq!(ada.get("/audit?project=nobodys").await.status, StatusCode::NOT_FOUND);

    // Others read nothing of it.
    for path in ["/audit", "/audit?project=demo", "/audit?project=-"] {
        let page = dev.page(path).await;
        assert!(page.contains("Not yours to read") && !page.contains("Tenant created"), "{path}: {page}");
    }
    assert!(!ada.page("/audit?project=-").await.contains("User created"));
    assert!(admin.page("/audit?project=-").await.contains("User created"));

    let key = AuditKey::parse(&AuditKey::draw().unwrap()).unwrap();
    let settings = Settings { audit_key: Some(key), ..Settings::default() };
    let sealer = Control::connect(&site.scratch.url(), settings).await.unwrap();
    assert!(ada.page("/audit").await.contains("Nothing is sealed yet"));
    // Other tests' transactions on the same server may be in the way for a moment.
    let unsealed =
        async || site.get("/api/v1/audit/blocks?project=demo").await.good::<Value>()["unsealed"].clone();
    while unsealed().await != 0 {
        audit::tick(&sealer).await.unwrap();
    }
    assert!(ada.page("/audit").await.contains("Signed by"));
    let demo = [("project", "demo")];
    assert_eq!(ada.post("/audit/verify", &demo).await.status, StatusCode::FORBIDDEN, "without a token");
    let sound = ada.submit("/audit", "/audit/verify", &demo).await;
    assert!(sound.text.contains("It is as it was sealed"), "{}", sound.text);
    let sql = "ALTER TABLE ops.audit DISABLE TRIGGER ALL;
               UPDATE ops.audit SET address = '10.0.0.1' WHERE act = 'tenants.created'";
    site.scratch.admin().await.batch_execute(sql).await.unwrap();
    let changed = ada.submit("/audit", "/audit/verify", &demo).await;
    assert!(changed.text.contains("It is not as it was sealed") && changed.text.contains("changed: row"));
}

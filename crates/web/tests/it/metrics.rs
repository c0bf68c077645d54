//! `/metrics`, the rules that go with it, and a real Prometheus.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::extract::ConnectInfo;
use axum::http::{Method, StatusCode};
use control::reconcile;
use model::run::RunKind;
use protocol::client::{Client, Key};
use protocol::internal::{Observed, ObservedDisk, Outcome};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::site::{PLATFORM_KEY, Site};

fn shipped(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../monitoring").join(file).canonicalize().unwrap()
}

/// A platform with something of everything that is counted.
async fn busy(site: &Site) {
    let worker = site.with_environment().await;
    worker.tenant("acme").await;
    let disk = ObservedDisk { place: model::alert::Place::Data, total: 100 << 30, free: 1 << 30 };
    let path = format!("/internal/workers/{}/observed", worker.id);
    site.internal::<Value>(&path, &Observed { disks: vec![disk], ..Observed::default() }).await;
    site.post("/api/v1/tenants/acme/snapshots", json!({"name": "one"})).await.good::<Value>();
    let claimed = worker.claim(RunKind::Snapshot).await;
    worker.finish(&claimed, Outcome::Failed { reason: "why".into(), hint: None }).await;
    site.post("/api/v1/tenants/acme/snapshots", json!({"name": "two"})).await.good::<Value>();
    let schedule = json!({"project": "demo", "name": "nightly", "action": "snapshot", "cron": "0 2 * * *"});
    site.post("/api/v1/schedules", schedule).await.good::<Value>();
    assert_eq!(reconcile::alert::tick(&site.control).await.unwrap().opened, 1);
    site.get("/api/v1/tenants/no/such/route").await;
    site.get("/api/v1/tenants/whoever").await;
}

async fn metrics(site: &Site) -> String {
    let answered = site.send(site.request(Method::GET, "/metrics", PLATFORM_KEY, None)).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text);
    assert!(answered.header("content-type").starts_with("application/openmetrics-text; version=1.0.0"));
    answered.text
}

/// The value of a series, as it is written.
fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().unwrap()
}

#[tokio::test]
async fn what_is_counted_is_shown() {
    let site = Site::new().await;
    busy(&site).await;
    let text = metrics(&site).await;
    for (series, expected) in [
        (r#"heddle_runs{kind="snapshot",state="queued"}"#, 1.0),
        ("heddle_queue_depth", 1.0),
        (r#"heddle_run_claims_total{kind="provision"}"#, 1.0),
        (r#"heddle_runs_finished_total{kind="snapshot",state="failed"}"#, 1.0),
        (r#"heddle_runs_finished_total{kind="build",state="succeeded"}"#, 1.0),
        (r#"heddle_run_duration_seconds_count{kind="build"}"#, 1.0),
        (r#"heddle_tenants{state="active"}"#, 1.0),
        (r#"heddle_workers{state="alive"}"#, 1.0),
        (r#"heddle_alerts{kind="disk_full",severity="critical"}"#, 1.0),
        (r#"heddle_worker_disk_free_bytes{worker="host",place="data"}"#, 1_073_741_824.0),
        (r#"heddle_schedules{state="enabled"}"#, 1.0),
        ("heddle_tenants_without_backup", 0.0),
        (r#"heddle_http_requests_total{method="GET",route="/api/v1/tenants/{tenant}",status="404"}"#, 1.0),
        (r#"heddle_http_request_duration_seconds_count{method="POST",route="/internal/runs/claim"}"#, 3.0),
    ] {
        assert_eq!(value(&text, series), expected, "{series}");
    }
    assert!(value(&text, "process_resident_memory_bytes") > 1e6);
    assert!(value(&text, "heddle_management_connections") >= 1.0);
    assert!(value(&text, "heddle_pool_connections_max{role=\"user\"}") >= 1.0);
    assert!(text.ends_with("# EOF\n"));
    assert_eq!(text.matches("# EOF").count(), 1);
    // What somebody chose is no label.
    assert!(!text.contains("whoever") && !text.contains("no/such"), "{text}");
    assert!(!text.contains("acme"), "a tenant is named though no setting allows it");
}

#[tokio::test]
async fn labels_do_not_grow_with_what_visitors_send() {
    let site = Site::new().await;
    let series = |text: &str| text.lines().filter(|line| line.starts_with("heddle_http")).count();
    for nth in 0..3 {
        site.get(&format!("/api/v1/tenants/{nth}")).await;
        site.get(&format!("/nowhere/{nth}")).await;
        let method = Method::from_bytes(format!("M{nth}").as_bytes()).unwrap();
        site.send(site.request(method, "/api/v1/tenants", &site.key, None)).await;
    }
    let before = series(&metrics(&site).await);
    for nth in 3..60 {
        site.get(&format!("/api/v1/tenants/{nth}")).await;
        site.get(&format!("/nowhere/{nth}")).await;
        let method = Method::from_bytes(format!("M{nth}").as_bytes()).unwrap();
        site.send(site.request(method, "/api/v1/tenants", &site.key, None)).await;
    }
    // The first look itself was counted after it was written.
    let look = 2 + 14;
    let after = series(&metrics(&site).await);
    assert!(after <= before + look, "{before} series became {after}");
}

#[tokio::test]
async fn metrics_are_shown_to_operators_and_by_setting_to_this_machine() {
    let mut site = Site::new().await;
    let admin = site.scratch.admin().await;
    let scoped = |site: &Site, scopes: &str, operator: bool| {
        let key = site.control.clone();
        let (admin, scopes) = (&admin, scopes.to_owned());
        async move {
            let created = key.create_api_key("scoped").await.unwrap();
            let sql = format!(
                "INSERT INTO ops.users (id, login, password_hash, operator)
                     VALUES ('{id}', 'u{id}', 'x', {operator}) ON CONFLICT DO NOTHING;
                 UPDATE ops.api_keys SET user_id = '{id}', scopes = '{scopes}' WHERE id = '{id}'",
                id = created.api_key.id
            );
            admin.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{error:?}"));
            created.key
        }
    };
    let watcher = scoped(&site, "{read}", true).await;
    let blind = scoped(&site, "{test}", true).await;
    let member = scoped(&site, "{read}", false).await;
    let own = site.key.clone();
    let ask = async |site: &Site, key: &str, peer: &str, forwarded: bool| {
        let mut request = site.request(Method::GET, "/metrics", key, None);
        let peer: SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        if forwarded {
            request.headers_mut().insert("x-forwarded-for", "203.0.113.7".parse().unwrap());
        }
        site.send(request).await.status.as_u16()
    };
    let (near, far) = ("127.0.0.1:1", "192.0.2.1:1");
    for (key, expected) in [
        (PLATFORM_KEY, 200),
        (own.as_str(), 200),
        (watcher.as_str(), 200),
        (blind.as_str(), 403),
        (member.as_str(), 403),
        ("hk_no_such", 401),
        ("", 401),
    ] {
        assert_eq!(ask(&site, key, far, false).await, expected, "{key}");
        assert_eq!(ask(&site, key, near, false).await, expected, "{key} from near");
    }
    let mut state = web::WebState::new(site.control.clone(), PLATFORM_KEY);
    state.metrics_on_loopback = true;
    site.router = web::router(state);
    assert_eq!(ask(&site, "", near, false).await, 200);
    assert_eq!(ask(&site, "", "[::1]:1", false).await, 200);
    assert_eq!(ask(&site, "", "[::ffff:127.0.0.1]:1", false).await, 200);
    assert_eq!(ask(&site, "", near, true).await, 401, "a proxy on this machine speaks for somebody else");
    assert_eq!(ask(&site, "", far, false).await, 401);
}

/// Every metric that a rule names is one that is shown.
#[tokio::test]
async fn rules_speak_of_metrics_that_are_there() {
    let site = Site::new().await;
    busy(&site).await;
    let text = metrics(&site).await;
    let shown: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let rules = fs::read_to_string(shipped("heddle.rules.yml")).unwrap();
    let named: BTreeSet<&str> = rules
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':')
        .filter(|word| word.starts_with("heddle_"))
        .map(|word| word.trim_end_matches("_total"))
        .collect();
    assert!(named.len() >= 12, "{named:?}");
    let missing: Vec<_> = named.difference(&shown).collect();
    assert!(missing.is_empty(), "{missing:?} are not among {shown:?}");
}

#[test]
fn rules_are_what_they_say() {
    for (verb, file) in [("check", "heddle.rules.yml"), ("test", "heddle.rules.test.yml")] {
        let output =
            Command::new("promtool").args([verb, "rules"]).arg(shipped(file)).output().expect("run promtool");
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "promtool {verb} rules: {said}");
    }
}

/// Ends with the test, however it ends.
struct Prometheus(Child);

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_scrapes_it_and_a_rule_fires() {
    let site = Site::new().await;
    busy(&site).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(web::serve(listener, site.router.clone(), async {
        let _ = stopped.await;
    }));

    let folder = std::env::temp_dir().join(format!("heddle-prometheus-{}", uuid::Uuid::new_v4()));
    fs::create_dir(&folder).unwrap();
    let key = folder.join("heddle.key");
    let mut options = fs::OpenOptions::new();
    let file = options.create_new(true).write(true).mode(0o600).open(&key).unwrap();
    std::io::Write::write_all(&mut &file, site.key.as_bytes()).unwrap();
    // As it is shipped, but quicker and with this test's address.
    let config = fs::read_to_string(shipped("prometheus.yml"))
        .unwrap()
        .replace("interval: 15s", "interval: 1s")
        .replace("127.0.0.1:7700", &target.to_string());
    fs::write(folder.join("prometheus.yml"), config).unwrap();
    fs::copy(shipped("heddle.rules.yml"), folder.join("heddle.rules.yml")).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let log = fs::File::create(folder.join("log")).unwrap();
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("start prometheus");
    let prometheus = Prometheus(child);
    let client = Client::new(&format!("http://127.0.0.1:{port}"), Key::new("none".to_owned()));
    let answers = async |query: &str| -> Option<Value> {
        let answer: Value = client.get(&format!("/api/v1/query?query={query}")).await.ok()?;
        answer["data"]["result"].get(0).cloned()
    };
    let until = async |query: &str, expected: &str| {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let found = answers(query).await;
            if found.as_ref().is_some_and(|found| found["value"][1] == expected) {
                return found.unwrap()["metric"].clone();
            }
            let log = fs::read_to_string(folder.join("log")).unwrap();
            assert!(Instant::now() < deadline, "{query} is {found:?}; prometheus says\n{log}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    until("up", "1").await;
    until("heddle_tenants", "1").await;
    let fired = until("ALERTS%7Balertstate%3D%22firing%22%7D", "1").await;
    assert_eq!((&fired["alertname"], &fired["kind"]), (&json!("HeddleOpenAlert"), &json!("disk_full")));
    // Everything that it was shown, it has understood.
    until("scrape_samples_scraped%20%3E%20bool%2060", "1").await;

    drop(prometheus);
    let _ = stop.send(());
    serving.await.unwrap().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}

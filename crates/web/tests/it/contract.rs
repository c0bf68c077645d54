//! The API held against its document by schemathesis, from PyPI: a control on
//! a real port, with data in it, an operator's key, and requests made from the
//! document and against it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use axum::http::Method;
use control::Settings;
use model::run::RunKind;
use protocol::api::{Page, Restore, Run};
use protocol::internal::Outcome;
use serde_json::{Value, json};

use crate::site::{PLATFORM_KEY, Site, Worker};

/// For each operation, beside the cases at the edges of what its document
/// says. `HEDDLE_TEST_EXAMPLES` tries more of them.
const EXAMPLES: u32 = 20;

/// Fewer cases would say little.
const LEAST: u64 = 2000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract")
}

/// Where `scripts/prepare.sh test` has put it.
fn schemathesis() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/prepare.sh");
    let said = Command::new(script).arg("schemathesis").output().expect("ask where schemathesis is");
    let path = PathBuf::from(String::from_utf8_lossy(&said.stdout).trim()).join("bin/schemathesis");
    assert!(path.exists(), "there is no {}: `scripts/prepare.sh test` puts it there", path.display());
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_no_answer_outside_the_document() {
    let program = schemathesis();
    // Kept for whoever looks for the reason, unless the test passes.
    let place = tempfile::Builder::new().prefix("heddle-contract-").tempdir().unwrap().keep();
    let site = Site::with(Settings { secrets_key: Some(secrets_key(&place)), ..Settings::default() }).await;
    // So many at once are no attack here.
    let any = web::Rate { per_second: 1e6, burst: 1e6 };
    let state = web::WebState::new(site.control.clone(), PLATFORM_KEY).limited(None, any);
    let site = site.with_router(web::router(state));
    let worker = site.with_environment().await;
    let known = furnish(&site, &worker).await;

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = async move {
        let _ = stopped.await;
    };
    let served = tokio::spawn(web::serve(listener, site.router.clone(), shutdown));

    let examples = std::env::var("HEDDLE_TEST_EXAMPLES").ok().and_then(|number| number.parse().ok());
    let settings = fs::read_to_string(folder().join("schemathesis.toml")).unwrap();
    let settings = settings.replace("${EXAMPLES}", &examples.unwrap_or(EXAMPLES).to_string());
    fs::write(place.join("schemathesis.toml"), settings + &known).unwrap();
    let began = Instant::now();
    let mut command = tokio::process::Command::new(program);
    command
        .args(["--config-file", "schemathesis.toml", "run", "--no-color", "--report", "json,ndjson"])
        .args(["--report-json-path", "report.json", "--report-ndjson-path", "cases.ndjson"])
        .arg(format!("http://{address}/api/openapi.json"))
        .env("HEDDLE_API_KEY", &site.key)
        .current_dir(&place)
        .kill_on_drop(true);
    let ended = tokio::select! {
        ended = command.output() => ended.expect("run schemathesis"),
        () = answer_questions(&worker) => unreachable!("the worker never stops answering"),
    };
    stop.send(()).unwrap();
    served.await.unwrap().unwrap();

    let said = String::from_utf8_lossy(&ended.stdout);
    let because = format!("{said}\n{}\n{} is kept", String::from_utf8_lossy(&ended.stderr), place.display());
    assert!(ended.status.success(), "{because}");
    let report: Value = serde_json::from_slice(&fs::read(place.join("report.json")).unwrap()).unwrap();
    let operations = report["operations"]["tested"].as_u64().unwrap();
    let cases = report["test_cases"]["generated"].as_u64().unwrap();
    assert_eq!(report["complete"], true, "{because}");
    // All but the two that would end the key.
    assert_eq!(operations + 2, report["operations"]["total"].as_u64().unwrap(), "{because}");
    assert!(operations >= 30 && cases >= LEAST, "only {cases} cases of {operations} operations: {because}");

    let answers = answers(&fs::read_to_string(place.join("cases.ndjson")).unwrap());
    // Every kind of answer was seen, or the requests were poor.
    for status in [200, 201, 400, 401, 404, 405, 409, 412, 415, 422, 428] {
        assert!(answers.contains_key(&status), "nothing was answered with {status}: {answers:?}");
    }
    let told: Vec<String> = answers.iter().map(|(status, count)| format!("{status} {count}x")).collect();
    println!(
        "schemathesis: {cases} cases of {operations} operations in {} s, no answer outside the document ({})",
        began.elapsed().as_secs(),
        told.join(", ")
    );
    fs::remove_dir_all(&place).unwrap();
}

/// How often each status was answered.
fn answers(cases: &str) -> BTreeMap<u64, u64> {
    let mut answers = BTreeMap::new();
    for line in cases.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let interactions = event["ScenarioFinished"]["recorder"]["interactions"].as_object();
        for interaction in interactions.into_iter().flat_map(|map| map.values()) {
            if let Some(status) = interaction["response"]["status_code"].as_u64() {
                *answers.entry(status).or_default() += 1;
            }
        }
    }
    answers
}

fn secrets_key(place: &Path) -> PathBuf {
    let file = place.join("secrets.key");
    fs::write(&file, control::new_key_file().unwrap().as_bytes()).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    file
}

/// Something of every kind, and the dictionaries that name it.
async fn furnish(site: &Site, worker: &Worker<'_>) -> String {
    let (placed, backup) = worker.tenant("acme").await;
    worker.tenant("globex").await;
    let environment = json!({"project": "demo", "name": "staging", "stage": "staging"});
    site.post("/api/v1/environments", environment).await.good::<Value>();
    site.post("/api/v1/tenants/acme/snapshots", json!({"name": "before"})).await.good::<Value>();
    worker.take_snapshot(placed, backup).await;
    let restore: Restore =
        site.post("/api/v1/tenants/acme/restores", json!({"snapshot": "before"})).await.good();
    worker.plan(placed, backup).await;
    let peek: Value = site.post("/api/v1/tenants/acme/peeks", json!({})).await.good();
    // Runs that have failed, one of them to be tried again, and one that waits.
    let build = json!({"project": "demo", "odoo": "/opt/other", "modules": ["base"]});
    site.post("/api/v1/builds", build).await.good::<Value>();
    let claimed = worker.claim(RunKind::Build).await;
    worker.finish(&claimed, Outcome::Failed { reason: "no Odoo there".into(), hint: None }).await;
    site.post("/api/v1/tenants/globex/snapshots", json!({"name": "lost"})).await.good::<Value>();
    let claimed = worker.claim(RunKind::Snapshot).await;
    worker.finish(&claimed, Outcome::Failed { reason: "no room".into(), hint: None }).await;
    site.post("/api/v1/tenants/acme/snapshots", json!({"name": "queued"})).await.good::<Value>();

    let secret = json!({"value": "correct horse"});
    let secret = site.request(Method::PUT, "/api/v1/secrets/TOKEN?tenant=acme", &site.key, Some(&secret));
    site.send(secret).await.good::<Value>();
    let schedule = json!({"project": "demo", "name": "nightly", "action": "snapshot", "cron": "30 2 * * *"});
    site.post("/api/v1/schedules", schedule).await.good::<Value>();
    let window = json!({"project": "demo", "name": "sunday", "cron": "0 3 * * 0", "minutes": 120});
    site.post("/api/v1/maintenance-windows", window).await.good::<Value>();
    let policy = json!({"project": "demo", "act": "archive_tenant", "stage": "production", "approvals": 1});
    let policy: Value = site.post("/api/v1/policies", policy).await.good();

    // Which is asked for so.
    let archive = site.post("/api/v1/tenants/globex/archive", json!({"confirm": "globex"})).await;
    assert_eq!(archive.problem().kind, "needs-approval");
    let approvals: Page<Value> = site.get("/api/v1/approvals").await.good();
    for login in ["vera", "dora"] {
        site.post("/api/v1/users", json!({"login": login})).await.good::<Value>();
    }
    let member = json!({"role": "viewer"});
    let member = site.request(Method::PUT, "/api/v1/projects/demo/members/vera", &site.key, Some(&member));
    site.send(member).await.good::<Value>();
    let key: Value = site.post("/api/v1/keys", json!({"name": "other"})).await.good();

    let again = site.get("/api/v1/runs?kind=build&state=failed").await.good::<Page<Run>>().items.remove(0);
    let runs: Page<Run> = site.get("/api/v1/runs").await.good();
    let builds: Page<Value> = site.get("/api/v1/builds").await.good();
    let known = [
        ("project", vec!["demo".into()]),
        ("environment", vec!["production".into(), "staging".into()]),
        ("environment_path", vec!["demo/production".into(), "demo/staging".into()]),
        ("tenant", vec!["acme".into(), "globex".into()]),
        ("snapshot", vec!["before".into(), "lost".into(), "queued".into()]),
        ("build", builds.items.iter().map(|build| build["id"].as_str().unwrap().to_owned()).collect()),
        ("secret", vec!["TOKEN".into()]),
        ("schedule", vec!["nightly".into()]),
        ("window", vec!["sunday".into()]),
        ("login", vec!["vera".into(), "dora".into()]),
        ("key", vec![key["api_key"]["id"].as_str().unwrap().to_owned()]),
        ("worker", vec!["host".into()]),
        ("approval", vec![approvals.items[0]["id"].as_str().unwrap().to_owned()]),
        ("policy", vec![policy["id"].as_str().unwrap().to_owned()]),
        ("cron", vec!["30 2 * * *".into(), "0 3 * * 0".into()]),
        ("zone", vec!["UTC".into(), "Europe/Paris".into()]),
        ("peek", vec![peek["peek"]["id"].as_str().unwrap().to_owned()]),
        ("restore", vec![restore.id.to_string()]),
        ("run", [&again].into_iter().chain(&runs.items).map(|run| run.id.to_string()).collect()),
    ];
    let mut text = String::new();
    for (name, values) in known {
        write!(text, "\n[dictionaries.{name}]\nvalues = {values:?}\n").unwrap();
    }
    text
}

/// What control asks the worker for: lines of a log.
async fn answer_questions(worker: &Worker<'_>) {
    let site = worker.site;
    loop {
        let path = format!("/internal/workers/{}/questions?wait_ms=2000", worker.id);
        let asked: Value = site.send(site.request(Method::GET, &path, PLATFORM_KEY, None)).await.good();
        for question in asked["questions"].as_array().unwrap() {
            let answer = json!({"id": question["id"], "lines": ["one", "two"]});
            site.internal::<Value>(&format!("/internal/workers/{}/answers", worker.id), &answer).await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

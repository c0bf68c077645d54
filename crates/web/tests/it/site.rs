//! A web with its control and a database of its own, spoken to without a
//! socket, and a worker that only says what a real one would.

use std::sync::OnceLock;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use control::{Control, Settings};
use http_body_util::BodyExt;
use jiff::Timestamp;
use model::archive::{Backup, Lineage};
use model::lsn::{Lsn, SegmentSize, Timeline};
use model::restore::{Plan, Stop, WalRange};
use model::run::{Level, RunKind};
use model::{BackupId, ClusterId, LineageId, TenantDatabaseId, WorkerId};
use protocol::api::{PlannedLineage, Problem, RestorePlan};
use protocol::internal::{
    Claim, Claimed, Event, Events, Fact, Finish, Outcome, Placed, Register, Registered, Report, Work,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tower::ServiceExt;
use web::WebState;

use crate::scratch::Scratch;

pub const PLATFORM_KEY: &str = "the platform's own key";

pub struct Site {
    pub router: Router,
    pub control: Control,
    pub scratch: Scratch,
    pub key: String,
    /// Who speaks with the platform's key, once somebody has registered.
    worker: OnceLock<WorkerId>,
}

pub struct Answered {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answered {
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text))
    }

    /// The answer's body, which must be of a success.
    #[track_caller]
    pub fn good<T: DeserializeOwned>(&self) -> T {
        assert!(self.status.is_success(), "{} {}", self.status, self.text);
        self.json()
    }

    /// The answer's problem, which must agree with its status and headers.
    #[track_caller]
    pub fn problem(&self) -> Problem {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{} {}", self.status, self.text);
        let problem: Problem = self.json();
        assert_eq!(problem.status, self.status.as_u16());
        assert_eq!(self.headers["x-request-id"], problem.request_id);
        assert!(!problem.detail.is_empty() && !problem.title.is_empty());
        problem
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Site {
    pub async fn new() -> Self {
        Self::with(Settings { router_port: 8070, ..Settings::default() }).await
    }

    pub async fn with(settings: Settings) -> Self {
        let scratch = Scratch::new().await;
        let control = Control::connect(&scratch.url(), settings).await.unwrap();
        let key = control.create_api_key("tests").await.unwrap().key;
        let router = web::router(WebState::new(control.clone(), PLATFORM_KEY));
        Self { router, control, scratch, key, worker: OnceLock::new() }
    }

    pub fn with_router(self, router: Router) -> Self {
        Self { router, ..self }
    }

    pub async fn send(&self, request: Request<Body>) -> Answered {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answered {
            status: head.status,
            headers: head.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    pub fn request(&self, method: Method, path: &str, key: &str, body: Option<&Value>) -> Request<Body> {
        let mut request = Request::builder().method(method).uri(path).header("host", "console.test");
        if !key.is_empty() {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        if let Some(worker) = self.worker.get().filter(|_| key == PLATFORM_KEY) {
            request = request.header("heddle-worker", worker.to_string());
        }
        match body {
            Some(body) => request
                .header("content-type", "application/json")
                .body(Body::from(serde_json::to_vec(body).unwrap()))
                .unwrap(),
            None => request.body(Body::empty()).unwrap(),
        }
    }

    pub async fn get(&self, path: &str) -> Answered {
        self.send(self.request(Method::GET, path, &self.key, None)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answered {
        self.send(self.request(Method::POST, path, &self.key, Some(&body))).await
    }

    pub async fn internal<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> T {
        let body = serde_json::to_value(body).unwrap();
        self.send(self.request(Method::POST, path, PLATFORM_KEY, Some(&body))).await.good()
    }

    /// A worker, a project with a ready build, and its production environment.
    pub async fn with_environment(&self) -> Worker<'_> {
        let register = Register { name: "host".into(), version: "0".into(), kinds: vec![], labels: vec![] };
        let worker: Registered = self.internal("/internal/workers", &register).await;
        self.worker.set(worker.worker).expect("one worker a site");
        let worker = Worker { site: self, id: worker.worker };
        self.post("/api/v1/projects", json!({"name": "demo"})).await.good::<Value>();
        let build = json!({"project": "demo", "odoo": "/opt/odoo", "modules": ["base"]});
        self.post("/api/v1/builds", build).await.good::<Value>();
        let claimed = worker.claim(RunKind::Build).await;
        let Work::Build { build } = &claimed.work else { panic!("{:?}", claimed.work) };
        worker.record(&claimed, Fact::BuildReady { build: build.build, odoo_version: "11.0".into() }).await;
        worker.finish(&claimed, Outcome::Succeeded).await;
        let environment = json!({"project": "demo", "name": "production", "stage": "production"});
        self.post("/api/v1/environments", environment).await.good::<Value>();
        worker
    }
}

pub struct Worker<'a> {
    pub site: &'a Site,
    pub id: WorkerId,
}

impl Worker<'_> {
    pub async fn claim(&self, kind: RunKind) -> Claimed {
        let claim = Claim { worker: self.id, kinds: vec![kind], n: 1, previews: None, wait_ms: 5000 };
        let mut claimed: Vec<Claimed> = self.site.internal("/internal/runs/claim", &claim).await;
        claimed.pop().unwrap_or_else(|| panic!("there is no {kind} to claim"))
    }

    pub async fn record(&self, claimed: &Claimed, fact: Fact) {
        let path = format!("/internal/runs/{}/record", claimed.run);
        self.site.internal::<Value>(&path, &Report { fence: claimed.fence, fact }).await;
    }

    pub async fn say(&self, claimed: &Claimed, message: &str) {
        let path = format!("/internal/runs/{}/events", claimed.run);
        let event = Event {
            at: Timestamp::now(),
            level: Level::Info,
            message: message.into(),
            progress: Some(0.5),
            payload: None,
        };
        self.site
            .internal::<Value>(
                &path,
                &Events { fence: claimed.fence, first: event.at.as_microsecond(), events: vec![event] },
            )
            .await;
    }

    pub async fn finish(&self, claimed: &Claimed, outcome: Outcome) {
        let path = format!("/internal/runs/{}/finish", claimed.run);
        self.site.internal::<Value>(&path, &Finish { fence: claimed.fence, outcome }).await;
    }

    /// A tenant that is asked for and provisioned, with its first base backup.
    pub async fn tenant(&self, name: &str) -> (Placed, BackupId) {
        let new = json!({"environment": "demo/production", "name": name});
        self.site.post("/api/v1/tenants", new).await.good::<Value>();
        let claimed = self.claim(RunKind::Provision).await;
        let tenant = claimed.tenant.unwrap();
        let placed = Placed {
            tenant_database: TenantDatabaseId::new(),
            cluster: ClusterId::new(),
            lineage: LineageId::new(),
        };
        let lineage = Lineage {
            id: placed.lineage,
            tenant,
            parent: None,
            timeline: Timeline(1),
            system_identifier: 7_000_000_000_000_000_000,
            segment_size: SegmentSize::CELL,
            database: name.replace('-', "_"),
        };
        self.record(&claimed, Fact::CellCreated { tenant, placed, lineage }).await;
        let backup = Backup {
            id: BackupId::new(),
            lineage: placed.lineage,
            start: Lsn(0x300_0028),
            stop: Lsn(0x300_0200),
            stopped_at: Timestamp::now(),
            size: 30_000_000,
            stored: 3_000_000,
        };
        let id = backup.id;
        self.record(&claimed, Fact::BackupCompleted { tenant, backup }).await;
        self.record(&claimed, Fact::TenantProvisioned { tenant, placed }).await;
        self.finish(&claimed, Outcome::Succeeded).await;
        (placed, id)
    }

    /// Takes the snapshot that was asked for.
    pub async fn take_snapshot(&self, placed: Placed, backup: BackupId) {
        let claimed = self.claim(RunKind::Snapshot).await;
        let Work::Snapshot { snapshot, .. } = claimed.work else { panic!("{:?}", claimed.work) };
        self.say(&claimed, "the point is written").await;
        let fact = Fact::SnapshotReady {
            snapshot,
            lineage: placed.lineage,
            lsn: Lsn(0x301_0000),
            wal_file: "000000010000000000000030".into(),
            backup,
            size: 31_000_000,
            missing_files: 0,
            taken_at: Timestamp::now(),
        };
        self.record(&claimed, fact).await;
        self.finish(&claimed, Outcome::Succeeded).await;
    }

    /// Plans the restore that was asked for.
    pub async fn plan(&self, placed: Placed, backup: BackupId) {
        let claimed = self.claim(RunKind::PlanRestore).await;
        let Work::PlanRestore { restore, .. } = claimed.work else { panic!("{:?}", claimed.work) };
        let (from, to) = (Lsn(0x300_0028), Lsn(0x301_0000));
        let plan = Plan {
            source: placed.lineage,
            backup,
            wal: vec![WalRange { lineage: placed.lineage, timeline: Timeline(1), from, to }],
            stop: Stop::End,
            end: to,
        };
        let planned = PlannedLineage {
            lineage: placed.lineage.0,
            timeline: 1,
            from: from.to_string(),
            to: to.to_string(),
        };
        let shown = RestorePlan {
            source_lineage: placed.lineage.0,
            current_lineage: placed.lineage.0,
            backup: backup.0,
            backup_taken_at: Timestamp::now(),
            backup_bytes: 30_000_000,
            wal_bytes: 65_000,
            lineages: vec![planned],
            steps: vec!["Copy the base backup".into(), "Replay its WAL".into(), "Switch to it".into()],
        };
        self.record(&claimed, Fact::RestorePlanned { restore, plan, shown }).await;
        self.finish(&claimed, Outcome::Succeeded).await;
    }
}

//! A control on a database of its own, and a worker that does what it is told.

use std::time::Duration;

use control::{Asked, Control, Error, Kind, Principal, Refusal, Requester, Settings};
use jiff::Timestamp;
use model::access::Role;
use model::archive::{Activation, Backup, Fork, Lineage};
use model::lsn::{Lsn, SegmentSize, Timeline};
use model::restore::{Plan, Stop, WalRange};
use model::run::RunKind;
use model::{
    BackupId, BuildId, ClusterId, LineageId, RestoreId, RunId, SnapshotId, TenantDatabaseId, TenantId,
    UserId, WorkerId,
};
use protocol::api::{NewBuild, NewEnvironment, NewProject, NewTenant, RestorePlan};
use protocol::internal::{Claim, Claimed, Fact, Finish, Outcome, Placed, Recorded, Register, Report, Work};
use uuid::Uuid;

use crate::scratch::Scratch;

pub struct Platform {
    pub control: Control,
    pub scratch: Scratch,
    pub worker: WorkerId,
}

/// A provisioned tenant, with a base backup.
pub struct Served {
    pub id: TenantId,
    pub placed: Placed,
    pub lineage: Lineage,
    pub backup: BackupId,
    pub activation: Activation,
}

pub fn asked() -> Asked {
    Asked::by(Requester::Platform)
}

impl Platform {
    pub async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub async fn with(settings: Settings) -> Self {
        let scratch = Scratch::new().await;
        let control = Control::connect(&scratch.url(), settings).await.unwrap();
        let worker = register(&control, "here").await;
        Self { control, scratch, worker }
    }

    /// The project `demo` with a ready build and the environment `demo/live`.
    pub async fn environment(&self) {
        self.control.create_project(&asked(), NewProject { name: "demo".into() }).await.unwrap();
        let build = self.control.create_build(&asked(), new_build()).await.unwrap();
        let claimed = self.claim(RunKind::Build).await;
        let build = BuildId(build.id);
        self.record(&claimed, Fact::BuildReady { build, odoo_version: "11.0".into() }).await.unwrap();
        self.finish(&claimed, Outcome::Succeeded).await.unwrap();
        let environment = NewEnvironment {
            project: "demo".into(),
            name: "live".into(),
            stage: model::project::Stage::Production,
            build: None,
        };
        self.control.create_environment(&asked(), environment).await.unwrap();
    }

    /// Provisions a tenant, with its first base backup.
    pub async fn tenant(&self, name: &str) -> Served {
        self.control.create_tenant(&asked(), new_tenant(name)).await.unwrap();
        let claimed = self.claim(RunKind::Provision).await;
        let id = claimed.tenant.unwrap();
        let (placed, lineage) = self.cell(&claimed, None).await;
        let backup = self.backup(&claimed, &lineage).await;
        let activation = self.record(&claimed, Fact::TenantProvisioned { tenant: id, placed }).await.unwrap();
        self.finish(&claimed, Outcome::Succeeded).await.unwrap();
        Served { id, placed, lineage, backup, activation: activation.activation.unwrap() }
    }

    /// Carries out the backup run that is queued for a tenant.
    pub async fn back_up(&self, tenant: TenantId, lineage: &Lineage) -> BackupId {
        let claimed = self.claim(RunKind::Backup).await;
        assert_eq!(claimed.tenant, Some(tenant));
        let backup = self.backup(&claimed, lineage).await;
        self.finish(&claimed, Outcome::Succeeded).await.unwrap();
        backup
    }

    /// Records a base backup that stopped two seconds ago.
    pub async fn backup(&self, claimed: &Claimed, lineage: &Lineage) -> BackupId {
        let backup = Backup {
            id: BackupId::new(),
            lineage: lineage.id,
            start: Lsn(0x200_0000),
            stop: Lsn(0x200_0100),
            stopped_at: Timestamp::now() - Duration::from_secs(2),
            size: 30_000_000,
            stored: 5_000_000,
        };
        let id = backup.id;
        let tenant = claimed.tenant.unwrap();
        self.record(claimed, Fact::BackupCompleted { tenant, backup }).await.unwrap();
        id
    }

    /// Records a new cell of the run's tenant.
    pub async fn cell(&self, claimed: &Claimed, parent: Option<&Lineage>) -> (Placed, Lineage) {
        let tenant = claimed.tenant.unwrap();
        let placed = Placed {
            tenant_database: TenantDatabaseId::new(),
            cluster: ClusterId::new(),
            lineage: LineageId::new(),
        };
        let lineage = Lineage {
            id: placed.lineage,
            tenant,
            parent: parent.map(|parent| Fork { lineage: parent.id, lsn: Lsn(0x300_0000) }),
            timeline: Timeline(parent.map_or(1, |parent| parent.timeline.0 + 1)),
            system_identifier: u64::MAX - 1,
            segment_size: SegmentSize::CELL,
            database: "acme".into(),
        };
        let fact = Fact::CellCreated { tenant, placed, lineage: lineage.clone() };
        self.record(claimed, fact.clone()).await.unwrap();
        // Said again, it is the same fact.
        self.record(claimed, fact).await.unwrap();
        (placed, lineage)
    }

    /// Takes a snapshot and carries out its run.
    pub async fn snapshot(&self, tenant: &str, served: &Served, name: &str) -> SnapshotId {
        let new = protocol::api::NewSnapshot {
            name: Some(name.into()),
            kind: None,
            expires_at: None,
            ..Default::default()
        };
        self.control.create_snapshot(&asked(), tenant, new).await.unwrap();
        let claimed = self.claim(RunKind::Snapshot).await;
        let Work::Snapshot { snapshot, .. } = claimed.work else { panic!("not a snapshot") };
        self.record(&claimed, ready(snapshot, served)).await.unwrap();
        self.finish(&claimed, Outcome::Succeeded).await.unwrap();
        snapshot
    }

    /// Asks for a restore and carries out the run that plans it.
    pub async fn planned(&self, tenant: &str, served: &Served, new: protocol::api::NewRestore) -> RestoreId {
        let restore = self.control.create_restore(&asked(), tenant, new).await.unwrap();
        let claimed = self.claim(RunKind::PlanRestore).await;
        let restore = RestoreId(restore.id);
        let (plan, shown) = plan(served);
        self.record(&claimed, Fact::RestorePlanned { restore, plan, shown }).await.unwrap();
        self.finish(&claimed, Outcome::Succeeded).await.unwrap();
        restore
    }

    /// Claims a run that must be there.
    pub async fn claim(&self, kind: RunKind) -> Claimed {
        self.try_claim(&[kind]).await.unwrap_or_else(|| panic!("no {kind} is queued"))
    }

    pub async fn try_claim(&self, kinds: &[RunKind]) -> Option<Claimed> {
        self.claim_up_to(kinds, 1).await.pop()
    }

    pub async fn claim_up_to(&self, kinds: &[RunKind], n: u32) -> Vec<Claimed> {
        let claim = Claim { worker: self.worker, kinds: kinds.to_vec(), n, previews: None, wait_ms: 0 };
        self.control.claim(claim).await.unwrap()
    }

    pub async fn record(&self, claimed: &Claimed, fact: Fact) -> control::Result<Recorded> {
        self.control.record(claimed.run, Report { fence: claimed.fence, fact }).await
    }

    pub async fn finish(&self, claimed: &Claimed, outcome: Outcome) -> control::Result<()> {
        self.control.finish(claimed.run, Finish { fence: claimed.fence, outcome }).await
    }

    pub async fn run(&self, run: RunId) -> protocol::api::Run {
        self.control.run(run).await.unwrap()
    }

    pub async fn sql(&self, sql: &str) {
        self.scratch
            .admin()
            .await
            .batch_execute(sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
}

/// A member of the project `demo`, or of nothing, by SQL.
pub async fn somebody(platform: &Platform, login: &str, role: impl Into<Option<Role>>) -> Control {
    let user = UserId(Uuid::now_v7());
    platform.sql(&format!("INSERT INTO ops.users (id, login) VALUES ('{user}', '{login}')")).await;
    if let Some(role) = role.into() {
        let sql = format!(
            "INSERT INTO ops.project_members (project_id, user_id, role)
             SELECT id, '{user}', '{role}' FROM ops.projects WHERE name = 'demo'"
        );
        platform.sql(&sql).await;
    }
    platform.control.acting_as(&Principal::user(user))
}

pub async fn register(control: &Control, name: &str) -> WorkerId {
    let register = Register { name: name.into(), version: "0".into(), kinds: vec![], labels: vec![] };
    control.register_worker(register).await.unwrap().worker
}

pub fn failed(reason: &str) -> Outcome {
    Outcome::Failed { reason: reason.into(), hint: Some("look".into()) }
}

pub fn new_build() -> NewBuild {
    NewBuild {
        project: "demo".into(),
        odoo: "/opt/odoo".into(),
        python: None,
        addons: vec![],
        modules: vec!["base".into(), "web".into()],
    }
}

pub fn new_tenant(name: &str) -> NewTenant {
    NewTenant {
        environment: "demo/live".into(),
        name: name.into(),
        subdomain: None,
        database: None,
        tier: None,
    }
}

pub fn ready(snapshot: SnapshotId, served: &Served) -> Fact {
    Fact::SnapshotReady {
        snapshot,
        lineage: served.lineage.id,
        lsn: Lsn(0x300_0148),
        wal_file: "000000010000000000000030".into(),
        backup: served.backup,
        size: 6_000_000_000,
        missing_files: 0,
        taken_at: Timestamp::now(),
    }
}

pub fn plan(served: &Served) -> (Plan, RestorePlan) {
    let range = WalRange {
        lineage: served.lineage.id,
        timeline: served.lineage.timeline,
        from: Lsn(0x200_0000),
        to: Lsn(0x300_0148),
    };
    let plan = Plan {
        source: served.lineage.id,
        backup: served.backup,
        wal: vec![range],
        stop: Stop::End,
        end: Lsn(0x300_0148),
    };
    let shown = RestorePlan {
        source_lineage: served.lineage.id.0,
        current_lineage: served.placed.lineage.0,
        backup: served.backup.0,
        backup_taken_at: Timestamp::now(),
        backup_bytes: 30_000_000,
        wal_bytes: 16 << 20,
        lineages: vec![],
        steps: vec!["materialise".into()],
    };
    (plan, shown)
}

/// The refusal that an operation must end with.
#[track_caller]
pub fn refused<T>(outcome: control::Result<T>, kind: Kind) -> Refusal {
    match outcome {
        Err(Error::Refused(refusal)) => {
            assert_eq!(refusal.kind, kind, "{refusal:?}");
            refusal
        }
        Err(error) => panic!("failed: {error:?}"),
        Ok(_) => panic!("was not refused"),
    }
}

//! Alerts open, are acknowledged, and resolve.

use std::time::Duration;

use control::reconcile::alert::{self, Outcome};
use control::reconcile::{lease, worker};
use control::{Asked, Control, Kind, Requester, Settings, Slice};
use jiff::{SignedDuration, Timestamp, ToSpan};
use model::alert::{AlertKind, AlertState, Place, Severity, Thresholds};
use model::run::RunKind;
use model::{AlertId, UserId};
use protocol::api::{Alert, NewRestore};
use protocol::internal::{Observed, ObservedDisk, ObservedStream, ObservedWal};

use crate::platform::{Platform, asked, failed, new_build, refused, register};

async fn open(platform: &Platform) -> Vec<(AlertKind, Severity)> {
    let mut open: Vec<_> =
        alerts(platform).await.into_iter().map(|alert| (alert.kind, alert.severity)).collect();
    open.sort();
    open
}

async fn alerts(platform: &Platform) -> Vec<Alert> {
    platform.control.alerts(None, &Slice::first()).await.unwrap().items
}

async fn now(platform: &Platform) -> Timestamp {
    let row = platform.scratch.admin().await.query_one("SELECT now()", &[]).await.unwrap();
    row.get(0)
}

fn user() -> Asked {
    Asked::by(Requester::User(UserId::new()))
}

#[tokio::test]
async fn an_alert_opens_is_acknowledged_and_resolves() {
    let platform = Platform::with(Settings {
        alerts: Thresholds { queue_depth: 2, ..Thresholds::default() },
        lease: Duration::from_secs(3600),
        ..Settings::default()
    })
    .await;
    platform.environment().await;
    let control = &platform.control;
    let start = now(&platform).await;
    assert_eq!(alert::tick_at(control, start).await.unwrap(), Outcome::default());
    for _ in 0..3 {
        control.create_build(&asked(), new_build()).await.unwrap();
    }
    assert_eq!(alert::tick_at(control, start).await.unwrap(), Outcome { opened: 1, resolved: 0 });
    // Looked at again, it is the same one.
    assert_eq!(alert::tick_at(control, start).await.unwrap(), Outcome::default());
    let [alert] = &alerts(&platform).await[..] else { panic!("not one alert") };
    assert_eq!((alert.kind, alert.state), (AlertKind::QueueDepth, AlertState::Open));
    assert!(alert.detail.contains("3 runs"), "{}", alert.detail);

    let (first, second) = (user(), user());
    let acknowledged = control.acknowledge_alert(&first, AlertId(alert.id)).await.unwrap();
    assert_eq!(acknowledged.state, AlertState::Acknowledged);
    let again = control.acknowledge_alert(&second, AlertId(alert.id)).await.unwrap();
    assert_eq!(again.acknowledged_by, Some(first.by.to_string()));
    assert!(control.alerts(Some(AlertState::Open), &Slice::first()).await.unwrap().items.is_empty());

    // Its condition ends; it stays until that has lasted.
    platform.claim(RunKind::Build).await;
    platform.claim(RunKind::Build).await;
    assert_eq!(alert::tick_at(control, start + 10.seconds()).await.unwrap(), Outcome::default());
    assert_eq!(alert::tick_at(control, start + 60.seconds()).await.unwrap(), Outcome::default());
    assert_eq!(alerts(&platform).await.len(), 1);
    assert_eq!(
        alert::tick_at(control, start + 70.seconds()).await.unwrap(),
        Outcome { opened: 0, resolved: 1 }
    );
    assert!(alerts(&platform).await.is_empty());
    let [resolved] = &control.alerts(Some(AlertState::Resolved), &Slice::first()).await.unwrap().items[..]
    else {
        panic!("not one")
    };
    assert_eq!((resolved.id, resolved.state), (alert.id, AlertState::Resolved));
    refused(control.acknowledge_alert(&first, AlertId(alert.id)).await, Kind::WrongState);
    refused(control.acknowledge_alert(&first, AlertId::new()).await, Kind::NotFound);

    // The same condition again is another alert, which nobody has seen yet.
    for _ in 0..3 {
        control.create_build(&asked(), new_build()).await.unwrap();
    }
    alert::tick_at(control, start + 80.seconds()).await.unwrap();
    let [again] = &alerts(&platform).await[..] else { panic!("not one alert") };
    assert!(again.id != alert.id && again.acknowledged_by.is_none());
}

#[tokio::test]
async fn a_condition_that_comes_back_keeps_its_alert() {
    let platform = Platform::new().await;
    let control = &platform.control;
    let start = now(&platform).await;
    platform.sql("UPDATE ops.workers SET gone_at = now()").await;
    alert::tick_at(control, start).await.unwrap();
    platform.sql("UPDATE ops.workers SET gone_at = NULL").await;
    alert::tick_at(control, start + 10.seconds()).await.unwrap();
    platform.sql("UPDATE ops.workers SET gone_at = now()").await;
    alert::tick_at(control, start + 20.seconds()).await.unwrap();
    platform.sql("UPDATE ops.workers SET gone_at = NULL").await;
    // Counted from when it ended for good.
    alert::tick_at(control, start + 30.seconds()).await.unwrap();
    assert_eq!(alert::tick_at(control, start + 80.seconds()).await.unwrap().resolved, 0);
    assert_eq!(alert::tick_at(control, start + 90.seconds()).await.unwrap().resolved, 1);
}

#[tokio::test]
async fn many_controls_open_one_alert() {
    let platform = Platform::new().await;
    platform.sql("UPDATE ops.workers SET gone_at = now()").await;
    let at = now(&platform).await;
    let mut ticks = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let control = Control::connect(&platform.scratch.url(), Settings::default()).await.unwrap();
        ticks.spawn(async move { alert::tick_at(&control, at).await.unwrap().opened });
    }
    assert_eq!(ticks.join_all().await.into_iter().sum::<usize>(), 1);
    assert_eq!(alerts(&platform).await.len(), 1);
}

#[tokio::test]
async fn what_workers_report_of_their_disks_is_judged() {
    let platform = Platform::new().await;
    platform.environment().await;
    let served = platform.tenant("acme").await;
    let control = &platform.control;
    let report = async |free: u64, wal: u64| {
        let disk = ObservedDisk { place: Place::Repository, total: 1 << 40, free: free << 30 };
        let wal = ObservedWal { tenant: served.id, bytes: wal << 20, stream: None };
        let observed = Observed { disks: vec![disk], wal: vec![wal], ..Observed::default() };
        control.observed(platform.worker, observed).await.unwrap();
        alert::tick_at(control, now(&platform).await).await.unwrap();
        open(&platform).await
    };
    assert!(report(512, 64).await.is_empty());
    let (disk, wal) = (AlertKind::DiskFull, AlertKind::WalGrowth);
    assert_eq!(report(100, 64).await, [(disk, Severity::Warning)]);
    assert_eq!(report(10, 2000).await, [(disk, Severity::Critical), (wal, Severity::Warning)]);
    let subjects: Vec<_> =
        alerts(&platform).await.into_iter().map(|alert| (alert.subject, alert.project)).collect();
    assert!(subjects.contains(&("here:repository".into(), None)));
    assert!(subjects.contains(&(served.id.to_string(), Some("demo".into()))));

    // Another worker says nothing of a tenant that is not on its host.
    let other = register(control, "there").await;
    let wal = ObservedWal { tenant: served.id, bytes: 0, stream: None };
    control.observed(other, Observed { wal: vec![wal], ..Observed::default() }).await.unwrap();
    let sql = "SELECT bytes FROM ops.tenant_wal";
    let bytes: i64 = platform.scratch.admin().await.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(bytes, 2000 << 20);
}

#[tokio::test]
async fn wal_that_is_not_in_the_repository_is_told_of() {
    let platform = Platform::new().await;
    platform.environment().await;
    let served = platform.tenant("acme").await;
    let control = &platform.control;
    let report = async |stream: Option<ObservedStream>| {
        let wal = ObservedWal { tenant: served.id, bytes: 1 << 20, stream };
        let observed = Observed { wal: vec![wal], ..Observed::default() };
        control.observed(platform.worker, observed).await.unwrap();
        alert::tick_at(control, now(&platform).await).await.unwrap();
        open(&platform).await
    };
    let lag = |lag_bytes, seconds: u64, slots_lost| {
        Some(ObservedStream { connected: true, lag_bytes, lag_ms: seconds * 1000, slots_lost })
    };
    let shown =
        async || control.tenant("acme").await.unwrap().wal_lag.map(|lag| (lag.bytes, lag.ms, lag.slots_lost));
    assert!(report(None).await.is_empty());
    assert_eq!(shown().await, None);
    assert!(report(lag(4096, 1, 0)).await.is_empty());
    assert_eq!(shown().await, Some((4096, 1000, 0)));
    assert!(report(lag(1 << 20, 60, 0)).await.is_empty(), "as long as it may be");
    let told = [(AlertKind::WalLag, Severity::Warning)];
    assert_eq!(report(lag(1 << 20, 61, 0)).await, told);
    let alert = alerts(&platform).await.remove(0);
    assert_eq!((&alert.subject, alert.project.as_deref()), (&served.id.to_string(), Some("demo")));
    assert!(alert.detail.contains("what acme wrote in the last 61 s"), "{}", alert.detail);
    assert!(alert.detail.contains("1024 KiB"), "{}", alert.detail);

    // A stream that cannot be heard of is behind as well.
    assert_eq!(report(lag(0, 90, 1)).await, told);
    let metrics = control.metrics_text().await.unwrap();
    for line in [
        "heddle_wal_streams 1.0",
        "heddle_wal_lag_seconds 90.0",
        "heddle_wal_lag_bytes 0.0",
        "heddle_wal_slots_lost 1.0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }
    report(lag(0, 0, 1)).await;
    let later = now(&platform).await + 61.seconds();
    assert_eq!(alert::tick_at(control, later).await.unwrap().resolved, 1);
    assert_eq!(shown().await, Some((0, 0, 1)));
    assert_eq!(control.status().await.unwrap().tenants[0].wal_lag.map(|lag| lag.slots_lost), Some(1));
    // Where it is streamed no more, nothing is behind.
    assert!(report(None).await.is_empty());
    assert_eq!(shown().await, None);
}

#[tokio::test]
async fn failed_and_overdue_backups_are_told_of_by_tenant() {
    let platform = Platform::new().await;
    platform.environment().await;
    let served = platform.tenant("acme").await;
    platform.tenant("globex").await;
    let control = &platform.control;
    let at = now(&platform).await;
    alert::tick_at(control, at).await.unwrap();
    assert!(open(&platform).await.is_empty());
    platform
        .sql(&format!(
            "UPDATE ops.base_backups SET stopped_at = now() - interval '31 hours' WHERE tenant_id = '{}'",
            served.id
        ))
        .await;
    control::reconcile::backup::tick(control).await.unwrap();
    let claimed = platform.claim(RunKind::Backup).await;
    platform.finish(&claimed, failed("the disk is full")).await.unwrap();
    alert::tick_at(control, at).await.unwrap();
    let found = alerts(&platform).await;
    assert!(found.iter().all(|alert| alert.subject == served.id.to_string()), "{found:?}");
    assert_eq!(
        open(&platform).await,
        [(AlertKind::BackupFailed, Severity::Warning), (AlertKind::BackupOverdue, Severity::Critical)]
    );
    assert!(found.iter().any(|alert| alert.detail.contains("the disk is full")));
    platform.sql("UPDATE ops.runs SET ended_at = now() - interval '1 hour' WHERE kind = 'backup'").await;
    control::reconcile::backup::tick(control).await.unwrap();
    platform.back_up(served.id, &served.lineage).await;
    alert::tick_at(control, at + 1.second()).await.unwrap();
    assert_eq!(alert::tick_at(control, at + 61.seconds()).await.unwrap().resolved, 2);
}

#[tokio::test]
async fn lost_workers_dead_and_silent_runs_are_told_of() {
    let platform = Platform::new().await;
    platform.environment().await;
    platform.tenant("acme").await;
    let control = &platform.control;
    control.create_build(&asked(), new_build()).await.unwrap();
    let silent = platform.claim(RunKind::Build).await;
    platform
        .sql(
            "UPDATE ops.leases SET claimed_at = now() - interval '31 minutes', expires_at = now() + interval '1 hour'",
        )
        .await;
    alert::tick(control).await.unwrap();
    assert_eq!(open(&platform).await, [(AlertKind::StaleRun, Severity::Warning)]);
    assert_eq!(alerts(&platform).await[0].subject, silent.run.to_string());

    // It has said something since.
    platform
        .sql(
            "INSERT INTO ops.run_events (run_id, project_id, at, level, message)
              SELECT id, project_id, now(), 'info', 'working' FROM ops.run_details WHERE state = 'running'",
        )
        .await;
    let later = now(&platform).await + 5.seconds();
    alert::tick_at(control, later).await.unwrap();
    assert_eq!(alert::tick_at(control, later + 61.seconds()).await.unwrap().resolved, 1);

    // Its worker is lost once too often.
    platform
        .sql(
            "UPDATE ops.runs SET losses = 2 WHERE id IN (SELECT run_id FROM ops.leases);
              UPDATE ops.leases SET expires_at = now() - interval '2 minutes';
              UPDATE ops.workers SET seen_at = now() - interval '1 hour'",
        )
        .await;
    alert::tick(control).await.unwrap();
    assert_eq!(open(&platform).await, [(AlertKind::StaleRun, Severity::Warning)]);
    lease::tick(control).await.unwrap();
    worker::tick(control).await.unwrap();
    alert::tick(control).await.unwrap();
    let found = open(&platform).await;
    assert!(found.contains(&(AlertKind::DeadRun, Severity::Critical)), "{found:?}");
    assert!(found.contains(&(AlertKind::LostWorker, Severity::Critical)), "{found:?}");
    let dead = alerts(&platform).await.into_iter().find(|alert| alert.kind == AlertKind::DeadRun).unwrap();
    assert_eq!((dead.subject, dead.project), (silent.run.to_string(), Some("demo".into())));
}

#[tokio::test]
async fn restores_in_production_are_told_of() {
    let platform = Platform::new().await;
    platform.environment().await;
    let served = platform.tenant("acme").await;
    let control = &platform.control;
    platform.snapshot("acme", &served, "before").await;
    platform.planned("acme", &served, NewRestore { snapshot: Some("before".into()), at: None }).await;
    let at = now(&platform).await;
    alert::tick_at(control, at).await.unwrap();
    assert_eq!(open(&platform).await, [(AlertKind::ProductionRestore, Severity::Info)]);
    // A plan that nobody confirms is forgotten after a while.
    let later = at + SignedDuration::from_mins(16);
    alert::tick_at(control, later).await.unwrap();
    assert_eq!(alert::tick_at(control, later + 1.minute()).await.unwrap().resolved, 1);
}

#[tokio::test]
async fn the_management_database_is_watched() {
    let thresholds =
        Thresholds { transaction_age: SignedDuration::ZERO, connections_percent: 0, ..Thresholds::default() };
    let platform = Platform::with(Settings { alerts: thresholds, ..Settings::default() }).await;
    // Somebody else's, of a role that control is no member of.
    let admin = platform.scratch.admin().await;
    admin.batch_execute("BEGIN; SELECT 1").await.unwrap();
    alert::tick(&platform.control).await.unwrap();
    assert_eq!(
        open(&platform).await,
        [(AlertKind::Connections, Severity::Critical), (AlertKind::OldTransaction, Severity::Warning)]
    );
}

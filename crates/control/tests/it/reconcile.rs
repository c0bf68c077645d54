//! What control does on its own.

use std::time::Duration;

use control::Settings;
use control::reconcile::{self, backup, snapshot, worker};
use model::run::RunKind;
use model::snapshot::SnapshotState;
use tokio_util::sync::CancellationToken;

use crate::platform::{Platform, asked, failed, new_build, register};

#[tokio::test]
async fn backups_are_queued_when_due() {
    let platform = Platform::new().await;
    platform.environment().await;
    let served = platform.tenant("acme").await;
    let control = &platform.control;
    assert_eq!(backup::tick(control).await.unwrap().queued, 0);
    platform
        .sql(
            "UPDATE ops.base_backups SET stopped_at = now() - interval '25 hours';
                  UPDATE ops.runs SET ended_at = now() - interval '25 hours' WHERE kind = 'backup'",
        )
        .await;
    assert_eq!(backup::tick(control).await.unwrap().queued, 1);
    assert_eq!(backup::tick(control).await.unwrap().queued, 0);
    let claimed = platform.claim(RunKind::Backup).await;
    assert_eq!(claimed.tenant, Some(served.id));
    platform.finish(&claimed, failed("the disk is full")).await.unwrap();
    // A failed one is not tried again at once.
    assert_eq!(backup::tick(control).await.unwrap().queued, 0);
    platform.sql("UPDATE ops.runs SET ended_at = now() - interval '11 minutes' WHERE kind = 'backup'").await;
    assert_eq!(backup::tick(control).await.unwrap().queued, 1);
    platform.back_up(served.id, &served.lineage).await;
    control.suspend_tenant("acme").await.unwrap();
    platform.sql("UPDATE ops.base_backups SET stopped_at = now() - interval '25 hours'").await;
    assert_eq!(backup::tick(control).await.unwrap().queued, 0);
}

#[tokio::test]
async fn snapshots_expire() {
    let platform = Platform::new().await;
    platform.environment().await;
    let served = platform.tenant("acme").await;
    platform.snapshot("acme", &served, "old").await;
    platform.snapshot("acme", &served, "new").await;
    assert_eq!(snapshot::tick(&platform.control).await.unwrap().expired, 0);
    platform
        .sql(
            "UPDATE ops.snapshots SET created_at = created_at - interval '9 days',
                                       expires_at = expires_at - interval '9 days' WHERE name = 'old'",
        )
        .await;
    assert_eq!(snapshot::tick(&platform.control).await.unwrap().expired, 1);
    assert_eq!(platform.control.snapshot("acme", "old").await.unwrap().state, SnapshotState::Expired);
    assert_eq!(platform.control.snapshot("acme", "new").await.unwrap().state, SnapshotState::Ready);
}

#[tokio::test]
async fn a_silent_worker_is_told_once() {
    let platform = Platform::new().await;
    let control = &platform.control;
    assert!(worker::tick(control).await.unwrap().gone.is_empty());
    platform.sql("UPDATE ops.workers SET seen_at = now() - interval '1 minute'").await;
    assert!(!control.status().await.unwrap().workers[0].alive);
    assert_eq!(worker::tick(control).await.unwrap().gone, ["here"]);
    assert!(worker::tick(control).await.unwrap().gone.is_empty());
    register(control, "here").await;
    assert!(control.status().await.unwrap().workers[0].alive);
}

#[tokio::test]
async fn the_loop_takes_runs_from_lost_workers() {
    let settings = Settings { lease: Duration::from_millis(100), ..Settings::default() };
    let platform = Platform::with(settings).await;
    platform.environment().await;
    platform.control.create_build(&asked(), new_build()).await.unwrap();
    let claimed = platform.claim(RunKind::Build).await;
    let cancel = CancellationToken::new();
    let running = tokio::spawn(reconcile::run(platform.control.clone(), cancel.clone()));
    let (worker, kinds) = (platform.worker, vec![RunKind::Build]);
    let claim = protocol::internal::Claim { worker, kinds, n: 1, previews: None, wait_ms: 10_000 };
    let again = platform.control.claim(claim).await.unwrap().pop().unwrap();
    assert_eq!(again.run, claimed.run);
    cancel.cancel();
    tokio::time::timeout(Duration::from_secs(5), running).await.expect("the loop ends").unwrap();
}

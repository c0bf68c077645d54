//! Snapshots and restores.

use control::Kind;
use model::restore::{RestoreState, Target};
use model::run::{RunKind, RunState};
use model::snapshot::SnapshotState;
use protocol::api::NewRestore;
use protocol::internal::{Fact, Outcome, Placed, Work};

use crate::platform::{Platform, Served, asked, failed, ready, refused};

fn to(snapshot: &str) -> NewRestore {
    NewRestore { snapshot: Some(snapshot.into()), at: None }
}

#[tokio::test]
async fn a_snapshot_is_ready_only_with_its_proof() {
    let platform = Platform::new().await;
    platform.environment().await;
    let served = platform.tenant("acme").await;
    let new = protocol::api::NewSnapshot { name: None, kind: None, expires_at: None, ..Default::default() };
    let created = platform.control.create_snapshot(&asked(), "acme", new).await.unwrap();
    assert_eq!(created.state, SnapshotState::Creating);
    assert_eq!(created.name.len(), "20261121-113551".len());
    let claimed = platform.claim(RunKind::Snapshot).await;
    let Work::Snapshot { snapshot, .. } = claimed.work else { panic!("not a snapshot") };
    // A proof that names an unknown backup proves nothing.
    let mut false_proof = ready(snapshot, &served);
    if let Fact::SnapshotReady { backup, .. } = &mut false_proof {
        *backup = model::BackupId::new();
    }
    refused(platform.record(&claimed, false_proof).await, Kind::Invalid);
    // Nor may it speak of another snapshot.
    let other = ready(model::SnapshotId::new(), &served);
    refused(platform.record(&claimed, other).await, Kind::Invalid);
    platform.record(&claimed, ready(snapshot, &served)).await.unwrap();
    platform.record(&claimed, ready(snapshot, &served)).await.unwrap();
    platform.finish(&claimed, Outcome::Succeeded).await.unwrap();
    let ready = platform.control.snapshot("acme", &created.name).await.unwrap();
    assert_eq!((ready.state, ready.size), (SnapshotState::Ready, Some(6_000_000_000)));
    assert_eq!(ready.lsn.as_deref(), Some("0/3000148"));
}

#[tokio::test]
async fn a_restore_is_planned_confirmed_and_switched() {
    let platform = Platform::new().await;
    platform.environment().await;
    let served = platform.tenant("acme").await;
    let snapshot = platform.snapshot("acme", &served, "before-mistake").await;
    let control = &platform.control;
    let restore = platform.planned("acme", &served, to("before-mistake")).await;
    let planned = control.restore(restore).await.unwrap();
    assert_eq!((planned.state, planned.plan.is_some()), (RestoreState::Planned, true));
    assert!(platform.try_claim(&[RunKind::Restore]).await.is_none(), "it was not confirmed");

    control.confirm_restore(&asked(), restore).await.unwrap();
    refused(control.confirm_restore(&asked(), restore).await, Kind::WrongState);
    let state = |name| async move { control.snapshot("acme", name).await.unwrap().state };
    assert_eq!(state("before-mistake").await, SnapshotState::Restoring);

    let claimed = platform.claim(RunKind::Restore).await;
    let Work::Restore { tenant, target, plan, to, .. } = &claimed.work else { panic!("not a restore") };
    assert_eq!((tenant.placed, *to), (Some(served.placed), None));
    assert_eq!(*target, Target::Snapshot(snapshot));
    assert_eq!(plan.backup, served.backup);
    for _ in 0..2 {
        platform.record(&claimed, Fact::RestoreStarted { restore }).await.unwrap();
    }
    // Nothing is switched before the new cell was checked.
    let (to, lineage) = platform.cell(&claimed, Some(&served.lineage)).await;
    let switched = Fact::RestoreSwitched { restore, from: served.placed, to };
    refused(platform.record(&claimed, switched.clone()).await, Kind::WrongState);
    for _ in 0..2 {
        platform.record(&claimed, Fact::RestoreChecked { restore, to }).await.unwrap();
    }
    let first = platform.record(&claimed, switched.clone()).await.unwrap().activation.unwrap();
    let again = platform.record(&claimed, switched).await.unwrap().activation.unwrap();
    assert_eq!(first, again);
    assert!(first.at > served.activation.at);
    let tenant = control.tenant("acme").await.unwrap();
    assert_eq!(tenant.lineage, Some(lineage.id.0));
    for _ in 0..2 {
        platform.record(&claimed, Fact::RestoreServed { restore }).await.unwrap();
    }
    platform.finish(&claimed, Outcome::Succeeded).await.unwrap();
    assert_eq!(control.restore(restore).await.unwrap().state, RestoreState::Succeeded);
    assert_eq!(state("before-mistake").await, SnapshotState::Ready);
    // The new lineage gets its own first backup.
    platform.back_up(served.id, &lineage).await;

    // The old cell is kept, fenced, until retention drops it.
    assert_eq!(control::reconcile::cluster::tick(control).await.unwrap().queued, 0);
    platform
        .sql("UPDATE ops.clusters SET fenced_at = now() - interval '8 days' WHERE state = 'fenced'")
        .await;
    assert_eq!(control::reconcile::cluster::tick(control).await.unwrap().queued, 1);
    let expire = platform.claim(RunKind::Expire).await;
    let Work::Expire { clusters, .. } = &expire.work else { panic!("not an expire") };
    assert_eq!(clusters, &[served.placed.cluster]);
}

/// A restore run that has come to the switch.
async fn checked(
    platform: &Platform,
    served: &Served,
) -> (protocol::internal::Claimed, model::RestoreId, Placed) {
    platform.snapshot("acme", served, "point").await;
    let restore = platform.planned("acme", served, to("point")).await;
    platform.control.confirm_restore(&asked(), restore).await.unwrap();
    let claimed = platform.claim(RunKind::Restore).await;
    platform.record(&claimed, Fact::RestoreStarted { restore }).await.unwrap();
    let (to, _) = platform.cell(&claimed, Some(&served.lineage)).await;
    platform.record(&claimed, Fact::RestoreChecked { restore, to }).await.unwrap();
    (claimed, restore, to)
}

#[tokio::test]
async fn a_switch_from_what_is_not_served_is_refused_whole() {
    let platform = Platform::new().await;
    platform.environment().await;
    let served = platform.tenant("acme").await;
    let (claimed, restore, to) = checked(&platform, &served).await;
    refused(
        platform.record(&claimed, Fact::RestoreSwitched { restore, from: to, to }).await,
        Kind::WrongState,
    );
    assert_eq!(platform.control.restore(restore).await.unwrap().state, RestoreState::Switching);
    assert_eq!(platform.control.tenant("acme").await.unwrap().lineage, Some(served.lineage.id.0));
    // A lost worker's successor hears how far it came, and where the new cell is.
    crate::platform::register(&platform.control, "here").await;
    let again = platform.claim(RunKind::Restore).await;
    let Work::Restore { state, to: known, .. } = &again.work else { panic!("not a restore") };
    assert_eq!((*state, *known), (RestoreState::Switching, Some(to)));
    assert!(again.fence > claimed.fence);
}

#[tokio::test]
async fn a_failed_restore_leaves_the_tenant_and_frees_its_snapshot() {
    let platform = Platform::new().await;
    platform.environment().await;
    let served = platform.tenant("acme").await;
    let (claimed, restore, to) = checked(&platform, &served).await;
    platform.finish(&claimed, failed("the disk is full")).await.unwrap();
    let failed = platform.control.restore(restore).await.unwrap();
    assert_eq!((failed.state, failed.reason.as_deref()), (RestoreState::Failed, Some("the disk is full")));
    let snapshot = platform.control.snapshot("acme", "point").await.unwrap();
    assert_eq!(snapshot.state, SnapshotState::Ready);
    assert_eq!(platform.control.tenant("acme").await.unwrap().lineage, Some(served.lineage.id.0));

    // Retried, it makes another cell; what was left of the first is dropped.
    platform.control.retry_run(claimed.run).await.unwrap();
    let snapshot = platform.control.snapshot("acme", "point").await.unwrap();
    assert_eq!(snapshot.state, SnapshotState::Restoring);
    let again = platform.claim(RunKind::Restore).await;
    let Work::Restore { state, to: known, .. } = &again.work else { panic!("not a restore") };
    assert_eq!((*state, *known), (RestoreState::Materialising, None));
    let (second, lineage) = platform.cell(&again, Some(&served.lineage)).await;
    platform.record(&again, Fact::RestoreChecked { restore, to: second }).await.unwrap();
    let switched = Fact::RestoreSwitched { restore, from: served.placed, to: second };
    platform.record(&again, switched).await.unwrap();
    // Once switched it cannot fail any more: it is continued.
    platform.finish(&again, crate::platform::failed("Odoo does not start")).await.unwrap();
    assert_eq!(platform.control.restore(restore).await.unwrap().state, RestoreState::Switched);
    assert_eq!(platform.control.tenant("acme").await.unwrap().lineage, Some(lineage.id.0));
    platform.control.retry_run(again.run).await.unwrap();
    let last = platform.claim(RunKind::Restore).await;
    platform.record(&last, Fact::RestoreServed { restore }).await.unwrap();
    platform.finish(&last, Outcome::Succeeded).await.unwrap();
    assert_eq!(platform.run(last.run).await.state, RunState::Succeeded);

    platform.back_up(served.id, &lineage).await;
    assert_eq!(control::reconcile::cluster::tick(&platform.control).await.unwrap().queued, 1);
    let expire = platform.claim(RunKind::Expire).await;
    let Work::Expire { clusters, .. } = &expire.work else { panic!("not an expire") };
    assert_eq!(clusters, &[to.cluster]);
}

#[tokio::test]
async fn a_plan_of_another_lineage_is_not_confirmed() {
    let platform = Platform::new().await;
    platform.environment().await;
    let served = platform.tenant("acme").await;
    let earlier = platform.snapshot("acme", &served, "earlier").await;
    let stale = platform.planned("acme", &served, to(&earlier.to_string())).await;
    let (claimed, restore, placed) = checked(&platform, &served).await;
    let waiting = platform.control.confirm_restore(&asked(), stale).await;
    assert!(refused(waiting, Kind::WrongState).detail.contains("restore under way"));
    let switched = Fact::RestoreSwitched { restore, from: served.placed, to: placed };
    platform.record(&claimed, switched).await.unwrap();
    platform.record(&claimed, Fact::RestoreServed { restore }).await.unwrap();
    platform.finish(&claimed, Outcome::Succeeded).await.unwrap();
    let refusal = refused(platform.control.confirm_restore(&asked(), stale).await, Kind::WrongState);
    assert!(refusal.detail.contains("restored since"), "{refusal}");
    assert_eq!(platform.control.snapshot("acme", "earlier").await.unwrap().state, SnapshotState::Ready);
}

//! What is kept, as control says it and as workers report it; and tenants that
//! are shredded.

use control::Kind;
use control::reconcile::{cluster, snapshot};
use jiff::{SignedDuration, Timestamp};
use model::access::Role;
use model::policy::Act;
use model::retention::Retention;
use model::run::{RunKind, RunState};
use model::schedule::Action;
use model::snapshot::SnapshotState;
use protocol::api::{NewPolicy, NewSchedule, NewSnapshot};
use protocol::internal::{Fact, Outcome, SnapshotTerms, Work};

use crate::platform::{Platform, Served, asked, ready, refused, somebody};

async fn served() -> (Platform, Served) {
    let platform = Platform::new().await;
    platform.environment().await;
    let served = platform.tenant("acme").await;
    (platform, served)
}

#[tokio::test]
async fn what_is_said_of_a_snapshot_reaches_the_worker() {
    let (platform, served) = served().await;
    let control = &platform.control;
    let expires_at = Timestamp::now() + SignedDuration::from_hours(24 * 90);
    let new = NewSnapshot {
        name: Some("year-end".into()),
        expires_at: Some(expires_at),
        note: Some(" books closed ".into()),
        pinned: true,
        ..NewSnapshot::default()
    };
    let made = control.create_snapshot(&asked(), "acme", new.clone()).await.unwrap();
    assert_eq!((made.note.as_deref(), made.pinned), (Some("books closed"), true));
    let claimed = platform.claim(RunKind::Snapshot).await;
    let Work::Snapshot { snapshot, terms, .. } = &claimed.work else { panic!("not a snapshot") };
    assert_eq!((terms.pinned, terms.note.as_deref(), terms.version), (true, Some("books closed"), 1));
    platform.record(&claimed, ready(*snapshot, &served)).await.unwrap();
    platform.finish(&claimed, Outcome::Succeeded).await.unwrap();
    for note in [" ".to_owned(), "x".repeat(501)] {
        let new = NewSnapshot { name: None, note: Some(note), ..new.clone() };
        refused(control.create_snapshot(&asked(), "acme", new).await, Kind::Invalid);
    }
    // Its own run has told the repository.
    assert_eq!(cluster::tick(control).await.unwrap().queued, 0);

    // Past its expiry, it is kept as long as it is pinned.
    platform
        .sql(
            "UPDATE ops.snapshots SET created_at = created_at - interval '1 year',
                                       expires_at = expires_at - interval '1 year'",
        )
        .await;
    assert_eq!(snapshot::tick(control).await.unwrap().expired, 0);
    for _ in 0..2 {
        // Asked twice, it is so already.
        assert!(!control.pin_snapshot("acme", "year-end", false).await.unwrap().pinned);
    }
    let id = made.id.to_string();
    assert!(control.pin_snapshot("acme", &id, true).await.unwrap().pinned);
    refused(control.pin_snapshot("acme", "nothing", true).await, Kind::NotFound);
    let viewer = somebody(&platform, "vera", Role::Viewer).await;
    refused(viewer.pin_snapshot("acme", "year-end", false).await, Kind::Forbidden);

    // A run tells the repository, once.
    assert_eq!(cluster::tick(control).await.unwrap().queued, 1);
    assert_eq!(cluster::tick(control).await.unwrap().queued, 0);
    let expire = platform.claim(RunKind::Expire).await;
    let Work::Expire { terms, sweep, .. } = &expire.work else { panic!("not an expire") };
    let [SnapshotTerms { snapshot, pinned: true, version: 3, .. }] = terms[..] else { panic!("{terms:?}") };
    assert!(!sweep);
    let kept = Fact::SnapshotTermsKept { tenant: served.id, snapshot, version: 3 };
    for _ in 0..2 {
        platform.record(&expire, kept.clone()).await.unwrap();
    }
    platform.finish(&expire, Outcome::Succeeded).await.unwrap();
    platform.sql("UPDATE ops.runs SET ended_at = now() - interval '1 hour' WHERE kind = 'expire'").await;
    assert_eq!(cluster::tick(control).await.unwrap().queued, 0);

    assert!(!control.pin_snapshot("acme", "year-end", false).await.unwrap().pinned);
    assert_eq!(snapshot::tick(control).await.unwrap().expired, 1);
    refused(control.pin_snapshot("acme", "year-end", true).await, Kind::WrongState);
}

#[tokio::test]
async fn a_restore_keeps_its_snapshot() {
    let (platform, served) = served().await;
    platform.snapshot("acme", &served, "before").await;
    platform.sql("UPDATE ops.snapshots SET state = 'restoring', terms = 2").await;
    assert_eq!(cluster::tick(&platform.control).await.unwrap().queued, 1);
    let expire = platform.claim(RunKind::Expire).await;
    let Work::Expire { terms, .. } = &expire.work else { panic!("not an expire") };
    assert!(terms[0].pinned, "{terms:?}");
}

#[tokio::test]
async fn histories_are_looked_through_once_a_day() {
    let (platform, served) = served().await;
    let control = &platform.control;
    let snapshot = platform.snapshot("acme", &served, "old").await;
    assert_eq!(cluster::tick(control).await.unwrap().queued, 0);
    platform.sql("UPDATE ops.tenants SET created_at = now() - interval '25 hours'").await;
    assert_eq!(cluster::tick(control).await.unwrap().queued, 1);
    let expire = platform.claim(RunKind::Expire).await;
    let Work::Expire { retention, sweep, .. } = &expire.work else { panic!("not an expire") };
    assert_eq!((*retention, *sweep), (Retention::default(), true));
    assert!(control.tenant("acme").await.unwrap().restorable_from.is_some());
    let dropped =
        Fact::HistoryDropped { tenant: served.id, backups: vec![served.backup], snapshots: vec![snapshot] };
    for _ in 0..2 {
        platform.record(&expire, dropped.clone()).await.unwrap();
    }
    let other = Fact::HistoryDropped { tenant: model::TenantId::new(), backups: vec![], snapshots: vec![] };
    refused(platform.record(&expire, other).await, Kind::Invalid);
    platform.finish(&expire, Outcome::Succeeded).await.unwrap();
    assert_eq!(control.tenant("acme").await.unwrap().restorable_from, None);
    let expired = control.snapshot("acme", &snapshot.to_string()).await.unwrap();
    assert_eq!(expired.state, SnapshotState::Expired);
    assert_eq!(cluster::tick(control).await.unwrap().queued, 0);
    platform.sql("UPDATE ops.runs SET ended_at = now() - interval '25 hours' WHERE kind = 'expire'").await;
    assert_eq!(cluster::tick(control).await.unwrap().queued, 1);
    let claimed = platform.claim(RunKind::Expire).await;
    platform.finish(&claimed, Outcome::Succeeded).await.unwrap();

    // Oftener, if somebody wants it.
    let schedule = NewSchedule {
        project: "demo".into(),
        environment: None,
        tenant: None,
        name: "often".into(),
        action: Action::Expire,
        cron: "0 * * * *".into(),
        zone: None,
        catch_up: None,
        enabled: None,
    };
    control.create_schedule(&asked(), schedule).await.unwrap();
    let developer = somebody(&platform, "dora", Role::Developer).await;
    refused(developer.run_schedule(&asked(), "demo/often").await, Kind::Forbidden);
    let ada = somebody(&platform, "ada", Role::Admin).await;
    assert_eq!(ada.run_schedule(&asked(), "demo/often").await.unwrap().runs.len(), 1);
    let expire = platform.claim(RunKind::Expire).await;
    assert!(matches!(expire.work, Work::Expire { sweep: true, .. }));
}

#[tokio::test]
async fn only_an_archived_tenant_is_shredded() {
    let (platform, served) = served().await;
    let control = &platform.control;
    refused(control.shred_tenant(&asked(), "acme", "acne").await, Kind::Invalid);
    let refusal = refused(control.shred_tenant(&asked(), "acme", "acme").await, Kind::WrongState);
    assert!(refusal.hint.unwrap().contains("heddle tenant archive acme"));
    control.archive_tenant("acme", "acme").await.unwrap();
    let developer = somebody(&platform, "dora", Role::Developer).await;
    refused(developer.shred_tenant(&asked(), "acme", "acme").await, Kind::Forbidden);

    let olga = somebody(&platform, "olga", Role::Owner).await;
    let ada = somebody(&platform, "ada", Role::Admin).await;
    let policy = NewPolicy {
        project: "demo".into(),
        act: Act::ShredTenant,
        environment: None,
        stage: None,
        approvals: 1,
        roles: None,
        expires_after: None,
    };
    olga.create_policy(policy).await.unwrap();
    refused(ada.shred_tenant(&asked(), "acme", "acme").await, Kind::NeedsApproval);
    let filter = control::ApprovalFilter::default();
    let pending = olga.approvals(&filter, &control::Slice::first()).await.unwrap().items.remove(0);
    assert_eq!(pending.summary, "destroy the key of the tenant acme");
    let id = model::ApprovalId(pending.id);
    olga.decide_approval(id, model::policy::Decision::Approve, None).await.unwrap();
    let run = ada.shred_tenant(&asked(), "acme", "acme").await.unwrap();
    // Control's own acts ask nobody; there is one at a time.
    refused(control.shred_tenant(&asked(), "acme", "acme").await, Kind::WrongState);

    let claimed = platform.claim(RunKind::Shred).await;
    assert_eq!(claimed.run.0, run.id);
    let Work::Shred { tenant, clusters } = &claimed.work else { panic!("not a shred") };
    assert_eq!((tenant.tenant, &clusters[..]), (served.id, &[served.placed.cluster][..]));
    platform.record(&claimed, Fact::ClusterDropped { cluster: served.placed.cluster }).await.unwrap();
    // That it says so is not enough.
    let other = Fact::TenantShredded { tenant: model::TenantId::new() };
    refused(platform.record(&claimed, other).await, Kind::Invalid);
    for _ in 0..2 {
        platform.record(&claimed, Fact::TenantShredded { tenant: served.id }).await.unwrap();
    }
    platform.finish(&claimed, Outcome::Succeeded).await.unwrap();
    assert_eq!(platform.run(claimed.run).await.state, RunState::Succeeded);
    let shredded = control.tenant("acme").await.unwrap();
    assert!(shredded.shredded_at.is_some() && shredded.restorable_from.is_none());
    let refusal = refused(control.shred_tenant(&asked(), "acme", "acme").await, Kind::WrongState);
    assert!(refusal.detail.contains("was shredded"), "{refusal}");
    // Nothing is looked through any more.
    platform.sql("UPDATE ops.tenants SET created_at = now() - interval '25 hours'").await;
    assert_eq!(cluster::tick(control).await.unwrap().queued, 0);
}

#[tokio::test]
async fn a_shred_that_shredded_nothing_has_failed() {
    let (platform, _) = served().await;
    let control = &platform.control;
    control.archive_tenant("acme", "acme").await.unwrap();
    control.shred_tenant(&asked(), "acme", "acme").await.unwrap();
    let claimed = platform.claim(RunKind::Shred).await;
    platform.finish(&claimed, Outcome::Succeeded).await.unwrap();
    let run = platform.run(claimed.run).await;
    assert_eq!(run.state, RunState::Failed);
    assert!(run.reason.unwrap().contains("not shredded"));
    control.retry_run(claimed.run).await.unwrap();
    platform.claim(RunKind::Shred).await;
}

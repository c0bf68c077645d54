//! Runs: claimed once, fenced, lost, retried.

use std::collections::HashMap;
use std::time::Duration;

use control::{Asked, Kind, Requester, RunFilter, Settings};
use jiff::Timestamp;
use model::UserId;
use model::run::{Level, RunKind, RunState};
use model::tenant::TenantState;
use protocol::internal::{Claim, Event, Events, Fact, Heartbeat, Outcome};

use crate::platform::{Platform, asked, failed, new_build, new_tenant, refused, register};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_lose_none_and_double_none() {
    const RUNS: usize = 200;
    const TENANTS: usize = 8;
    let platform = Platform::new().await;
    platform.environment().await;
    for n in 0..TENANTS {
        platform.control.create_tenant(&asked(), new_tenant(&format!("tenant-{n}"))).await.unwrap();
    }
    // Runs that need no history of a tenant.
    platform
        .sql(&format!(
            "SELECT ops.cancel_run(id) FROM ops.runs WHERE state = 'queued';
             UPDATE ops.tenants SET state = 'archived', archived_at = now();
             UPDATE ops.run_kinds SET alone = false;
             SELECT ops.queue_runs(array_agg(gen_random_uuid()), array_agg(p.id),
                                   array_fill('expire'::text, ARRAY[{RUNS}]), tenants => array_agg(t.id))
             FROM generate_series(1, {RUNS}) n, ops.projects p,
                  LATERAL (SELECT id FROM ops.tenants ORDER BY name OFFSET n % {TENANTS} LIMIT 1) t"
        ))
        .await;
    let mut workers = tokio::task::JoinSet::new();
    for name in ["one", "two"] {
        let control = platform.control.clone();
        workers.spawn(async move {
            let worker = register(&control, name).await;
            let mut done = Vec::new();
            let kinds = vec![RunKind::Expire];
            let claim = Claim { worker, kinds, n: 1, previews: None, wait_ms: 1500 };
            while let Some(claimed) = control.claim(claim.clone()).await.unwrap().pop() {
                let finish = protocol::internal::Finish { fence: claimed.fence, outcome: Outcome::Succeeded };
                control.finish(claimed.run, finish).await.unwrap();
                done.push((claimed.run, claimed.fence));
            }
            done
        });
    }
    let done: Vec<_> = workers.join_all().await.into_iter().flatten().collect();
    let runs: HashMap<_, _> = done.iter().copied().collect();
    assert_eq!((done.len(), runs.len()), (RUNS, RUNS));
    let mut fences: Vec<i64> = done.iter().map(|(_, fence)| *fence).collect();
    fences.sort_unstable();
    fences.dedup();
    assert_eq!(fences.len(), RUNS, "a fence was given twice");
    let left: i64 = platform
        .scratch
        .admin()
        .await
        .query_one(
            "SELECT count(*) FROM ops.runs WHERE kind = 'expire' AND (state <> 'succeeded' OR attempts <> 1)",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_lost_workers_run_goes_back_with_a_higher_fence() {
    let settings = Settings { lease: Duration::from_millis(50), ..Settings::default() };
    let platform = Platform::with(settings).await;
    platform.environment().await;
    platform.control.create_tenant(&asked(), new_tenant("acme")).await.unwrap();
    let first = platform.claim(RunKind::Provision).await;
    assert_eq!(first.attempt, 1);
    tokio::time::sleep(Duration::from_millis(80)).await;
    let outcome = control::reconcile::lease::tick(&platform.control).await.unwrap();
    assert_eq!((outcome.requeued, outcome.failed), (1, 0));
    let second = platform.claim(RunKind::Provision).await;
    assert_eq!((second.run, second.attempt), (first.run, 2));
    assert!(second.fence > first.fence);

    // Whatever the stale worker says is refused, and changes nothing.
    let control = &platform.control;
    refused(control.heartbeat(first.run, Heartbeat { fence: first.fence }).await, Kind::Stale);
    let event = Event {
        at: Timestamp::now(),
        level: Level::Info,
        message: "late".into(),
        progress: None,
        payload: None,
    };
    let events = Events { fence: first.fence, first: 1, events: vec![event] };
    refused(control.append_events(first.run, events).await, Kind::Stale);
    let dropped = Fact::ClusterDropped { cluster: model::ClusterId::new() };
    refused(platform.record(&first, dropped).await, Kind::Stale);
    refused(platform.finish(&first, failed("late")).await, Kind::Stale);
    assert_eq!(platform.run(first.run).await.state, RunState::Running);
    assert!(control.run_events(first.run, 0).await.unwrap().iter().all(|event| event.message != "late"));

    // The third loss is the last.
    for expected in [(1, 0), (0, 1)] {
        tokio::time::sleep(Duration::from_millis(80)).await;
        let outcome = control::reconcile::lease::tick(control).await.unwrap();
        assert_eq!((outcome.requeued, outcome.failed), expected);
        if expected.0 == 1 {
            platform.claim(RunKind::Provision).await;
        }
    }
    let run = platform.run(first.run).await;
    assert_eq!((run.state, run.attempts), (RunState::Dead, 3));
    assert_eq!(run.reason.as_deref(), Some("its worker was lost 3 times"));
    assert_eq!(control.tenant("acme").await.unwrap().state, TenantState::Draft);

    // A retry starts anew.
    let run = control.retry_run(first.run).await.unwrap();
    assert_eq!((run.state, run.reason), (RunState::Queued, None));
    assert_eq!(control.tenant("acme").await.unwrap().state, TenantState::Provisioning);
}

#[tokio::test]
async fn a_heartbeat_keeps_the_lease() {
    let settings = Settings { lease: Duration::from_millis(400), ..Settings::default() };
    let platform = Platform::with(settings).await;
    platform.environment().await;
    platform.control.create_build(&asked(), new_build()).await.unwrap();
    let claimed = platform.claim(RunKind::Build).await;
    assert_eq!(claimed.lease_ms, 400);
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        let beat = platform.control.heartbeat(claimed.run, Heartbeat { fence: claimed.fence }).await.unwrap();
        assert!(!beat.cancel);
        let outcome = control::reconcile::lease::tick(&platform.control).await.unwrap();
        assert_eq!(outcome, control::reconcile::lease::Outcome::default());
    }
}

#[tokio::test]
async fn a_worker_that_starts_again_gives_up_its_earlier_runs() {
    let platform = Platform::new().await;
    platform.environment().await;
    platform.control.create_build(&asked(), new_build()).await.unwrap();
    let first = platform.claim(RunKind::Build).await;
    assert_eq!(register(&platform.control, "here").await, platform.worker);
    let second = platform.claim(RunKind::Build).await;
    assert_eq!(second.run, first.run);
    refused(platform.finish(&first, Outcome::Succeeded).await, Kind::Stale);
}

#[tokio::test]
async fn a_tenant_is_worked_on_by_one_run_at_a_time() {
    let platform = Platform::new().await;
    platform.environment().await;
    platform.tenant("acme").await;
    platform.tenant("globex").await;
    let snapshot = |name: &str| protocol::api::NewSnapshot {
        name: Some(name.into()),
        kind: None,
        expires_at: None,
        ..Default::default()
    };
    for (tenant, name) in [("acme", "one"), ("acme", "two"), ("globex", "one")] {
        platform.control.create_snapshot(&asked(), tenant, snapshot(name)).await.unwrap();
    }
    let kinds = [RunKind::Snapshot];
    let acme = platform.try_claim(&kinds).await.unwrap();
    let globex = platform.try_claim(&kinds).await.unwrap();
    assert_ne!(acme.tenant, globex.tenant);
    assert!(platform.try_claim(&kinds).await.is_none(), "acme is worked on twice");
    platform.finish(&acme, failed("why not")).await.unwrap();
    let second = platform.try_claim(&kinds).await.unwrap();
    assert_eq!(second.tenant, acme.tenant);
    // The failed one's name is free again.
    platform.control.create_snapshot(&asked(), "acme", snapshot("one")).await.unwrap();
}

#[tokio::test]
async fn a_key_is_carried_out_once() {
    let platform = Platform::new().await;
    platform.environment().await;
    let once = Asked::by(Requester::User(UserId::new())).once("key-1");
    let first = platform.control.create_tenant(&once, new_tenant("acme")).await.unwrap();
    let again = platform.control.create_tenant(&once, new_tenant("acme")).await.unwrap();
    assert_eq!((first.run.id, first.tenant.id), (again.run.id, again.tenant.id));
    assert!(!first.admin_password.is_empty());
    assert!(again.admin_password.is_empty(), "a password was shown twice");
    let refusal = refused(platform.control.create_tenant(&once, new_tenant("globex")).await, Kind::KeyReused);
    assert!(refusal.hint.is_some());
    refused(platform.control.create_build(&once, new_build()).await, Kind::KeyReused);
    refused(platform.control.tenant("globex").await, Kind::NotFound);
    // Another requester's keys are their own.
    let other = Asked::by(Requester::User(UserId::new())).once("key-1");
    platform.control.create_tenant(&other, new_tenant("globex")).await.unwrap();
    // Asked ten times at once, it is still one.
    let burst = Asked::by(Requester::User(UserId::new())).once("key-2");
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (control, burst) = (platform.control.clone(), burst.clone());
        asking
            .spawn(async move { control.create_tenant(&burst, new_tenant("initech")).await.unwrap().run.id });
    }
    let mut runs = asking.join_all().await;
    runs.dedup();
    assert_eq!(runs.len(), 1);
}

#[tokio::test]
async fn runs_are_cancelled_queued_or_running() {
    let platform = Platform::new().await;
    platform.environment().await;
    let control = &platform.control;
    let created = control.create_tenant(&asked(), new_tenant("acme")).await.unwrap();
    let run = model::RunId(created.run.id);
    assert_eq!(control.cancel_run(run).await.unwrap().state, RunState::Cancelled);
    assert_eq!(control.tenant("acme").await.unwrap().state, TenantState::Draft);
    assert_eq!(control.retry_run(run).await.unwrap().state, RunState::Queued);
    let claimed = platform.claim(RunKind::Provision).await;
    assert_eq!(control.cancel_run(run).await.unwrap().state, RunState::Running);
    assert!(control.heartbeat(run, Heartbeat { fence: claimed.fence }).await.unwrap().cancel);
    platform.finish(&claimed, Outcome::Cancelled).await.unwrap();
    // Said again, it succeeds.
    platform.finish(&claimed, Outcome::Cancelled).await.unwrap();
    assert_eq!(platform.run(run).await.state, RunState::Cancelled);
    // Retried, nobody has asked it to stop.
    control.retry_run(run).await.unwrap();
    let claimed = platform.claim(RunKind::Provision).await;
    assert!(!control.heartbeat(run, Heartbeat { fence: claimed.fence }).await.unwrap().cancel);
}

#[tokio::test]
async fn a_success_without_its_post_condition_is_a_failure() {
    let platform = Platform::new().await;
    platform.environment().await;
    platform.control.create_tenant(&asked(), new_tenant("acme")).await.unwrap();
    let claimed = platform.claim(RunKind::Provision).await;
    platform.finish(&claimed, Outcome::Succeeded).await.unwrap();
    let run = platform.run(claimed.run).await;
    assert_eq!(run.state, RunState::Failed);
    assert_eq!(run.reason.as_deref(), Some("it reported success, but acme is provisioning"));
}

#[tokio::test]
async fn events_are_followed_live() {
    let platform = Platform::new().await;
    platform.environment().await;
    platform.control.create_build(&asked(), new_build()).await.unwrap();
    let claimed = platform.claim(RunKind::Build).await;
    let follower = {
        let (control, run) = (platform.control.clone(), claimed.run);
        tokio::spawn(async move {
            let (mut after, mut seen, mut heard) = (0, None, Vec::new());
            loop {
                let (run, events) =
                    control.follow_run(run, after, seen, Duration::from_secs(5)).await.unwrap();
                after = events.last().map_or(after, |event| event.id);
                let over = run.state.ended() && events.is_empty();
                heard.extend(events.into_iter().map(|event| event.message));
                seen = Some(run.state);
                if over {
                    return (run, heard);
                }
            }
        })
    };
    for n in 0..5 {
        let say = |message: String| Event {
            at: Timestamp::now(),
            level: Level::Info,
            message,
            progress: Some(f64::from(n) / 5.0),
            payload: None,
        };
        let events = vec![say(format!("{n} a\0")), say(format!("{n} b") + &"x".repeat(9000))];
        let events = Events { fence: claimed.fence, first: i64::from(n) * 2 + 1, events };
        // Sent again, they are not appended again.
        for _ in 0..2 {
            platform.control.append_events(claimed.run, events.clone()).await.unwrap();
        }
    }
    assert_eq!(platform.run(claimed.run).await.progress, Some(0.8));
    platform.finish(&claimed, failed("no such folder")).await.unwrap();
    let (run, heard) = follower.await.unwrap();
    assert_eq!(run.reason.as_deref(), Some("no such folder"));
    assert_eq!(heard.len(), 10);
    assert_eq!(heard[8], "4 a");
    assert_eq!(heard[9].len(), 8192);
}

#[tokio::test]
async fn a_waiting_worker_is_woken() {
    let platform = Platform::new().await;
    platform.environment().await;
    let (control, worker) = (platform.control.clone(), platform.worker);
    let claim = Claim { worker, kinds: vec![RunKind::Build], n: 1, previews: None, wait_ms: 10_000 };
    let waiting = tokio::spawn(async move { control.claim(claim).await.unwrap() });
    tokio::time::sleep(Duration::from_millis(100)).await;
    platform.control.create_build(&asked(), new_build()).await.unwrap();
    assert_eq!(waiting.await.unwrap().len(), 1);
    let filter = RunFilter { state: Some(RunState::Running), ..RunFilter::default() };
    assert_eq!(platform.control.runs(&filter).await.unwrap().items.len(), 1);
}

//! The queue's functions, against a real PostgreSQL: nothing else changes a run.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use database::lease::{Beat, Claim, Claimed, End, Ended, Patience, Taken};
use database::run::{About, NewRun, Unqueued};
use database::{Claims, Connection, Pool, Role, Sizes};
use model::run::{Loss, Priority, RunKind, RunState, Stop};
use model::{EnvironmentId, ProjectId, RunId, TenantId, UserId, WorkerId};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::people::{
    DEVELOPER, OTHER_PROJECT, PRODUCTION, PROJECT, People, STAGING, STRANGER, TEST_TENANT, TESTER,
};

const LEASE: Duration = Duration::from_secs(10);
const PROBE: &[RunKind] = &[RunKind::Probe];

struct Queue {
    admin: Client,
    pool: Pool,
    platform: Connection,
    worker: WorkerId,
    _people: People,
}

impl Queue {
    async fn new() -> Self {
        let people = People::new().await;
        let admin = people.scratch.admin().await;
        let pool = Pool::connect(&people.scratch.url(), Sizes::each(8)).await.unwrap();
        let platform = pool.get().await.unwrap();
        let worker = register(&platform, "here").await;
        Self { admin, pool, platform, worker, _people: people }
    }

    async fn sql(&self, sql: &str) {
        self.admin.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    async fn number(&self, sql: &str) -> i64 {
        self.admin.query_one(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
    }

    async fn queue(&self, new: Vec<NewRun>) -> Vec<RunId> {
        let ids = new.iter().map(|run| run.id).collect();
        assert_eq!(database::run::queue(&self.platform, "platform", &new).await.unwrap(), []);
        ids
    }

    async fn probes(&self, count: usize) -> Vec<RunId> {
        self.queue((0..count).map(|_| probe()).collect()).await
    }

    async fn claim(&self, at_most: i32) -> Vec<Claimed> {
        self.claim_for(self.worker, PROBE, at_most).await
    }

    async fn claim_for(&self, worker: WorkerId, kinds: &[RunKind], at_most: i32) -> Vec<Claimed> {
        let claim = Claim { worker, kinds, at_most, previews: at_most, lease: LEASE };
        database::lease::claim(&self.platform, &claim).await.unwrap()
    }

    async fn end(&self, claimed: &Claimed, state: RunState) -> Vec<(RunId, Ended)> {
        database::lease::finish(&self.platform, &[end(claimed, state)]).await.unwrap()
    }

    async fn state(&self, run: RunId) -> RunState {
        database::run::find(&self.platform, run).await.unwrap().unwrap().state
    }

    async fn said(&self, run: RunId) -> Vec<String> {
        let events = database::event::list(&self.platform, run, 0).await.unwrap();
        events.into_iter().map(|event| event.message).collect()
    }

    /// The narrow tables say what the runs say.
    async fn holds_together(&self) {
        for (what, sql) in [
            (
                "queued runs without a place, and places without one",
                "SELECT count(*) FROM ops.runs r FULL JOIN ops.run_ready q ON q.run_id = r.id
                 LEFT JOIN ops.leases l ON l.run_id = r.id
                 WHERE (r.state = 'queued' AND l.run_id IS NULL) IS DISTINCT FROM (q.run_id IS NOT NULL)
                    OR (q.run_id IS NOT NULL AND (r.lane, r.turn) IS DISTINCT FROM (q.lane, q.turn))",
            ),
            (
                "running runs without a lease, and leases without one",
                "SELECT count(*) FROM ops.run_details r FULL JOIN ops.leases l ON l.run_id = r.id
                 WHERE (r.state = 'running') IS DISTINCT FROM (l.run_id IS NOT NULL)
                    OR (l.run_id IS NOT NULL AND (r.filed IS NOT NULL OR r.ended_at IS NOT NULL
                                                  OR r.fence IS DISTINCT FROM l.fence))",
            ),
        ] {
            assert_eq!(self.number(sql).await, 0, "{what}");
        }
    }
}

async fn register(on: &Connection, name: &str) -> WorkerId {
    let new = database::worker::Register { name, version: "0", kinds: None, labels: &[] };
    database::worker::register(on, WorkerId::new(), &new).await.unwrap()
}

fn probe() -> NewRun {
    NewRun::new(ProjectId(PROJECT), About::Probe)
}

fn end(claimed: &Claimed, state: RunState) -> End<'static> {
    let reason = (state != RunState::Succeeded).then_some("why");
    End { run: claimed.run, fence: claimed.fence, state, reason, hint: None }
}

fn user(id: Uuid) -> Arc<Claims> {
    Arc::new(Claims { role: Role::User, user: Some(UserId(id)), via: "session", ..Claims::platform() })
}

/// Walks every state against everything that can happen to a run.
#[tokio::test]
async fn states_change_along_their_arrows_and_no_others() {
    let queue = Queue::new().await;
    let never = Patience { to_begin: LEASE * 1000, silence: LEASE * 1000, to_stop: LEASE * 1000 };
    for &from in RunState::ALL {
        for event in ["claim", "succeed", "fail", "die", "cancelled", "lose", "cancel", "retry", "ready"] {
            let run = in_state(&queue, from).await;
            let fence = database::run::find(&queue.platform, run).await.unwrap().unwrap().fence.unwrap_or(0);
            let on = &queue.platform;
            let finish = async |state| {
                let end = End { run, fence, state, reason: Some("why"), hint: None };
                database::lease::finish(on, &[end]).await.unwrap();
            };
            match event {
                "claim" => drop(queue.claim(1).await),
                "succeed" => {
                    let end = End { run, fence, state: RunState::Succeeded, reason: None, hint: None };
                    database::lease::finish(on, &[end]).await.unwrap();
                }
                "fail" => finish(RunState::Failed).await,
                "die" => {
                    queue
                        .sql(&format!(
                            "UPDATE ops.runs SET max_attempts = 2 WHERE id = '{run}'; UPDATE ops.leases SET attempt = 2"
                        ))
                        .await;
                    finish(RunState::Failed).await;
                }
                "cancelled" => finish(RunState::Cancelled).await,
                "lose" => {
                    queue.sql("UPDATE ops.leases SET expires_at = now() - interval '1 second'").await;
                    for lost in database::lease::lost(on, 10, never, None).await.unwrap() {
                        let (run, fence) = (lost.run, lost.fence);
                        let note = "lost".to_owned();
                        let taken =
                            Taken { run, fence, state: RunState::Queued, reason: None, hint: None, note };
                        database::lease::take(on, &[taken]).await.unwrap();
                    }
                }
                // Refused where it is not possible.
                "cancel" => drop(database::run::cancel(on, run, "why").await),
                "retry" => drop(database::run::retry(on, run).await),
                _ => drop(database::run::ready(on, run).await),
            }
            let expected = match (from, event) {
                (RunState::Queued, "claim") => RunState::Running,
                (RunState::Running, "succeed") => RunState::Succeeded,
                (RunState::Running, "fail") => RunState::Failed,
                (RunState::Running, "die") => RunState::Dead,
                (RunState::Running, "cancelled") => RunState::Cancelled,
                (RunState::Running, "lose") => RunState::Queued,
                (RunState::Waiting | RunState::Queued, "cancel") => RunState::Cancelled,
                (RunState::Failed | RunState::Cancelled | RunState::Dead, "retry") => RunState::Queued,
                (RunState::Waiting, "ready") => RunState::Queued,
                _ => from,
            };
            assert_eq!(queue.state(run).await, expected, "{from} {event}");
            assert!(expected == from || from.may_become(expected), "{from} {event}");
            queue.holds_together().await;
            queue.sql("DELETE FROM ops.run_dependencies; DELETE FROM ops.leases; DELETE FROM ops.run_ready; DELETE FROM ops.runs").await;
        }
    }
}

/// A run that waits has nothing left to wait for.
async fn in_state(queue: &Queue, state: RunState) -> RunId {
    let mut new = probe();
    new.attempts = Some(1);
    let run = queue.queue(vec![new]).await[0];
    match state {
        RunState::Queued => {}
        RunState::Waiting => {
            queue
                .sql(&format!(
                    "DELETE FROM ops.run_ready; UPDATE ops.runs SET state = 'waiting' WHERE id = '{run}'"
                ))
                .await;
        }
        RunState::Running => drop(queue.claim(1).await),
        RunState::Cancelled => drop(database::run::cancel(&queue.platform, run, "why").await.unwrap()),
        ended => {
            let claimed = queue.claim(1).await.remove(0);
            if ended == RunState::Dead {
                queue.sql("UPDATE ops.runs SET max_attempts = 2; UPDATE ops.leases SET attempt = 2").await;
            }
            let said = if ended == RunState::Succeeded { ended } else { RunState::Failed };
            queue.end(&claimed, said).await;
        }
    }
    assert_eq!(queue.state(run).await, state);
    run
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_claimers_share_a_batch_and_double_none() {
    let queue = Queue::new().await;
    const RUNS: usize = 2000;
    queue.probes(1000).await;
    queue.probes(1000).await;
    let mut claimers = tokio::task::JoinSet::new();
    for n in 0..6 {
        let pool = queue.pool.clone();
        let worker = register(&queue.platform, &format!("claimer-{n}")).await;
        claimers.spawn(async move {
            let on = pool.get().await.unwrap();
            let mut mine = Vec::new();
            loop {
                let claim = Claim { worker, kinds: PROBE, at_most: 37, previews: 37, lease: LEASE };
                let claimed = database::lease::claim(&on, &claim).await.unwrap();
                if claimed.is_empty() {
                    return mine;
                }
                let ends: Vec<_> = claimed.iter().map(|one| end(one, RunState::Succeeded)).collect();
                assert_eq!(database::lease::finish(&on, &ends).await.unwrap(), []);
                mine.extend(claimed.iter().map(|one| (one.run, one.fence)));
            }
        });
    }
    let mut done: Vec<_> = claimers.join_all().await.into_iter().flatten().collect();
    // Claimers that found all rows locked have left early; what is left is still there.
    while let Some(claimed) = queue.claim(1).await.pop() {
        queue.end(&claimed, RunState::Succeeded).await;
        done.push((claimed.run, claimed.fence));
    }
    let runs: HashSet<_> = done.iter().map(|(run, _)| *run).collect();
    let fences: HashSet<_> = done.iter().map(|(_, fence)| *fence).collect();
    assert_eq!((done.len(), runs.len(), fences.len()), (RUNS, RUNS, RUNS));
    assert_eq!(
        queue.number("SELECT count(*) FROM ops.runs WHERE state = 'succeeded' AND attempts = 1").await,
        2000
    );
    queue.holds_together().await;
}

#[tokio::test]
async fn one_stale_fence_in_a_batch_spoils_nothing_else() {
    let queue = Queue::new().await;
    queue.probes(5).await;
    let claimed = queue.claim(5).await;
    let mut ends: Vec<_> = claimed.iter().map(|one| end(one, RunState::Succeeded)).collect();
    ends[1].fence -= 1;
    ends[2].state = RunState::Failed;
    ends[2].reason = Some("why");
    let unknown = RunId::new();
    ends.push(End { run: unknown, ..ends[0] });
    let mut answers: BTreeMap<_, _> =
        database::lease::finish(&queue.platform, &ends).await.unwrap().into_iter().collect();
    assert_eq!(answers.remove(&claimed[1].run), Some(Ended::Stale));
    assert_eq!(answers.remove(&unknown), Some(Ended::Stale));
    assert_eq!(answers.remove(&claimed[2].run), Some(Ended::In(RunState::Queued)));
    assert!(answers.is_empty(), "{answers:?}");
    assert_eq!(queue.state(claimed[1].run).await, RunState::Running);
    // Said again under the same fences, they have ended.
    let again = database::lease::finish(&queue.platform, &ends[2..5]).await.unwrap();
    assert!(again.iter().all(|(_, ended)| *ended == Ended::Again) && again.len() == 3, "{again:?}");
    queue.holds_together().await;
}

#[tokio::test]
async fn a_run_waits_for_others_and_falls_with_them() {
    let queue = Queue::new().await;
    let first = queue.probes(2).await;
    let after = |runs: &[RunId]| NewRun { after: runs.to_vec(), ..probe() };
    let both = queue.queue(vec![after(&first)]).await[0];
    let then = queue.queue(vec![after(&[both])]).await[0];
    assert_eq!(queue.state(both).await, RunState::Waiting);
    assert_eq!(database::run::after(&queue.platform, both).await.unwrap().len(), 2);
    assert_eq!(database::run::ready(&queue.platform, both).await.unwrap(), RunState::Waiting);
    let claimed = queue.claim(10).await;
    assert_eq!(claimed.len(), 2);
    queue.end(&claimed[0], RunState::Succeeded).await;
    assert_eq!(queue.state(both).await, RunState::Waiting);
    queue.end(&claimed[1], RunState::Succeeded).await;
    assert_eq!(queue.state(both).await, RunState::Queued);
    // It is cancelled: so is what waits for it.
    database::run::cancel(&queue.platform, both, "no longer wanted").await.unwrap();
    assert_eq!(queue.state(then).await, RunState::Cancelled);
    assert!(queue.said(then).await[0].contains("has not succeeded"));
    // Retried in the wrong order, it waits again.
    assert_eq!(database::run::retry(&queue.platform, then).await.unwrap(), RunState::Waiting);
    assert_eq!(database::run::retry(&queue.platform, both).await.unwrap(), RunState::Queued);
    for expected in [both, then] {
        let claimed = queue.claim(10).await;
        assert_eq!(claimed.iter().map(|one| one.run).collect::<Vec<_>>(), [expected]);
        queue.end(&claimed[0], RunState::Succeeded).await;
    }
    // Of what has succeeded nothing is left to wait for; what has failed is refused.
    assert_eq!(queue.state(queue.queue(vec![after(&first)]).await[0]).await, RunState::Queued);
    let failed = in_state_failed(&queue).await;
    for (runs, said) in [(vec![failed], "is failed already"), (vec![RunId::new()], "no run")] {
        let refused = database::run::queue(&queue.platform, "platform", &[after(&runs)]).await.unwrap_err();
        assert!(format!("{:?}", refused.refused()).contains(said), "{refused:?}");
    }
    queue.holds_together().await;
}

async fn in_state_failed(queue: &Queue) -> RunId {
    queue.sql("DELETE FROM ops.run_ready; UPDATE ops.runs SET state = 'cancelled', ended_at = now() WHERE state = 'queued'").await;
    in_state(queue, RunState::Failed).await
}

#[tokio::test]
async fn failures_are_tried_again_later_and_then_no_more() {
    let queue = Queue::new().await;
    queue.sql("UPDATE ops.run_kinds SET back_off = '10 seconds'").await;
    let run = queue.probes(1).await[0];
    for attempt in 1..=3 {
        let claimed = queue.claim(1).await.remove(0);
        assert_eq!((claimed.run, claimed.attempt), (run, attempt));
        let next = if attempt < 3 { RunState::Queued } else { RunState::Dead };
        assert_eq!(queue.end(&claimed, RunState::Failed).await, [(run, Ended::In(next))]);
        assert!(queue.claim(1).await.is_empty(), "it is not tried again at once");
        if next == RunState::Queued {
            let least = 7.5 * f64::from(1 << (attempt - 1));
            let wait: f64 = queue
                .admin
                .query_one("SELECT extract(epoch FROM run_at - now())::float8 FROM ops.run_ready", &[])
                .await
                .unwrap()
                .get(0);
            assert!(wait > least - 1.0 && wait < least * 5.0 / 3.0, "attempt {attempt}: {wait} s");
            assert_eq!(database::run::tend(&queue.platform, LEASE).await.unwrap().due, 0);
            queue.sql("UPDATE ops.run_ready SET run_at = now(); UPDATE ops.runs SET run_at = now()").await;
            assert_eq!(database::run::tend(&queue.platform, LEASE).await.unwrap().due, 1);
        }
    }
    assert_eq!(queue.state(run).await, RunState::Dead);
    // Retried, it has as many attempts again.
    assert_eq!(database::run::retry(&queue.platform, run).await.unwrap(), RunState::Queued);
    let claimed = queue.claim(1).await.remove(0);
    assert_eq!(queue.end(&claimed, RunState::Failed).await, [(run, Ended::In(RunState::Queued))]);
    // What may be tried once has failed.
    let once = queue.queue(vec![NewRun { attempts: Some(1), ..probe() }]).await[0];
    let claimed = queue.claim(1).await.remove(0);
    assert_eq!(queue.end(&claimed, RunState::Failed).await, [(once, Ended::In(RunState::Failed))]);
    queue.holds_together().await;
}

#[tokio::test]
async fn the_order_is_lanes_then_projects_in_turn_then_ids() {
    let queue = Queue::new().await;
    queue
        .sql(&format!(
            "INSERT INTO ops.environments (id, project_id, name, stage, build_id)
             VALUES ('{}', '{PROJECT}', 'preview', 'development', '{PROJECT}')",
            Uuid::from_u128(13)
        ))
        .await;
    let preview = NewRun {
        environment: Some(EnvironmentId(Uuid::from_u128(13))),
        priority: Some(Priority::High),
        ..probe()
    };
    let preview = queue.queue(vec![preview]).await[0];
    let low = queue.queue(vec![NewRun { priority: Some(Priority::Low), ..probe() }]).await[0];
    let bulk = queue.probes(4).await;
    let other: Vec<RunId> =
        queue.queue((0..2).map(|_| NewRun { project: ProjectId(OTHER_PROJECT), ..probe() }).collect()).await;
    let high = queue.queue(vec![NewRun { priority: Some(Priority::High), ..probe() }]).await[0];
    let mut order = Vec::new();
    while let Some(claimed) = queue.claim(1).await.pop() {
        order.push(claimed.run);
    }
    // The other project does not wait for the bulk to end.
    assert_eq!(order, [high, bulk[0], other[0], bulk[1], other[1], bulk[2], bulk[3], low, preview]);
}

#[tokio::test]
async fn a_slot_is_kept_from_previews() {
    let queue = Queue::new().await;
    queue.sql(&format!("UPDATE ops.environments SET stage = 'development' WHERE id = '{STAGING}'")).await;
    let environment = Some(EnvironmentId(STAGING));
    queue.queue((0..3).map(|_| NewRun { environment, ..probe() }).collect()).await;
    let claim = Claim { worker: queue.worker, kinds: PROBE, at_most: 2, previews: 0, lease: LEASE };
    assert!(database::lease::claim(&queue.platform, &claim).await.unwrap().is_empty());
    let normal = queue.probes(1).await[0];
    let claim = Claim { previews: 1, ..claim };
    let claimed = database::lease::claim(&queue.platform, &claim).await.unwrap();
    assert!(claimed.len() == 2 && claimed.iter().any(|one| one.run == normal), "{claimed:?}");
}

#[tokio::test]
async fn caps_hold_whoever_claims_at_once() {
    let queue = Queue::new().await;
    queue
        .sql(&format!(
            "INSERT INTO ops.queue_caps (project_id, at_most) VALUES ('{PROJECT}', 3);
             INSERT INTO ops.queue_caps (kind, at_most) VALUES ('probe', 5)"
        ))
        .await;
    queue.probes(10).await;
    queue.queue((0..10).map(|_| NewRun { project: ProjectId(OTHER_PROJECT), ..probe() }).collect()).await;
    let mut claimers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (pool, worker) = (queue.pool.clone(), queue.worker);
        claimers.spawn(async move {
            let on = pool.get().await.unwrap();
            let claim = Claim { worker, kinds: PROBE, at_most: 10, previews: 10, lease: LEASE };
            let mut mine = Vec::new();
            for _ in 0..5 {
                mine.extend(database::lease::claim(&on, &claim).await.unwrap());
            }
            mine
        });
    }
    let claimed: Vec<_> = claimers.join_all().await.into_iter().flatten().collect();
    assert_eq!(claimed.len(), 5, "of the kind");
    let of_project = format!("SELECT count(*) FROM ops.leases WHERE project_id = '{PROJECT}'");
    let running = queue.number(&of_project).await;
    assert!((1..=3).contains(&running), "{running} of the project");
    // A place that is free again is given away again.
    queue.end(&claimed[0], RunState::Succeeded).await;
    assert_eq!(queue.claim(10).await.len(), 1);
    assert!(queue.claim(10).await.is_empty());
    queue.holds_together().await;
}

#[tokio::test]
async fn workers_take_what_they_are_made_for() {
    let queue = Queue::new().await;
    let labelled = NewRun { labels: vec!["gpu".into(), "fast".into()], ..probe() };
    let labelled = queue.queue(vec![labelled]).await[0];
    assert!(queue.claim(1).await.is_empty(), "without its labels");
    queue.sql("UPDATE ops.workers SET labels = '{fast,gpu,more}', kinds = '{build}'").await;
    assert!(queue.claim(1).await.is_empty(), "made for something else");
    queue.sql("UPDATE ops.workers SET kinds = '{build,test}'").await;
    database::worker::drain(&queue.platform, "here", true).await.unwrap();
    assert!(queue.claim(1).await.is_empty(), "while it drains");
    database::worker::drain(&queue.platform, "here", false).await.unwrap();
    let claimed = queue.claim(1).await.remove(0);
    assert_eq!(claimed.run, labelled);
    // What it has it ends, draining or not.
    database::worker::drain(&queue.platform, "here", true).await.unwrap();
    assert_eq!(queue.end(&claimed, RunState::Succeeded).await, []);
    assert!(database::worker::drain(&queue.platform, "nobody", true).await.is_err());
}

#[tokio::test]
async fn keys_and_unique_runs_are_queued_once() {
    let queue = Queue::new().await;
    let keyed = |key: &str, hash: u8| NewRun { key: Some((key.into(), [hash; 32])), ..probe() };
    let first = queue.queue(vec![keyed("a", 1)]).await[0];
    let new = [keyed("a", 1), keyed("b", 1), keyed("b", 1)];
    let unqueued = database::run::queue(&queue.platform, "platform", &new).await.unwrap();
    assert_eq!(unqueued[0], (new[0].id, Unqueued::Before(first)));
    assert_eq!(unqueued[1], (new[2].id, Unqueued::Before(new[1].id)), "twice in one batch");
    assert_eq!(unqueued.len(), 2);
    // Another's key is their own.
    assert_eq!(database::run::queue(&queue.platform, "schedule:1", &[keyed("a", 2)]).await.unwrap(), []);
    let reused = [probe(), keyed("a", 2)];
    let refused = database::run::queue(&queue.platform, "platform", &reused).await.unwrap_err();
    assert_eq!(refused.refused().map(|(kind, ..)| kind), Some(database::Refused::KeyReused));
    assert!(database::run::find(&queue.platform, reused[0].id).await.unwrap().is_none(), "all or none");

    let unique = || NewRun { unique_key: Some("nightly".into()), ..probe() };
    let live = queue.queue(vec![unique()]).await[0];
    let second = unique();
    let busy =
        database::run::queue(&queue.platform, "platform", std::slice::from_ref(&second)).await.unwrap();
    assert_eq!(busy, [(second.id, Unqueued::Busy(Some(live)))]);
    database::run::cancel(&queue.platform, live, "why").await.unwrap();
    queue.queue(vec![unique()]).await;
    let refused = database::run::retry(&queue.platform, live).await.unwrap_err();
    assert_eq!(refused.refused().map(|(kind, ..)| kind), Some(database::Refused::WrongState));
    // Asked ten times at once, it is one.
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let pool = queue.pool.clone();
        let new = NewRun { key: Some(("burst".into(), [7; 32])), ..probe() };
        asking.spawn(async move {
            let on = pool.get().await.unwrap();
            let unqueued = database::run::queue(&on, "platform", std::slice::from_ref(&new)).await.unwrap();
            match unqueued.first() {
                None => new.id,
                Some((_, Unqueued::Before(run))) => *run,
                Some(other) => panic!("{other:?}"),
            }
        });
    }
    let runs: HashSet<_> = asking.join_all().await.into_iter().collect();
    assert_eq!(runs.len(), 1);
    queue.holds_together().await;
}

#[tokio::test]
async fn leases_are_taken_back_and_old_fences_refused() {
    let queue = Queue::new().await;
    queue.probes(4).await;
    let claimed = queue.claim(4).await;
    let beats: Vec<_> =
        claimed[..3].iter().map(|one| Beat { run: one.run, fence: one.fence, begun: false }).collect();
    assert_eq!(database::lease::extend(&queue.platform, &beats, LEASE).await.unwrap().len(), 3);
    let patience =
        Patience { to_begin: Duration::from_secs(300), silence: Duration::from_secs(1800), to_stop: LEASE };
    assert!(database::lease::lost(&queue.platform, 10, patience, None).await.unwrap().is_empty());
    // Each in a way of its own.
    let ago = |column: &str, time: &str, n: usize| {
        let run = claimed[n].run;
        format!("UPDATE ops.leases SET {column} = now() - interval '{time}' WHERE run_id = '{run}'")
    };
    queue.sql(&ago("claimed_at", "6 minutes", 0)).await;
    queue.sql(&ago("sign_at", "31 minutes", 1)).await;
    queue.sql("UPDATE ops.leases SET begun_at = now() WHERE sign_at < now() - interval '30 minutes'").await;
    queue.sql(&ago("deadline_at", "1 second", 2)).await;
    queue.sql(&ago("expires_at", "1 second", 3)).await;
    let tended = database::run::tend(&queue.platform, LEASE).await.unwrap();
    assert_eq!(tended.overdue, 1);
    let heard = database::lease::extend(&queue.platform, &beats[2..], LEASE).await.unwrap();
    assert_eq!(heard[0].stop, Some(Stop::Deadline));
    let why = async || -> BTreeMap<RunId, Loss> {
        let lost = database::lease::lost(&queue.platform, 10, patience, None).await.unwrap();
        lost.into_iter().map(|lost| (lost.run, lost.why)).collect()
    };
    let expected =
        [(claimed[0].run, Loss::Unbegun), (claimed[1].run, Loss::Silent), (claimed[3].run, Loss::Expired)];
    assert_eq!(why().await, expected.into());
    queue.sql(&ago("deadline_at", "1 minute", 2)).await;
    assert_eq!(why().await[&claimed[2].run], Loss::Overdue);

    let taken = claimed.iter().map(|one| Taken {
        run: one.run,
        fence: one.fence,
        state: if one.run == claimed[2].run { RunState::Dead } else { RunState::Queued },
        reason: Some("lost".into()),
        hint: None,
        note: "taken back".into(),
    });
    let taken: Vec<_> = taken.collect();
    assert_eq!(database::lease::take(&queue.platform, &taken).await.unwrap(), 4);
    assert_eq!(database::lease::take(&queue.platform, &taken).await.unwrap(), 0, "once");
    assert_eq!(queue.said(claimed[0].run).await, ["taken back"]);
    assert_eq!(queue.state(claimed[2].run).await, RunState::Dead);
    // A frozen worker that comes back is not heard any more, before or after the next claim.
    for _ in 0..2 {
        assert_eq!(queue.end(&claimed[0], RunState::Succeeded).await, [(claimed[0].run, Ended::Stale)]);
        assert!(database::lease::extend(&queue.platform, &beats, LEASE).await.unwrap().is_empty());
        queue.claim(10).await;
    }
    assert_eq!(queue.state(claimed[0].run).await, RunState::Running);
    queue.holds_together().await;
}

#[tokio::test]
async fn nobody_asks_beyond_their_permissions() {
    let queue = Queue::new().await;
    let ask = async |who: Uuid, new: NewRun| {
        let on = queue.pool.get_as(&user(who)).await.unwrap();
        database::run::queue(&on, "user:somebody-else", std::slice::from_ref(&new)).await.map(|_| new.id)
    };
    let refused = |outcome: database::Result<RunId>| match outcome {
        Err(error) => error.refused().map(|(kind, ..)| kind).unwrap_or_else(|| panic!("{error:?}")),
        Ok(run) => panic!("{run} was queued"),
    };
    let mine = ask(TESTER, probe()).await.unwrap();
    let requester =
        format!("SELECT count(*) FROM ops.runs WHERE id = '{mine}' AND requester = 'user:{TESTER}'");
    assert_eq!(queue.number(&requester).await, 1, "a user is the requester, whatever is said");
    let live = NewRun { environment: Some(EnvironmentId(PRODUCTION)), ..probe() };
    assert_eq!(refused(ask(TESTER, live.clone()).await), database::Refused::Forbidden);
    ask(DEVELOPER, NewRun { id: RunId::new(), ..live }).await.unwrap();
    assert_eq!(refused(ask(STRANGER, probe()).await), database::Refused::Missing, "it is not even seen");
    // Neither another project's things, under one's own project's name.
    let stolen = NewRun {
        project: ProjectId(OTHER_PROJECT),
        ..NewRun::new(ProjectId(OTHER_PROJECT), About::Backup(TenantId(TEST_TENANT)))
    };
    assert!(matches!(
        refused(ask(STRANGER, stolen).await),
        database::Refused::Missing | database::Refused::Forbidden
    ));
    let expire = NewRun::new(ProjectId(PROJECT), About::Expire(TenantId(TEST_TENANT)));
    assert_eq!(refused(ask(DEVELOPER, expire).await), database::Refused::Forbidden);

    let stranger = queue.pool.get_as(&user(STRANGER)).await.unwrap();
    for outcome in [
        database::run::cancel(&stranger, mine, "why").await,
        database::run::retry(&stranger, mine).await,
        database::run::ready(&stranger, mine).await,
    ] {
        assert_eq!(outcome.unwrap_err().refused().map(|(kind, ..)| kind), Some(database::Refused::Missing));
    }
    let tester = queue.pool.get_as(&user(TESTER)).await.unwrap();
    assert!(database::worker::drain(&tester, "here", true).await.unwrap_err().refused().is_some());
    database::run::cancel(&tester, mine, "why").await.unwrap();
    assert_eq!(queue.state(mine).await, RunState::Cancelled);
}

#[tokio::test]
async fn a_worker_touches_only_what_it_holds() {
    let queue = Queue::new().await;
    queue.probes(2).await;
    let other = register(&queue.platform, "other").await;
    let as_worker = |worker| {
        Arc::new(Claims { role: Role::Worker, worker: Some(worker), via: "worker", ..Claims::platform() })
    };
    let mine = queue.pool.get_as(&as_worker(queue.worker)).await.unwrap();
    let theirs = queue.pool.get_as(&as_worker(other)).await.unwrap();
    let claim = Claim { worker: queue.worker, kinds: PROBE, at_most: 1, previews: 1, lease: LEASE };
    let forbidden = database::lease::claim(&theirs, &claim).await.unwrap_err();
    assert_eq!(forbidden.refused().map(|(kind, ..)| kind), Some(database::Refused::Forbidden));
    let claimed = database::lease::claim(&mine, &claim).await.unwrap().remove(0);
    let beat = Beat { run: claimed.run, fence: claimed.fence, begun: true };
    assert!(database::lease::extend(&theirs, &[beat], LEASE).await.unwrap().is_empty());
    assert!(database::lease::hold(&theirs, claimed.run, claimed.fence).await.unwrap().is_none());
    let ends = [end(&claimed, RunState::Succeeded)];
    assert_eq!(database::lease::finish(&theirs, &ends).await.unwrap(), [(claimed.run, Ended::Stale)]);
    assert!(database::run::cancel(&theirs, claimed.run, "why").await.is_err());
    assert!(database::run::queue(&theirs, "platform", &[probe()]).await.is_err());
    assert!(database::lease::hold(&mine, claimed.run, claimed.fence).await.unwrap().is_some());
    assert_eq!(database::lease::finish(&mine, &ends).await.unwrap(), []);
}

/// The looks that are made once a second begin at marks; what a mark has passed
/// is found all the same.
#[tokio::test]
async fn looks_begin_at_marks_and_miss_nothing() {
    let queue = Queue::new().await;
    let never = Patience { to_begin: LEASE * 1000, silence: LEASE * 1000, to_stop: LEASE * 1000 };
    // Every look is as if the last one had been long ago.
    let look = async || {
        queue.sql("UPDATE ops.queue_marks SET made_at = '-infinity'").await;
        database::run::tend(&queue.platform, LEASE).await.unwrap()
    };
    queue.queue((0..3).map(|_| probe()).collect()).await;
    let claimed = queue.claim(1).await.remove(0);
    for _ in 0..3 {
        look().await;
    }
    assert_eq!(queue.number("SELECT count(*) FROM ops.leases WHERE lasting").await, 1);
    assert!(queue.number("SELECT fence FROM ops.queue_marks").await >= claimed.fence);
    // One that was claimed before the mark, and was committed after it.
    let late = queue.claim(1).await.remove(0);
    queue.sql("UPDATE ops.queue_marks SET fence = 1000000, later_fence = 1000000").await;
    queue.sql("UPDATE ops.leases SET expires_at = now() - interval '1 second'").await;
    let lost = async || {
        let lost = database::lease::lost(&queue.platform, 10, never, None).await.unwrap();
        lost.into_iter().map(|lost| lost.run).collect::<Vec<_>>()
    };
    assert_eq!(lost().await, [claimed.run]);
    queue.sql("UPDATE ops.queue_marks SET whole_at = '-infinity'").await;
    look().await;
    assert_eq!(lost().await, [claimed.run, late.run]);

    // A run that waits where the turn has long passed, and the marks as well.
    queue.sql("SELECT setval('ops.turn_normal', 100000); UPDATE ops.run_ready SET turn = 1; UPDATE ops.runs SET turn = 1").await;
    queue.sql("UPDATE ops.queue_marks SET turns = '{90000,90000,90000,90000}', whole_at = now()").await;
    assert_eq!(database::run::tend(&queue.platform, LEASE).await.unwrap().passed, 0);
    queue.sql("UPDATE ops.queue_marks SET whole_at = '-infinity'").await;
    assert_eq!(look().await.passed, 1);
    assert_eq!(queue.claim(1).await.len(), 1);
}

/// More than one look brings forward, and no mark passes those that are left.
#[tokio::test]
async fn a_mark_waits_for_what_was_left_behind() {
    let queue = Queue::new().await;
    queue.queue((0..450).map(|_| probe()).collect()).await;
    queue.sql("SELECT setval('ops.turn_normal', 100000)").await;
    let mut passed = Vec::new();
    for _ in 0..4 {
        queue.sql("UPDATE ops.queue_marks SET made_at = '-infinity'").await;
        passed.push(database::run::tend(&queue.platform, LEASE).await.unwrap().passed);
    }
    assert_eq!(passed, [200, 200, 50, 0]);
    assert_eq!(queue.claim(500).await.len(), 450);
}

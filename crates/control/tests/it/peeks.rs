//! Peeks, as they are asked for, reported, and ended.

use control::reconcile::peek;
use control::{Control, Kind, Slice};
use model::PeekId;
use model::access::Role;
use model::peek::{MOST_A_TENANT, PeekState, Point};
use model::policy::{Act, Decision};
use model::run::{RunKind, RunState};
use model::{ApprovalId, RunId};
use protocol::api::{NewPeek, NewPolicy, NewSnapshot};
use protocol::internal::{Claimed, Fact, Outcome, PeekWork, Peeks, Work};

use crate::platform::{Platform, Served, asked, failed, refused, register, somebody};

async fn served() -> (Platform, Served) {
    let platform = Platform::new().await;
    platform.environment().await;
    let served = platform.tenant("acme").await;
    (platform, served)
}

fn latest() -> NewPeek {
    NewPeek::default()
}

fn work(claimed: &Claimed) -> PeekWork {
    match &claimed.work {
        Work::Peek { peek, .. } => peek.clone(),
        other => panic!("not a peek: {other:?}"),
    }
}

/// Asks for one and says that it is open.
async fn open(platform: &Platform) -> PeekId {
    let made = platform.control.create_peek(&asked(), "acme", latest()).await.unwrap();
    let claimed = platform.claim(RunKind::Peek).await;
    let peek = PeekId(made.peek.id);
    platform.record(&claimed, Fact::PeekOpened { peek, port: 18_000 }).await.unwrap();
    platform.finish(&claimed, Outcome::Succeeded).await.unwrap();
    peek
}

async fn state(platform: &Platform, peek: PeekId) -> PeekState {
    platform.control.peek("acme", peek).await.unwrap().state
}

/// What the worker hears when it says that these are gone.
async fn keep(platform: &Platform, gone: &[PeekId]) -> (Vec<PeekId>, Vec<PeekId>) {
    let control = platform.control.as_worker(platform.worker);
    let answer = control.keep_peeks(platform.worker, Peeks { gone: gone.to_vec() }).await.unwrap();
    (answer.open, answer.ending)
}

#[tokio::test]
async fn its_password_is_told_once_and_kept_as_a_verifier() {
    let (platform, _) = served().await;
    let asked = asked().once("twice");
    let made = platform.control.create_peek(&asked, "acme", latest()).await.unwrap();
    assert_eq!((made.peek.state, made.password.len()), (PeekState::Opening, 32));
    let again = platform.control.create_peek(&asked, "acme", latest()).await.unwrap();
    assert_eq!((again.peek.id, again.password.as_str()), (made.peek.id, ""));

    let claimed = platform.claim(RunKind::Peek).await;
    let PeekWork { peek, point, seconds, verifier, opened } = work(&claimed);
    assert!(!opened);
    assert_eq!((peek.0, point, seconds), (made.peek.id, Point::Latest, 3600));
    assert!(verifier.starts_with("SCRAM-SHA-256$4096:"), "{verifier}");
    assert!(!format!("{claimed:?}").contains(&verifier), "a verifier is printed");

    let fact = Fact::PeekOpened { peek, port: 18_000 };
    for _ in 0..2 {
        platform.record(&claimed, fact.clone()).await.unwrap();
    }
    let elsewhere = Fact::PeekOpened { peek, port: 18_001 };
    refused(platform.record(&claimed, elsewhere).await, Kind::WrongState);
    platform.finish(&claimed, Outcome::Succeeded).await.unwrap();
    let found = platform.control.peek("acme", peek).await.unwrap();
    assert_eq!(
        (found.state, found.port, found.host.as_deref()),
        (PeekState::Open, Some(18_000), Some("127.0.0.1"))
    );
    assert_eq!(found.worker.as_deref(), Some("here"));
    let lasts = found.expires_at.unwrap().duration_since(found.opened_at.unwrap());
    assert_eq!(lasts.as_secs(), 3600);
    // Nowhere is the password, and the verifier is gone with the run.
    let admin = platform.scratch.admin().await;
    let sql = "SELECT count(*) FROM ops.runs r WHERE r.payload::text LIKE '%SCRAM%' OR r.metadata::text LIKE '%SCRAM%'";
    let kept: i64 = admin.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(kept, 0);
    let sql = "SELECT count(*) FROM ops.audit a WHERE a.detail::text LIKE '%' || $1 || '%' OR a.detail::text LIKE '%SCRAM%'";
    let told: i64 = admin.query_one(sql, &[&made.password]).await.unwrap().get(0);
    assert_eq!(told, 0);
    let sql =
        "SELECT count(*) FROM ops.audit a WHERE a.act = 'peeks.created' AND a.subjects @> ARRAY[$1::uuid]";
    let noted: i64 = admin.query_one(sql, &[&peek.0]).await.unwrap().get(0);
    assert_eq!(noted, 1, "it is audited that somebody looked");
}

#[tokio::test]
async fn it_takes_more_than_a_restore_to_read_everything() {
    let (platform, _) = served().await;
    platform.sql("UPDATE ops.environments SET stage = 'staging'").await;
    let at = |role| somebody(&platform, role, role.parse::<Role>().unwrap());
    let (tester, developer) = (at("tester").await, at("developer").await);
    let refusal = refused(tester.create_peek(&asked(), "acme", latest()).await, Kind::Forbidden);
    assert!(refusal.detail.contains("peek into acme") && refusal.detail.contains("`develop`"), "{refusal}");
    let made = developer.create_peek(&asked(), "acme", latest()).await.unwrap();
    let peek = PeekId(made.peek.id);
    // Whoever sees the tenant sees that it was looked into, and ends nothing.
    assert_eq!(tester.peek("acme", peek).await.unwrap().id, peek.0);
    refused(tester.end_peek("acme", peek).await, Kind::Forbidden);
    let stranger = somebody(&platform, "stranger", None).await;
    refused(stranger.peeks("acme", &Slice::first()).await, Kind::NotFound);

    platform.sql("UPDATE ops.environments SET stage = 'production'").await;
    let refusal = refused(developer.create_peek(&asked(), "acme", latest()).await, Kind::Forbidden);
    assert!(refusal.detail.contains("`operate`"), "{refusal}");
    refused(developer.end_peek("acme", peek).await, Kind::Forbidden);
    let admin = at("admin").await;
    admin.create_peek(&asked(), "acme", latest()).await.unwrap();
    admin.end_peek("acme", peek).await.unwrap();
}

#[tokio::test]
async fn production_is_not_held_up_by_somebody_who_looks() {
    let (platform, served) = served().await;
    platform.control.create_peek(&asked(), "acme", latest()).await.unwrap();
    let peeking = platform.claim(RunKind::Peek).await;
    assert_eq!(peeking.tenant, None, "it takes no turn of its tenant");
    // While it is made, other runs of the tenant are claimed, and the other way round.
    platform.snapshot("acme", &served, "meanwhile").await;
    let new = NewSnapshot { name: Some("held".into()), ..NewSnapshot::default() };
    platform.control.create_snapshot(&asked(), "acme", new).await.unwrap();
    platform.claim(RunKind::Snapshot).await;
    platform.control.create_peek(&asked(), "acme", latest()).await.unwrap();
    platform.claim(RunKind::Peek).await;
    // Lost with its worker, it is claimed again, beside the others still.
    register(&platform.control, "here").await;
    let again = platform.claim_up_to(&[RunKind::Peek, RunKind::Snapshot], 9).await;
    let kinds: Vec<bool> = again.iter().map(|claimed| claimed.tenant.is_none()).collect();
    assert_eq!(kinds.iter().filter(|beside| **beside).count(), 2, "{again:?}");
    assert_eq!(again.len(), 3, "{again:?}");
}

#[tokio::test]
async fn each_ends_with_its_time_by_hand_or_with_its_tenant() {
    let (platform, _) = served().await;
    let control = &platform.control;
    let (expired, closed, archived) = (open(&platform).await, open(&platform).await, open(&platform).await);
    assert_eq!(keep(&platform, &[]).await, (vec![expired, closed, archived], vec![]));
    assert_eq!(peek::tick(control).await.unwrap().ended, 0);

    platform.sql(&format!("UPDATE ops.peeks SET expires_at = now() WHERE id = '{expired}'")).await;
    assert_eq!(peek::tick(control).await.unwrap().ended, 1);
    assert_eq!(peek::tick(control).await.unwrap().ended, 0);
    for _ in 0..2 {
        control.end_peek("acme", closed).await.unwrap();
    }
    assert_eq!(keep(&platform, &[]).await, (vec![archived], vec![expired, closed]));
    assert_eq!(state(&platform, closed).await, PeekState::Ending, "until nothing is left of it");

    control.archive_tenant("acme", "acme").await.unwrap();
    let refusal = refused(control.shred_tenant(&asked(), "acme", "acme").await, Kind::WrongState);
    assert!(refusal.detail.contains("looks into"), "{refusal}");
    assert_eq!(keep(&platform, &[]).await.1.len(), 3);
    assert_eq!(keep(&platform, &[expired, closed, archived]).await, (vec![], vec![]));
    let reasons: Vec<String> = control
        .peeks("acme", &Slice::first())
        .await
        .unwrap()
        .items
        .into_iter()
        .filter_map(|peek| peek.reason)
        .collect();
    assert_eq!(reasons, ["its tenant was archived", "somebody has ended it", "its time is over"]);
    control.shred_tenant(&asked(), "acme", "acme").await.unwrap();
}

#[tokio::test]
async fn one_that_its_host_has_lost_has_ended() {
    let (platform, _) = served().await;
    let lost = open(&platform).await;
    // Another host says nothing of it.
    let other = register(&platform.control, "elsewhere").await;
    let elsewhere = platform.control.as_worker(other);
    let said = elsewhere.keep_peeks(other, Peeks { gone: vec![lost] }).await.unwrap();
    assert!(said.open.is_empty());
    assert_eq!(state(&platform, lost).await, PeekState::Open);
    keep(&platform, &[lost]).await;
    let found = platform.control.peek("acme", lost).await.unwrap();
    assert_eq!(found.state, PeekState::Ended);
    assert!(found.reason.unwrap().contains("ended early"));
}

#[tokio::test]
async fn one_whose_worker_was_lost_is_not_opened_twice() {
    let (platform, _) = served().await;
    let made = platform.control.create_peek(&asked(), "acme", latest()).await.unwrap();
    let claimed = platform.claim(RunKind::Peek).await;
    let peek = PeekId(made.peek.id);
    platform.record(&claimed, Fact::PeekOpened { peek, port: 18_000 }).await.unwrap();
    // Whoever takes it up again hears that it was open; once it is gone, nobody takes it up.
    register(&platform.control, "here").await;
    assert!(work(&platform.claim(RunKind::Peek).await).opened);
    keep(&platform, &[peek]).await;
    register(&platform.control, "here").await;
    assert!(platform.try_claim(&[RunKind::Peek]).await.is_none());
    let run = platform.run(claimed.run).await;
    assert_eq!(run.state, RunState::Failed);
    assert!(run.reason.unwrap().contains("its worker was lost"));
    assert_eq!(state(&platform, peek).await, PeekState::Ended);
}

#[tokio::test]
async fn one_that_is_not_made_frees_its_place() {
    let (platform, _) = served().await;
    let control = &platform.control;
    let mut made = Vec::new();
    for _ in 0..MOST_A_TENANT {
        made.push(control.create_peek(&asked(), "acme", latest()).await.unwrap().peek);
    }
    let refusal = refused(control.create_peek(&asked(), "acme", latest()).await, Kind::WrongState);
    assert!(refusal.detail.contains("as many as a tenant may have"), "{refusal}");

    // Ended before it was claimed, and while it is being made.
    let (first, second, third) = (PeekId(made[0].id), PeekId(made[1].id), PeekId(made[2].id));
    control.end_peek("acme", first).await.unwrap();
    assert_eq!(state(&platform, first).await, PeekState::Failed);
    let claimed = platform.claim(RunKind::Peek).await;
    assert_eq!(work(&claimed).peek, second);
    control.end_peek("acme", second).await.unwrap();
    assert_eq!(state(&platform, second).await, PeekState::Opening);
    platform.finish(&claimed, Outcome::Cancelled).await.unwrap();
    assert_eq!(state(&platform, second).await, PeekState::Failed);
    // Its worker has failed.
    let claimed = platform.claim(RunKind::Peek).await;
    platform.finish(&claimed, failed("the disk is full")).await.unwrap();
    let found = control.peek("acme", third).await.unwrap();
    assert_eq!((found.state, found.reason.as_deref()), (PeekState::Failed, Some("the disk is full")));
    refused(control.retry_run(RunId(found.run)).await, Kind::WrongState);
    open(&platform).await;

    // Success is looked for.
    control.create_peek(&asked(), "acme", latest()).await.unwrap();
    let claimed = platform.claim(RunKind::Peek).await;
    platform.finish(&claimed, Outcome::Succeeded).await.unwrap();
    let run = platform.run(claimed.run).await;
    assert_eq!(run.state, RunState::Failed);
    assert!(run.reason.unwrap().contains("the peek is opening"));
}

#[tokio::test]
async fn what_is_shown_must_be_there() {
    let (platform, served) = served().await;
    let control = &platform.control;
    let at = |text: &str| NewPeek { at: Some(text.parse().unwrap()), ..latest() };
    for (new, kind) in [
        (NewPeek { lsn: Some("0/zz".into()), ..latest() }, Kind::Invalid),
        (NewPeek { seconds: Some(9), ..latest() }, Kind::Invalid),
        (NewPeek { seconds: Some(86_401), ..latest() }, Kind::Invalid),
        (NewPeek { snapshot: Some("nothing".into()), ..latest() }, Kind::NotFound),
        (NewPeek { lsn: Some("0/1".into()), ..at("2026-01-01T00:00:00Z") }, Kind::Invalid),
        (at("2001-01-01T00:00:00Z"), Kind::Invalid),
        (at("9001-01-01T00:00:00Z"), Kind::Invalid),
    ] {
        refused(control.create_peek(&asked(), "acme", new).await, kind);
    }
    refused(control.create_peek(&asked(), "nobody", latest()).await, Kind::NotFound);
    refused(control.peek("acme", PeekId::new()).await, Kind::NotFound);
    let snapshot = platform.snapshot("acme", &served, "before").await;
    let new = NewPeek { snapshot: Some("before".into()), seconds: Some(60), ..latest() };
    control.create_peek(&asked(), "acme", new).await.unwrap();
    let claimed = platform.claim(RunKind::Peek).await;
    let peek = work(&claimed);
    assert_eq!((peek.point, peek.seconds), (Point::Snapshot(snapshot), 60));
    // Archived meanwhile, it is not opened.
    control.archive_tenant("acme", "acme").await.unwrap();
    let opened = Fact::PeekOpened { peek: peek.peek, port: 18_000 };
    refused(platform.record(&claimed, opened).await, Kind::WrongState);
}

#[tokio::test]
async fn a_policy_can_ask_others_first() {
    let (platform, _) = served().await;
    let olga = somebody(&platform, "olga", Role::Owner).await;
    let ada: Control = somebody(&platform, "ada", Role::Admin).await;
    let policy = NewPolicy {
        project: "demo".into(),
        act: Act::Peek,
        environment: None,
        stage: None,
        approvals: 1,
        roles: None,
        expires_after: None,
    };
    olga.create_policy(policy).await.unwrap();
    let mut made = Vec::new();
    for _ in 0..2 {
        made.push(olga.create_peek(&asked(), "acme", latest()).await.unwrap().peek);
    }
    assert!(platform.try_claim(&[RunKind::Peek]).await.is_none(), "it waits");
    for (peek, decision) in made.iter().zip([Decision::Approve, Decision::Refuse]) {
        let approval = ada.approval_of_run(RunId(peek.run)).await.unwrap();
        ada.decide_approval(ApprovalId(approval.id), decision, None).await.unwrap();
    }
    let claimed = platform.claim(RunKind::Peek).await;
    assert_eq!(work(&claimed).peek.0, made[0].id);
    assert_eq!(state(&platform, PeekId(made[1].id)).await, PeekState::Failed);
}

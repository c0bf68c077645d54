//! Schedules run once, whatever happens to the controls that run them.

use std::collections::BTreeSet;
use std::time::Duration;

use control::reconcile::schedule::{self, Outcome};
use control::{Asked, Control, Kind, Requester, Settings, Slice};
use jiff::{SignedDuration, Timestamp, ToSpan};
use model::UserId;
use model::run::RunKind;
use model::schedule::{Action, CatchUp};
use protocol::api::{ChangeSchedule, NewSchedule, Schedule};

use crate::platform::{Platform, asked, refused};

fn nightly(name: &str, cron: &str) -> NewSchedule {
    NewSchedule {
        project: "demo".into(),
        name: name.into(),
        action: Action::Snapshot,
        environment: None,
        tenant: None,
        cron: cron.into(),
        zone: None,
        catch_up: None,
        enabled: None,
    }
}

/// The idempotency keys under which a schedule has queued runs.
async fn keys(platform: &Platform, schedule: &Schedule) -> Vec<String> {
    let sql = "SELECT idempotency_key FROM ops.runs WHERE requester = $1 ORDER BY 1";
    let admin = platform.scratch.admin().await;
    let rows = admin.query(sql, &[&format!("schedule:{}", schedule.id)]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Not the same twice, and the same in each run of the test.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Eight controls whose clocks differ and jump by up to an hour, forwards and
/// backwards, killed in the middle and cut off from their database: each time
/// of the schedule queues one run for each tenant.
#[tokio::test(flavor = "multi_thread")]
async fn each_time_comes_once_whatever_happens() {
    let platform = Platform::new().await;
    platform.environment().await;
    let tenants = [platform.tenant("acme").await.id, platform.tenant("globex").await.id];
    let new = NewSchedule { catch_up: Some(CatchUp::All), ..nightly("often", "*/5 * * * *") };
    let made = platform.control.create_schedule(&asked(), new).await.unwrap();
    let start = made.next_at.unwrap();
    let mut controls = Vec::new();
    for _ in 0..8 {
        controls.push(Control::connect(&platform.scratch.url(), Settings::default()).await.unwrap());
    }
    let admin = platform.scratch.admin().await;
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let mut now = start;
    let (mut killed, mut cut_off, mut turned_back, mut queued) = (0, 0, 0, 0);
    for round in 0..60 {
        now += SignedDuration::from_secs(dice.below(400).cast_signed());
        let jump = match round % 10 {
            3 => 1.hour(),
            7 => -1.hour(),
            _ => 0.hours(),
        };
        let mut ticks = Vec::new();
        for control in &controls {
            let control = control.clone();
            let skew = SignedDuration::from_secs(dice.below(6).cast_signed() - 3);
            let at = now + jump + skew;
            let tick = tokio::spawn(async move { schedule::tick_at(&control, at).await });
            ticks.push((tick, dice.below(3) == 0, dice.below(12_000)));
        }
        if round % 6 == 5 {
            tokio::time::sleep(Duration::from_micros(dice.below(8_000))).await;
            let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                       WHERE datname = current_database() AND application_name = 'heddle-control'";
            cut_off += admin.query_one(sql, &[]).await.unwrap().get::<_, i64>(0);
        }
        for (tick, kill, after) in ticks {
            if kill {
                tokio::time::sleep(Duration::from_micros(after)).await;
                tick.abort();
            }
            match tick.await {
                Ok(Ok(outcome)) => {
                    turned_back += outcome.turned_back;
                    queued += outcome.queued;
                }
                // Cut off.
                Ok(Err(_)) => {}
                Err(_) => killed += 1,
            }
        }
    }
    println!(
        "{killed} killed, {cut_off} connections cut off, {turned_back} times turned back, {queued} runs told of"
    );
    assert!(killed > 10 && cut_off > 10 && turned_back > 0, "not every fault has struck");

    // What the last one left undone.
    now += 10.minutes();
    let control = Control::connect(&platform.scratch.url(), Settings::default()).await.unwrap();
    schedule::tick_at(&control, now).await.unwrap();
    assert_eq!(schedule::tick_at(&control, now).await.unwrap(), Outcome::default());

    let found = keys(&platform, &made).await;
    let end = control.schedule("demo/often").await.unwrap().next_at.unwrap();
    assert!(end > now && end <= now + 5.minutes());
    let expected: BTreeSet<String> = std::iter::successors(Some(start), |at| Some(*at + 5.minutes()))
        .take_while(|at| *at < end)
        .flat_map(|at| tenants.map(|tenant| format!("schedule:{}:{at}:{tenant}", made.id)))
        .collect();
    let known: BTreeSet<String> = found.iter().cloned().collect();
    assert_eq!(found.len(), known.len(), "one ran twice");
    assert!(expected.len() > 50);
    let lost: Vec<_> = expected.difference(&known).collect();
    assert!(lost.is_empty(), "{lost:?}");
    // Clocks that were ahead, or far behind, came to more: nothing but times of the schedule.
    for key in known.difference(&expected) {
        let at: Timestamp = key.split_at(46).1.rsplit_once(':').unwrap().0.parse().unwrap();
        assert!((at >= end || at < start) && at.as_second() % 300 == 0, "{key}");
    }
    let snapshots: i64 = admin
        .query_one("SELECT count(*) FROM ops.snapshots s JOIN ops.runs r ON r.snapshot_id = s.id", &[])
        .await
        .unwrap()
        .get(0);
    let all: i64 = admin.query_one("SELECT count(*) FROM ops.snapshots", &[]).await.unwrap().get(0);
    assert_eq!((snapshots, all), (found.len() as i64, found.len() as i64), "a snapshot without its run");
}

#[tokio::test]
async fn what_was_missed_is_caught_up_as_its_policy_says() {
    let platform = Platform::new().await;
    platform.environment().await;
    platform.tenant("acme").await;
    let mut made = Vec::new();
    for policy in CatchUp::ALL {
        let new = NewSchedule { catch_up: Some(*policy), ..nightly(policy.as_str(), "0 * * * *") };
        made.push(platform.control.create_schedule(&asked(), new).await.unwrap());
    }
    let first = made[0].next_at.unwrap();
    let late = first + 3.hours() + 10.minutes();
    let outcome = schedule::tick_at(&platform.control, late).await.unwrap();
    assert_eq!(outcome.queued, 1 + 4);
    for (schedule, runs, last, note) in [
        (&made[0], 0, None, "left out"),
        (&made[1], 1, Some(first + 3.hours()), "queued 1 run; no control was there"),
        (&made[2], 4, Some(first + 3.hours()), "queued 1 run"),
    ] {
        assert_eq!(keys(&platform, schedule).await.len(), runs, "{}", schedule.name);
        let now = platform.control.schedule(&schedule.id.to_string()).await.unwrap();
        assert_eq!((now.last_at, now.next_at), (last, Some(first + 4.hours())), "{}", schedule.name);
        assert!(now.last_note.as_ref().unwrap().contains(note), "{:?}", now.last_note);
        assert_eq!(now.last_run.is_some(), runs > 0);
        assert_eq!(now.version, 1, "what control does is no edit");
    }
    // From here on all three are punctual.
    assert_eq!(schedule::tick_at(&platform.control, first + 4.hours()).await.unwrap().queued, 3);
}

#[tokio::test]
async fn a_clock_that_was_far_ahead_stops_nothing() {
    let platform = Platform::new().await;
    platform.environment().await;
    platform.tenant("acme").await;
    let made = platform.control.create_schedule(&asked(), nightly("hourly", "0 * * * *")).await.unwrap();
    let first = made.next_at.unwrap();
    let control = &platform.control;
    schedule::tick_at(control, first + 365.days_hours()).await.unwrap();
    assert!(control.schedule("demo/hourly").await.unwrap().next_at.unwrap() > first + 360.days_hours());
    let outcome = schedule::tick_at(control, first - 10.seconds()).await.unwrap();
    assert_eq!(outcome, Outcome { turned_back: 1, ..Outcome::default() });
    assert_eq!(control.schedule("demo/hourly").await.unwrap().next_at, Some(first));
    assert_eq!(schedule::tick_at(control, first).await.unwrap().queued, 1);
    // Turned back over what was run: not run again.
    schedule::tick_at(control, first - 10.minutes()).await.unwrap();
    assert_eq!(schedule::tick_at(control, first).await.unwrap().queued, 0);
    assert_eq!(keys(&platform, &made).await.len(), 2);
}

trait Days {
    fn days_hours(self) -> SignedDuration;
}

impl Days for i64 {
    fn days_hours(self) -> SignedDuration {
        SignedDuration::from_hours(24 * self)
    }
}

#[tokio::test]
async fn a_schedule_is_paused_changed_and_removed() {
    let platform = Platform::new().await;
    platform.environment().await;
    platform.tenant("acme").await;
    let control = &platform.control;
    let made = control.create_schedule(&asked(), nightly("nightly", "0 2 * * *")).await.unwrap();
    let first = made.next_at.unwrap();
    let paused = ChangeSchedule { enabled: Some(false), ..ChangeSchedule::default() };
    let paused = control.change_schedule("demo/nightly", Some(1), paused).await.unwrap();
    assert_eq!((paused.enabled, paused.next_at, paused.version), (false, None, 2));
    assert_eq!(schedule::tick_at(control, first).await.unwrap(), Outcome::default());

    // Read before it was paused.
    let racing = ChangeSchedule { cron: Some("0 3 * * *".into()), ..ChangeSchedule::default() };
    let refusal = refused(control.change_schedule("demo/nightly", Some(1), racing).await, Kind::Changed);
    assert!(refusal.detail.contains("at version 2") && refusal.hint.is_some(), "{refusal:?}");

    let resumed = ChangeSchedule {
        enabled: Some(true),
        zone: Some("europe/paris".into()),
        cron: Some("30 4 * * *".into()),
        ..ChangeSchedule::default()
    };
    let resumed = control.change_schedule("demo/nightly", Some(2), resumed).await.unwrap();
    assert_eq!(resumed.zone, "Europe/Paris");
    let times = control.schedule_times("demo/nightly", 400).await.unwrap();
    assert_eq!((times.len(), Some(times[0].at)), (400, resumed.next_at));
    assert!(times.iter().all(|time| time.local.contains("T04:30:00+0")), "{:?}", times[0]);
    let offsets: BTreeSet<&str> = times.iter().map(|time| &time.local[19..]).collect();
    assert_eq!(offsets.into_iter().collect::<Vec<_>>(), ["+01:00", "+02:00"]);

    // Another policy does not move its time.
    let policy = ChangeSchedule { catch_up: Some(CatchUp::None), ..ChangeSchedule::default() };
    let policy = control.change_schedule("demo/nightly", None, policy).await.unwrap();
    assert_eq!((policy.next_at, policy.catch_up), (resumed.next_at, CatchUp::None));

    control.remove_schedule("demo/nightly").await.unwrap();
    refused(control.schedule("demo/nightly").await, Kind::NotFound);
    refused(control.remove_schedule("demo/nightly").await, Kind::NotFound);
}

#[tokio::test]
async fn it_runs_now_for_who_asks() {
    let platform = Platform::new().await;
    platform.environment().await;
    platform.tenant("acme").await;
    platform.tenant("globex").await;
    let control = &platform.control;
    control
        .create_schedule(&asked(), NewSchedule { tenant: Some("acme".into()), ..nightly("one", "0 2 * * *") })
        .await
        .unwrap();
    control.create_schedule(&asked(), nightly("all", "0 2 * * *")).await.unwrap();
    let user = UserId::new();
    let once = Asked::by(Requester::User(user)).once("key-1");
    let ran = control.run_schedule(&once, "demo/all").await.unwrap();
    assert_eq!((ran.runs.len(), ran.note.as_str()), (2, "queued 2 runs"));
    assert_eq!(control.run_schedule(&once, "demo/all").await.unwrap().runs, ran.runs);
    let one = control.run_schedule(&Asked::by(Requester::User(user)), "demo/one").await.unwrap();
    assert_eq!(one.runs.len(), 1);
    let sql = "SELECT count(*) FROM ops.runs WHERE requester = $1 AND kind = 'snapshot'";
    let admin = platform.scratch.admin().await;
    assert_eq!(admin.query_one(sql, &[&format!("user:{user}")]).await.unwrap().get::<_, i64>(0), 3);
    // The snapshots are real ones.
    let claimed = platform.claim(RunKind::Snapshot).await;
    assert!(claimed.tenant.is_some());
}

#[tokio::test]
async fn what_was_left_out_is_said() {
    let platform = Platform::new().await;
    platform.environment().await;
    let control = &platform.control;
    let backups = NewSchedule { action: Action::Backup, ..nightly("extra", "0 2 * * *") };
    let made = control.create_schedule(&asked(), backups).await.unwrap();
    let ran = control.run_schedule(&asked(), "demo/extra").await.unwrap();
    assert_eq!((ran.runs.len(), ran.note.as_str()), (0, "nothing was queued: no tenant of it is active"));
    platform.tenant("acme").await;
    assert_eq!(control.run_schedule(&asked(), "demo/extra").await.unwrap().runs.len(), 1);
    assert_eq!(schedule::tick_at(control, made.next_at.unwrap()).await.unwrap().queued, 0);
    let note = control.schedule("demo/extra").await.unwrap().last_note.unwrap();
    assert_eq!(note, "queued 0 runs; left out 1, such as: acme has a backup run under way");
}

#[tokio::test]
async fn one_that_cannot_be_worked_out_is_paused_and_stops_no_other() {
    let platform = Platform::new().await;
    platform.environment().await;
    platform.tenant("acme").await;
    let control = &platform.control;
    control.create_schedule(&asked(), nightly("broken", "0 1 * * *")).await.unwrap();
    let made = control.create_schedule(&asked(), nightly("nightly", "0 2 * * *")).await.unwrap();
    platform.sql("UPDATE ops.schedules SET zone = 'Middle/Earth' WHERE name = 'broken'").await;
    let outcome = schedule::tick_at(control, made.next_at.unwrap() + 1.hour()).await.unwrap();
    assert_eq!(outcome, Outcome { queued: 1, paused: 1, turned_back: 0 });
    let broken = control.schedule("demo/broken").await.unwrap();
    assert!(!broken.enabled);
    assert!(broken.last_note.unwrap().contains("Middle/Earth"));
}

#[tokio::test]
async fn bad_schedules_are_refused_with_what_to_do() {
    let platform = Platform::new().await;
    platform.environment().await;
    platform.tenant("acme").await;
    let control = &platform.control;
    control.create_project(&asked(), protocol::api::NewProject { name: "other".into() }).await.unwrap();
    control.create_schedule(&asked(), nightly("nightly", "0 2 * * *")).await.unwrap();
    let good = || nightly("fine", "0 2 * * *");
    let cases = [
        (NewSchedule { name: "Not Good".into(), ..good() }, Kind::Invalid, "name"),
        (NewSchedule { name: "a".repeat(41), ..good() }, Kind::Invalid, "at most 40"),
        (NewSchedule { cron: "every day".into(), ..good() }, Kind::Invalid, "30 2 * * 1-5"),
        (NewSchedule { cron: "0 0 31 2 *".into(), ..good() }, Kind::Invalid, "never comes"),
        (NewSchedule { zone: Some("Middle/Earth".into()), ..good() }, Kind::Invalid, "time zone"),
        (NewSchedule { zone: Some("../../etc/passwd".into()), ..good() }, Kind::Invalid, "time zone"),
        (NewSchedule { zone: Some("x".repeat(10_000)), ..good() }, Kind::Invalid, "time zone"),
        (NewSchedule { project: "nobody".into(), ..good() }, Kind::NotFound, "nobody"),
        (NewSchedule { environment: Some("nowhere".into()), ..good() }, Kind::NotFound, "nowhere"),
        (NewSchedule { tenant: Some("nobody".into()), ..good() }, Kind::NotFound, "nobody"),
        (
            NewSchedule { project: "other".into(), tenant: Some("acme".into()), ..good() },
            Kind::Invalid,
            "demo/live",
        ),
        (
            NewSchedule { project: "other".into(), environment: Some("demo/live".into()), ..good() },
            Kind::Invalid,
            "demo/live",
        ),
        (nightly("nightly", "0 2 * * *"), Kind::Taken, "demo/nightly"),
    ];
    for (new, kind, word) in cases {
        let refusal = refused(control.create_schedule(&asked(), new).await, kind);
        assert!(refusal.detail.contains(word), "{refusal:?}");
    }
    assert_eq!(control.schedules(Some("demo"), &Slice::first()).await.unwrap().items.len(), 1);
    assert_eq!(control.schedules(Some("other"), &Slice::first()).await.unwrap().items.len(), 0);
}

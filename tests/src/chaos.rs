//! Everything goes wrong at once, and no run is lost and none finishes twice:
//! workers, controls and database backends are killed, workers freeze and come
//! back, clocks jump, replies are lost.

mod chance;
mod clock;
mod ledger;
mod strikes;
mod troop;
mod wire;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use self::chance::Chance;
use self::clock::Clock;
use self::ledger::Ledger;
use self::strikes::Strikes;
use self::troop::{Member, Place};
use self::wire::Wire;
use crate::management;
use crate::platform::Platform;

const PROJECT: &str = "chaos";

const WORKERS: usize = 20;

/// Queued with one request, and the pause after it.
const BATCH: usize = 25;
const PAUSE: Duration = Duration::from_millis(250);

/// A probe takes up to so long, so that most faults find many under way.
const LONGEST_PROBE: usize = 600;

/// How long the last runs may take once nothing strikes any more.
const PATIENCE: Duration = Duration::from_secs(180);

pub struct Plan {
    pub seed: u64,
    pub runs: usize,
}

pub async fn run(heddle: &Path, top: &Path, plan: &Plan) -> Result<()> {
    println!("seed {}, {} runs, {WORKERS} workers, two controls", plan.seed, plan.runs);
    let mut chaos = Chaos::begin(heddle, top, plan.seed).await?;
    let began = Instant::now();
    let queueing = tokio::spawn(queue(chaos.doors.clone(), plan.runs, Chance::new(!plan.seed)));
    while !queueing.is_finished() || !chaos.strikes.enough() {
        chaos.strike().await?;
        ensure!(began.elapsed() < Duration::from_secs(900), "not every kind has struck: {}", chaos.strikes);
    }
    queueing.await??;
    println!("{} runs queued in {:.0} s; nothing strikes any more", plan.runs, began.elapsed().as_secs_f64());
    chaos.heal().await?;
    let retried = chaos.settle(plan.runs).await?;
    println!("all have ended after {:.0} s", began.elapsed().as_secs_f64());
    let refused = chaos.members.iter().map(|member| member.said("lease lost")).sum();
    chaos.strikes.refused(refused);
    for wire in &chaos.wires {
        chaos.strikes.lost_replies += wire.lost();
    }
    chaos.strikes.check()?;
    chaos.ledger.check(plan.runs, retried).await?;
    println!("{}", chaos.strikes);
    drop(chaos.members);
    chaos.platform.stop().await
}

/// How control is reached: over a wire, by the admin's key.
#[derive(Clone)]
struct Doors {
    addresses: Vec<String>,
    key: String,
    http: reqwest::Client,
}

impl Doors {
    /// Asks one control or the other until it is answered. What is asked is
    /// safe to repeat.
    async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let deadline = Instant::now() + Duration::from_secs(120);
        for address in self.addresses.iter().cycle() {
            let request = self.http.post(format!("http://{address}{path}")).bearer_auth(&self.key).json(body);
            let answer = request.send().await;
            match answer {
                Ok(answer) if answer.status().is_client_error() => {
                    bail!("{path} answered {}: {}", answer.status(), answer.text().await?)
                }
                Ok(answer) if answer.status().is_success() => {
                    if let Ok(value) = answer.json().await {
                        return Ok(value);
                    }
                }
                _ => {}
            }
            ensure!(Instant::now() < deadline, "nobody answers {path}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        unreachable!("there are addresses")
    }
}

/// Queues so many probes, each under a key of its own: a lost reply is asked for again.
async fn queue(doors: Doors, runs: usize, mut chance: Chance) -> Result<()> {
    let mut queued = 0;
    while queued < runs {
        let batch: Vec<_> = (queued..runs.min(queued + BATCH))
            .map(|number| {
                json!({
                    "project": PROJECT, "kind": "probe", "idempotency_key": format!("chaos-{number}"),
                    "metadata": {"ms": chance.below(LONGEST_PROBE)},
                })
            })
            .collect();
        queued += batch.len();
        doors.post("/api/v1/runs", &json!({"runs": batch})).await?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

struct Chaos {
    platform: Platform,
    chance: Chance,
    strikes: Strikes,
    ledger: Ledger,
    database_clock: Clock,
    control_clock: Clock,
    wires: Vec<Wire>,
    doors: Doors,
    /// The workers, then the second control.
    members: Vec<Member>,
    /// What is undone, and when.
    later: Vec<(Instant, Undo)>,
}

enum Undo {
    Start(usize),
    Thaw(usize),
}

impl Chaos {
    async fn begin(heddle: &Path, top: &Path, seed: u64) -> Result<Self> {
        let database_clock = Clock::new(top.join("database.clock"))?;
        let control_clock = Clock::new(top.join("control.clock"))?;
        let programs = database_clock.postgres(&top.join("postgres"))?;
        let (data, run_dir) = (top.join("data"), top.join("run"));
        let environment = [
            ("HEDDLE_RUN_DIR", run_dir.display().to_string()),
            ("HEDDLE_POSTGRES_BIN", programs.display().to_string()),
            ("HEDDLE_LOG", "warn".to_owned()),
        ];
        let platform = Platform::start(heddle, &data, &environment).await?;
        platform.heddle(&["project", "create", PROJECT]).await?;
        let ledger = Ledger::open(management::config(&data, &run_dir)?, PROJECT).await?;

        let place = Place { heddle, platform: &data, top };
        let second = format!("127.0.0.1:{}", free_port()?);
        let first = platform.console.trim_start_matches("http://").to_owned();
        let wires = vec![Wire::to(first).await?, Wire::to(second.clone()).await?];
        let mut members = Vec::new();
        for number in 0..WORKERS {
            let wire = &wires[number % wires.len()];
            members.push(Member::worker(&place, &format!("w{number:02}"), &wire.address)?);
        }
        members.push(Member::control(&place, &second, &control_clock.environment())?);
        let doors = Doors {
            addresses: wires.iter().map(|wire| wire.address.clone()).collect(),
            key: fs::read_to_string(data.join("secrets/admin.key"))
                .context("read the key")?
                .trim()
                .to_owned(),
            http: reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build()?,
        };
        ledger.registered(WORKERS + 1).await?;
        Ok(Self {
            platform,
            chance: Chance::new(seed),
            strikes: Strikes::default(),
            ledger,
            database_clock,
            control_clock,
            wires,
            doors,
            members,
            later: Vec::new(),
        })
    }

    /// Undoes everything, and sees that all processes run.
    async fn heal(&mut self) -> Result<()> {
        self.database_clock.jump(0)?;
        self.control_clock.jump(0)?;
        self.wires.iter().for_each(Wire::mend);
        self.undo(None)?;
        for member in &mut self.members {
            ensure!(!member.frozen, "{} was forgotten", member.name);
            member.revive()?;
        }
        Ok(())
    }

    /// Undoes what is due by then; None: all.
    fn undo(&mut self, due: Option<Instant>) -> Result<()> {
        let now = due;
        let (due, later) =
            std::mem::take(&mut self.later).into_iter().partition(|(at, _)| now.is_none_or(|now| *at <= now));
        self.later = later;
        let due: Vec<(Instant, Undo)> = due;
        for (_, undo) in due {
            match undo {
                Undo::Start(member) => self.members[member].start()?,
                Undo::Thaw(member) => self.members[member].thaw()?,
            }
        }
        Ok(())
    }

    /// Waits until all have succeeded. Those that lost their worker too often
    /// are tried again, as a person would; returns how many.
    async fn settle(&mut self, runs: usize) -> Result<u64> {
        let deadline = Instant::now() + PATIENCE;
        let mut retried = 0;
        loop {
            for member in &mut self.members {
                member.revive()?;
            }
            for run in self.ledger.given_up().await? {
                self.doors.post(&format!("/api/v1/runs/{run}/retry"), &json!({})).await?;
                retried += 1;
            }
            let states = self.ledger.states().await?;
            if states.get("succeeded").copied() == Some(runs as i64) {
                return Ok(retried);
            }
            ensure!(Instant::now() < deadline, "runs do not end: {states:?}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").context("find a free port")?.local_addr()?.port())
}

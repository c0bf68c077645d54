//! The kill tests: processes die with SIGKILL at every fault point and at
//! random, and what a tenant's users were told stays true.

mod leftovers;
mod writer;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use self::writer::Writer;
use crate::house::House;
use crate::load::Load;
use crate::platform::{Platform, processes, text, until};
use crate::rpc::Odoo;
use crate::state::{Place, State};
use crate::table::Steps;

/// How long a point may take to be reached, and a run to end afterwards.
const PATIENCE: Duration = Duration::from_secs(90);

/// Restarts are tested, not modules.
const MODULES: &str = "base,web";

/// The tenant that the rows act on.
const SUBJECT: &str = "acme";

/// The tenant that is served all the while.
const OTHER: &str = "globex";

/// Killed so often, a run is not tried again.
const ATTEMPTS: usize = 3;

/// At least so many points must have been reached.
const ENOUGH: usize = 20;

/// Kills at random moments.
const RANDOM_KILLS: usize = 6;

/// What a process is killed in the midst of.
#[derive(Debug, Clone, Copy)]
enum Act {
    Snapshot,
    /// To a snapshot of an earlier row.
    Restore,
    /// Into the newest state.
    Peek,
}

struct Row {
    point: &'static str,
    /// So often it is armed again.
    kills: usize,
    act: Act,
    /// A point in the base backup that follows a restore.
    then: Option<&'static str>,
}

const fn snapshot(point: &'static str) -> Row {
    Row { point, kills: 1, act: Act::Snapshot, then: None }
}

const fn restore(point: &'static str, kills: usize, then: Option<&'static str>) -> Row {
    Row { point, kills, act: Act::Restore, then }
}

const fn peek(point: &'static str, kills: usize) -> Row {
    Row { point, kills, act: Act::Peek, then: None }
}

const ROWS: &[Row] = &[
    snapshot("snapshot.pointed"),
    snapshot("snapshot.wal"),
    snapshot("snapshot.files"),
    snapshot("snapshot.recorded"),
    snapshot("archive.list.written"),
    snapshot("archive.mark.written"),
    snapshot("archive.push.written"),
    snapshot("archive.push.linked"),
    snapshot("archive.stream.written"),
    snapshot("archive.stream.linked"),
    snapshot("archive.stream.removed"),
    snapshot("archive.sync.written"),
    snapshot("archive.sync.linked"),
    snapshot("control.record"),
    snapshot("control.finish"),
    restore("restore.switched", ATTEMPTS, None),
    restore("archive.extract.rename", 1, None),
    restore("restore.placed", 1, None),
    restore("restore.extracted", 1, Some("archive.backup.copied")),
    restore("restore.recovered", 1, Some("archive.backup.data")),
    restore("restore.checked", 1, Some("archive.backup.manifest")),
    restore("restore.fenced", 1, None),
    restore("restore.fenced", ATTEMPTS, None),
    restore("restore.recovered", ATTEMPTS, None),
    peek("peek.extracted", 1),
    peek("peek.placed", 1),
    peek("peek.recovered", 1),
    peek("peek.locked", 1),
    peek("peek.opened", 1),
    peek("peek.locked", ATTEMPTS),
];

/// Points that the rows do not name: those of builds, provisions, clean-ups and
/// of the router.
const OTHERS: &[&str] = &[
    "build.init",
    "build.initialised",
    "provision.copied",
    "provision.recorded",
    "provision.backed_up",
    "provision.serving",
    "provision.activated",
    "archive.keep.linked",
    "router.request",
];

/// Runs it all on a platform of its own in `top`; prints a line for each row.
pub async fn run(heddle: &Path, odoo: &Path, top: &Path) -> Result<()> {
    let run_dir = top.join("run").display().to_string();
    let platform = Platform::start(heddle, &top.join("data"), &[("HEDDLE_RUN_DIR", run_dir)]).await?;
    let mut faults = Faults::move_in(platform, odoo).await?;
    faults.provisions().await?;
    faults.programs().await?;
    faults.router().await?;
    faults.clean_up().await?;
    faults.random().await?;
    faults.rows().await?;
    let Faults { house, steps, reached, .. } = faults;
    house.platform.stop().await?;
    steps.print();

    let all: Vec<&str> = ROWS.iter().flat_map(|row| [Some(row.point), row.then]).flatten().collect();
    let all = all.into_iter().chain(OTHERS.iter().copied()).collect::<std::collections::BTreeSet<_>>();
    let missed: Vec<_> = all.iter().filter(|point| !reached.contains_key(**point)).collect();
    println!("\nfault points: reached {}/{}", all.len() - missed.len(), all.len());
    ensure!(missed.is_empty(), "points were not reached: {missed:?}");
    ensure!(all.len() >= ENOUGH, "there are only {} points", all.len());
    Ok(())
}

struct Faults {
    house: House,
    steps: Steps,
    /// How often each point was reached.
    reached: BTreeMap<&'static str, usize>,
    /// Snapshots that are ready, and what the tenant was then.
    targets: Vec<(String, State)>,
}

impl Faults {
    /// Makes the build, with its worker killed twice meanwhile.
    async fn move_in(platform: Platform, odoo: &Path) -> Result<Self> {
        let began = Instant::now();
        let points = ["build.init", "build.initialised"];
        for point in points {
            platform.arm(point)?;
        }
        let house = House::move_in(platform, odoo, None, MODULES).await?;
        let (steps, targets) = (Steps::default(), Vec::new());
        let mut faults = Self { house, steps, reached: BTreeMap::new(), targets };
        for point in points {
            faults.note(point).await?;
        }
        let run = faults.settled(None).await?.context("the build's run")?;
        ensure!(run["attempts"] == 3, "the build took {} attempts", run["attempts"]);
        faults.done(&points.join(", "), began, "built in 3 attempts").await?;
        Ok(faults)
    }

    /// An armed point was reached; fails if it was not.
    async fn note(&mut self, point: &'static str) -> Result<()> {
        self.house.platform.reached(point, PATIENCE).await?;
        *self.reached.entry(point).or_default() += 1;
        Ok(())
    }

    /// The row is over: nothing is left over of it.
    async fn done(&mut self, what: &str, began: Instant, seen: impl Into<String>) -> Result<()> {
        leftovers::none(&self.house.platform).await.with_context(|| format!("after {what}"))?;
        self.steps.done(what, began, seen);
        Ok(())
    }

    /// Waits until control answers and no run is under way; the newest run of a
    /// tenant, or of all, comes back.
    async fn settled(&self, kind: Option<&str>) -> Result<Option<Value>> {
        let platform = &self.house.platform;
        let quiet = || async {
            let listed = platform.try_heddle(&["run", "list", "--json"]).await?;
            let Ok(Value::Array(runs)) = serde_json::from_str(&listed.stdout) else { return Ok(None) };
            let live = runs.iter().any(|run| run["state"] == "queued" || run["state"] == "running");
            anyhow::Ok((!live).then_some(runs))
        };
        until(PATIENCE, "no run is under way", async || Ok(quiet().await?.is_some())).await?;
        let runs = quiet().await?.context("control answers")?;
        Ok(runs.into_iter().find(|run| kind.is_none_or(|kind| run["kind"] == kind)))
    }

    /// Tenants are made while the worker dies at each step of it.
    async fn provisions(&mut self) -> Result<()> {
        for (tenant, points) in [
            (OTHER, ["provision.backed_up", "provision.serving"]),
            (SUBJECT, ["provision.copied", "provision.activated"]),
        ] {
            let began = Instant::now();
            for point in points {
                self.house.platform.arm(point)?;
            }
            self.house.tenant(tenant).await?;
            for point in points {
                self.note(point).await?;
            }
            let run = self.settled(Some("provision")).await?.context("the provision's run")?;
            ensure!(run["state"] == "succeeded" && run["attempts"] == 3, "the provision's run is {run}");
            let state = self.state(tenant).await?;
            let seen = format!("{tenant} serves {} rows, after 3 attempts", state.rows());
            self.done(&points.join(", "), began, seen).await?;
        }
        let one = self.state(OTHER).await?;
        let two = self.state(SUBJECT).await?;
        let counts = |state: &State| {
            state.tables.iter().map(|(table, (rows, _))| (table.clone(), *rows)).collect::<Vec<_>>()
        };
        ensure!(counts(&one) == counts(&two), "the tenants differ: {:?}", one.differences(&two));

        let (began, point) = (Instant::now(), "provision.recorded");
        self.house.platform.arm(point)?;
        let create = ["tenant", "create", "initech", "--env", "demo/production"];
        let (ended, again) =
            tokio::join!(self.house.platform.try_heddle(&create), self.again(point, ATTEMPTS));
        again?;
        self.reached.insert(point, ATTEMPTS);
        let ended = ended?;
        let run = self.settled(Some("provision")).await?.context("the provision's run")?;
        ensure!(ended.code != 0 && run["state"] == "dead", "{ended:?} {run}");
        ensure!(text(&run, "reason").contains("lost"), "it failed because of {}", run["reason"]);
        let seen = format!("after {ATTEMPTS} kills: failed, {:?}", text(&run, "reason"));
        self.done(point, began, seen).await
    }

    /// Waits until a point is reached, `times` times over.
    async fn again(&self, point: &str, times: usize) -> Result<()> {
        let platform = &self.house.platform;
        for time in 1..=times {
            platform.reached(point, PATIENCE).await.with_context(|| format!("the {time}. time"))?;
            if time < times {
                platform.arm(point)?;
            }
        }
        Ok(())
    }

    async fn state(&self, tenant: &str) -> Result<State> {
        self.house.serving(tenant).await?;
        let state = State::of(&self.house.platform, tenant).await?;
        state.check_files()?;
        Ok(state)
    }

    /// The table of points, while the other tenant is served throughout.
    async fn rows(&mut self) -> Result<()> {
        let load = Load::start(&self.house.log_in(OTHER).await?).await?;
        let began = Instant::now();
        let mut outcome = Ok(());
        for (number, row) in ROWS.iter().enumerate() {
            outcome = self.row(number, row).await;
            if outcome.is_err() {
                outcome = outcome.with_context(|| format!("{} in a {:?}", row.point, row.act));
                break;
            }
        }
        let served = load.stop().await?;
        outcome?;
        ensure!(served.failed == 0, "{} requests of {OTHER} failed", served.failed);
        let seen = format!("{} requests of {OTHER}, 0 failed, slowest {:?}", served.requests, served.slowest);
        self.done("all of these", began, seen).await
    }

    async fn row(&mut self, number: usize, row: &Row) -> Result<()> {
        let odoo = self.house.log_in(SUBJECT).await?;
        self.change(&odoo, number).await?;
        let began = Instant::now();
        let before = self.state(SUBJECT).await?;
        for point in [Some(row.point), row.then].into_iter().flatten() {
            self.house.platform.arm(point)?;
        }
        let name = format!("row-{number}");
        let target = self.targets.get(number % self.targets.len().max(1)).cloned();
        let (kind, arguments) = match (row.act, &target) {
            (Act::Snapshot, _) => ("snapshot", vec!["snapshot", "create", SUBJECT, "--name", &name]),
            (Act::Restore, Some((to, _))) => ("restore", vec!["restore", SUBJECT, "--to", to, "--yes"]),
            (Act::Peek, _) => ("peek", vec!["tenant", "peek", SUBJECT, "--latest"]),
            (Act::Restore, None) => bail!("there is no snapshot to restore to"),
        };
        let platform = &self.house.platform;
        let acted = async { tokio::join!(platform.try_heddle(&arguments), self.again(row.point, row.kills)) };
        let (ended, again) = tokio::time::timeout(2 * PATIENCE, acted).await.context("it does not end")?;
        let ended = ended?;
        again.with_context(|| format!("heddle ended with {}: {}", ended.code, ended.stderr))?;
        *self.reached.entry(row.point).or_default() += row.kills;
        if let Some(then) = row.then {
            self.note(then).await?;
        }

        self.settled(None).await?;
        let run = self.settled(Some(kind)).await?.context("its run")?;
        let after = self.state(SUBJECT).await?;
        let succeeded = run["state"] == "succeeded";
        if succeeded && matches!(row.act, Act::Peek) {
            self.house.platform.heddle(&["tenant", "peek", "end", SUBJECT]).await?;
        }
        ensure!(succeeded == (ended.code == 0), "the run is {run}, and heddle ended with {ended:?}");
        ensure!(succeeded || !text(&run, "reason").is_empty(), "no reason: {run}");
        // Once is not often enough to give up, nor is anything behind a switch.
        let given_up = row.kills >= ATTEMPTS && row.point != "restore.switched";
        ensure!(succeeded != given_up, "the run is {run}");
        let expected = match (&target, row.act) {
            (Some((_, target)), Act::Restore) if succeeded => target,
            _ => &before,
        };
        ensure!(after == *expected, "the tenant differs: {:?}", after.differences(expected));
        if succeeded && matches!(row.act, Act::Snapshot) {
            self.targets.push((name.clone(), before));
        }
        let then = row.then.map(|then| format!(", {then}")).unwrap_or_default();
        let what = format!("{kind}: {} x {}{then}", row.point, row.kills);
        let end = if succeeded { "as asked for" } else { "as before" };
        let seen =
            format!("{}, {} rows and {} files {end}", text(&run, "state"), after.rows(), after.files.len());
        self.done(&what, began, seen).await
    }

    /// Something that tells this row's state from all others.
    async fn change(&self, odoo: &Odoo, number: usize) -> Result<()> {
        odoo.create_partner(&format!("row {number}")).await?;
        odoo.attach(&format!("row-{number}.bin"), &bytes(number)).await?;
        Ok(())
    }

    /// Odoo's clean-up removes a file while the worker that keeps it dies.
    async fn clean_up(&mut self) -> Result<()> {
        let (began, point) = (Instant::now(), "archive.keep.linked");
        let odoo = self.house.log_in(SUBJECT).await?;
        let bytes = bytes(1000);
        odoo.attach("cleaned.bin", &bytes).await?;
        let there = self.state(SUBJECT).await?;
        tokio::time::sleep(Duration::from_millis(1200)).await;
        let at = Timestamp::now().to_string();
        tokio::time::sleep(Duration::from_millis(1200)).await;
        self.house.platform.arm(point)?;
        odoo.delete_attachment("cleaned.bin").await?;
        odoo.clean_up().await?;
        self.note(point).await?;
        until(PATIENCE, "the file is cleaned up", async || {
            odoo.clean_up().await?;
            Ok(!self.file_of(&bytes).await?)
        })
        .await?;
        self.settled(None).await?;
        self.house.platform.heddle(&["restore", SUBJECT, "--at", &at, "--yes"]).await?;
        self.settled(None).await?;
        let after = self.state(SUBJECT).await?;
        ensure!(after == there, "the tenant differs: {:?}", after.differences(&there));
        let odoo = self.house.log_in(SUBJECT).await?;
        ensure!(
            odoo.attachment("cleaned.bin").await?.as_deref() == Some(&bytes[..]),
            "other bytes came back"
        );
        self.done(&format!("clean-up: {point} x 1"), began, "removed, and given back by a restore").await
    }

    /// Whether the subject's filestore has a file of these bytes.
    async fn file_of(&self, bytes: &[u8]) -> Result<bool> {
        use sha1::{Digest, Sha1};
        let name = hex::encode(Sha1::digest(bytes));
        let place = Place::of(&self.house.platform, SUBJECT).await?;
        Ok(place.filestore().join(&name[..2]).join(&name).exists())
    }

    async fn router(&mut self) -> Result<()> {
        let (began, point) = (Instant::now(), "router.request");
        let before = self.state(SUBJECT).await?;
        let odoo = self.house.log_in(SUBJECT).await?;
        self.house.platform.arm(point)?;
        let answer = odoo.create_partner("asked of a router that dies").await;
        ensure!(answer.is_err(), "a router that dies has answered");
        self.note(point).await?;
        until(PATIENCE, "the router listens again", async || {
            Ok(tokio::net::TcpStream::connect(self.house.platform.router.as_str()).await.is_ok())
        })
        .await?;
        let after = self.state(SUBJECT).await?;
        ensure!(after == before, "the tenant differs: {:?}", after.differences(&before));
        self.done(&format!("request: {point} x 1"), began, "answered by the next router").await
    }

    /// The tenants' own programs die, and `heddle up` does.
    async fn programs(&mut self) -> Result<()> {
        for what in ["postmaster", "Odoo"] {
            let began = Instant::now();
            let writer = Writer::start(self.house.log_in(SUBJECT).await?, &format!("{what} "));
            tokio::time::sleep(Duration::from_secs(1)).await;
            let (postmaster, odoo) = self.pids(SUBJECT).await?;
            kill(if what == "Odoo" { odoo } else { postmaster })?;
            writer.acknowledged_after_a_failure(PATIENCE).await?;
            let written = writer.stop().await?;
            let there = self.house.log_in(SUBJECT).await?.partners(&format!("{what} ")).await?;
            let seen = written.check(&there)?;
            self.done(&format!("SIGKILL of the {what} under load"), began, seen).await?;
        }
        let began = Instant::now();
        let before = (self.pids(SUBJECT).await?, self.pids(OTHER).await?);
        let state = self.state(SUBJECT).await?;
        self.house.platform.kill_up().await?;
        let after = (self.pids(SUBJECT).await?, self.pids(OTHER).await?);
        ensure!(before == after, "the programs were {before:?}, and are {after:?}");
        self.house.serving(OTHER).await?;
        let now = self.state(SUBJECT).await?;
        ensure!(now == state, "the tenant differs: {:?}", now.differences(&state));
        self.done("SIGKILL of heddle up, a new one", began, "the programs are the same ones").await
    }

    /// The subject's postmaster and Odoo.
    async fn pids(&self, tenant: &str) -> Result<(i32, i32)> {
        let place = Place::of(&self.house.platform, tenant).await?;
        let pid_file = fs::read_to_string(place.folder.join("cell/postmaster.pid"))?;
        let postmaster = pid_file.lines().next().context("a pid")?.trim().parse()?;
        let config = format!("tenants/{}/conf/odoo.conf", text(&place.tenant, "id"));
        let odoo = processes()
            .into_iter()
            .find(|(.., argv)| argv.iter().any(|argument| argument.ends_with(&config)))
            .with_context(|| format!("{tenant}'s Odoo does not run"))?;
        Ok((postmaster, odoo.0))
    }

    /// Worker and control die at random moments while somebody writes.
    async fn random(&mut self) -> Result<()> {
        let began = Instant::now();
        let load = Load::start(&self.house.log_in(OTHER).await?).await?;
        let writer = Writer::start(self.house.log_in(SUBJECT).await?, "noted ");
        for _ in 0..RANDOM_KILLS {
            let [role, pause, ..] = *uuid::Uuid::new_v4().as_bytes();
            tokio::time::sleep(Duration::from_millis(200 + 8 * u64::from(pause))).await;
            self.house.platform.kill(if role % 2 == 0 { "worker" } else { "control" }).await?;
        }
        let written = writer.stop().await?;
        let served = load.stop().await?;
        ensure!(served.failed == 0, "{} requests of {OTHER} failed", served.failed);
        ensure!(
            written.failed == 0,
            "{} writes failed while no router and no Odoo was killed",
            written.failed
        );
        self.settled(None).await?;
        let there = self.house.log_in(SUBJECT).await?.partners("noted ").await?;
        let seen = format!("{}; {} requests of {OTHER}, 0 failed", written.check(&there)?, served.requests);
        self.done(&format!("{RANDOM_KILLS} random kills of worker and control"), began, seen).await
    }
}

fn kill(pid: i32) -> Result<()> {
    kill_process(Pid::from_raw(pid).context("a pid")?, Signal::KILL).context("kill")
}

/// An attachment's bytes, large enough to be a file of its own.
fn bytes(number: usize) -> Vec<u8> {
    format!("attachment {number} ").repeat(4000).into_bytes()
}

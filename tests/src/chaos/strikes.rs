//! What strikes, and how often it has.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{Chaos, Undo, WORKERS};

/// Beyond the lease, so that a frozen worker comes back with a stale fence.
const FROZEN: Duration = Duration::from_secs(14);

/// Frozen or dead at once, at most: the others still get on with the work.
const DOWN: usize = 6;

/// Between two strikes.
const PAUSE: std::ops::Range<i64> = 150..900;

/// A killed backend takes every connection of the database with it.
const BETWEEN_CRASHES: Duration = Duration::from_secs(12);

const KINDS: [Kind; 10] = [
    Kind::KillWorker,
    Kind::KillWorker,
    Kind::FreezeWorker,
    Kind::KillControl,
    Kind::KillSecondControl,
    Kind::TerminateBackends,
    Kind::KillBackend,
    Kind::JumpDatabase,
    Kind::JumpControl,
    Kind::LoseReplies,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    KillWorker,
    FreezeWorker,
    KillControl,
    KillSecondControl,
    TerminateBackends,
    KillBackend,
    JumpDatabase,
    JumpControl,
    LoseReplies,
}

/// Each of these must have struck.
#[derive(Debug, Default)]
pub struct Strikes {
    killed_workers: u64,
    /// Of those, the ones that held runs.
    killed_at_work: u64,
    frozen_workers: u64,
    frozen_at_work: u64,
    /// Reports under a fence that was not the run's any more.
    refused: u64,
    killed_controls: u64,
    killed_second_controls: u64,
    terminated_backends: u64,
    killed_backends: u64,
    database_forward: u64,
    database_back: u64,
    control_jumps: u64,
    asked_to_lose: u64,
    pub lost_replies: u64,
    last_crash: Option<Instant>,
}

impl Strikes {
    fn counts(&self) -> [(&'static str, u64); 12] {
        [
            ("workers killed", self.killed_workers),
            ("of them with runs under way", self.killed_at_work),
            ("workers frozen past their lease", self.frozen_workers),
            ("of them with runs under way", self.frozen_at_work),
            ("stale fences refused", self.refused),
            ("controls killed", self.killed_controls),
            ("second controls killed", self.killed_second_controls),
            ("database backends terminated", self.terminated_backends),
            ("database backends killed, all connections with them", self.killed_backends),
            (
                "jumps of the database's clock, forward and back",
                self.database_forward.min(self.database_back),
            ),
            ("jumps of a control's clock", self.control_jumps),
            ("replies lost", self.lost_replies),
        ]
    }

    /// Whether each kind has struck, as far as that is known before the end.
    pub fn enough(&self) -> bool {
        let known_later = ["stale fences refused", "replies lost"];
        self.counts().iter().all(|(what, count)| *count > 0 || known_later.contains(what))
            && self.asked_to_lose > 0
    }

    pub fn refused(&mut self, refused: usize) {
        self.refused = refused as u64;
    }

    pub fn check(&self) -> Result<()> {
        for (what, count) in self.counts() {
            ensure!(count > 0, "never struck: {what}\n{self}");
        }
        Ok(())
    }
}

impl fmt::Display for Strikes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, count) in self.counts() {
            writeln!(f, "{count:>7}  {what}")?;
        }
        Ok(())
    }
}

impl Chaos {
    /// One strike, after a pause.
    pub(super) async fn strike(&mut self) -> Result<()> {
        let pause = self.chance.within(PAUSE);
        tokio::time::sleep(Duration::from_millis(pause as u64)).await;
        self.undo(Some(Instant::now()))?;
        for member in &mut self.members {
            member.revive()?;
        }
        match *self.chance.pick(&KINDS) {
            Kind::KillWorker => self.kill_worker().await,
            Kind::FreezeWorker => self.freeze_worker().await,
            Kind::KillControl => self.kill_control().await,
            Kind::KillSecondControl => self.kill_second_control().await,
            Kind::TerminateBackends => {
                self.strikes.terminated_backends += self.ledger.terminate_backends().await?;
                Ok(())
            }
            Kind::KillBackend => self.kill_backend().await,
            Kind::JumpDatabase => self.jump_database().await,
            Kind::JumpControl => {
                let seconds = self.chance.within(-3600..3600);
                self.control_clock.jump(seconds)?;
                self.strikes.control_jumps += 1;
                Ok(())
            }
            Kind::LoseReplies => {
                let replies = self.chance.within(1..12);
                self.chance.pick(&self.wires).lose(replies);
                self.strikes.asked_to_lose += replies as u64;
                Ok(())
            }
        }
    }

    /// A worker that can be struck, unless enough of them are: one that holds
    /// runs if there is any.
    async fn victim(&mut self) -> Result<Option<usize>> {
        let holders = self.ledger.holders().await?;
        let workers = &self.members[..WORKERS];
        let up: Vec<usize> =
            (0..WORKERS).filter(|one| workers[*one].runs() && !workers[*one].frozen).collect();
        if up.len() <= WORKERS - DOWN {
            return Ok(None);
        }
        let at_work: Vec<usize> =
            up.iter().copied().filter(|one| holders.contains(&workers[*one].name)).collect();
        Ok(Some(*self.chance.pick(if at_work.is_empty() { &up } else { &at_work })))
    }

    async fn kill_worker(&mut self) -> Result<()> {
        let Some(victim) = self.victim().await? else { return Ok(()) };
        self.members[victim].kill().await?;
        let held = self.ledger.held_by(&self.members[victim].name).await?;
        self.strikes.killed_workers += 1;
        self.strikes.killed_at_work += u64::from(held > 0);
        let back = Duration::from_millis(self.chance.within(0..3000) as u64);
        self.later.push((Instant::now() + back, Undo::Start(victim)));
        Ok(())
    }

    async fn freeze_worker(&mut self) -> Result<()> {
        let Some(victim) = self.victim().await? else { return Ok(()) };
        self.members[victim].freeze()?;
        let held = self.ledger.held_by(&self.members[victim].name).await?;
        self.strikes.frozen_workers += 1;
        self.strikes.frozen_at_work += u64::from(held > 0);
        self.later.push((Instant::now() + FROZEN, Undo::Thaw(victim)));
        Ok(())
    }

    /// The one that `heddle up` runs, and starts again.
    async fn kill_control(&mut self) -> Result<()> {
        // It may just be on its way back.
        if self.platform.role("control").is_none() {
            return Ok(());
        }
        self.platform.kill("control").await?;
        self.strikes.killed_controls += 1;
        Ok(())
    }

    async fn kill_second_control(&mut self) -> Result<()> {
        let second = WORKERS;
        if !self.members[second].runs() {
            return Ok(());
        }
        self.members[second].kill().await?;
        self.strikes.killed_second_controls += 1;
        let back = Duration::from_millis(self.chance.within(0..1500) as u64);
        self.later.push((Instant::now() + back, Undo::Start(second)));
        Ok(())
    }

    async fn kill_backend(&mut self) -> Result<()> {
        if self.strikes.last_crash.is_some_and(|last| last.elapsed() < BETWEEN_CRASHES) {
            return Ok(());
        }
        self.strikes.last_crash = Some(Instant::now());
        self.ledger.kill_a_backend().await?;
        self.strikes.killed_backends += 1;
        Ok(())
    }

    /// Seen by the database before it counts.
    async fn jump_database(&mut self) -> Result<()> {
        let before = self.ledger.clock_is_off().await?;
        let seconds = self.chance.within(-1800..1800);
        self.database_clock.jump(seconds)?;
        self.ledger.goes_by(seconds).await?;
        match (seconds as f64) < before {
            true => self.strikes.database_back += 1,
            false => self.strikes.database_forward += 1,
        }
        Ok(())
    }
}

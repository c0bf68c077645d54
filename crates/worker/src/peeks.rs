//! The peeks on this host: which there are, who makes or removes one now, and
//! how each goes when its time is over, somebody has ended it, or nobody knows
//! of it any more.

use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use daemon::shutdown::Shutdown;
use jiff::Timestamp;
use model::program::ProgramState;
use model::{PeekId, TenantId, WorkerId};
use protocol::internal::{Peeks, PeeksAnswer};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use crate::failure::{Doing, Failure};
use crate::host::{Host, make_folder, remove_folder};
use crate::layout::{Layout, peek_program};

/// Between two looks.
const TICK: Duration = Duration::from_millis(500);

/// While there is none, control is asked so seldom.
const CALM: Duration = Duration::from_secs(5);

/// `peek.json` in a peek's folder, for whoever clears it away.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Card {
    pub tenant: TenantId,
    /// None while it is being made.
    pub until: Option<Timestamp>,
}

impl Card {
    fn read(layout: &Layout, peek: PeekId) -> Option<Self> {
        serde_json::from_slice(&fs::read(layout.peek(peek).join("peek.json")).ok()?).ok()
    }

    pub fn write(&self, layout: &Layout, peek: PeekId) -> Result<(), Failure> {
        let text = serde_json::to_vec(self).doing("write the peek's card")?;
        let new = layout.peek(peek).join("peek.json.new");
        fs::write(&new, text).doing("write the peek's card")?;
        fs::rename(&new, layout.peek(peek).join("peek.json")).doing("write the peek's card")
    }
}

/// One at a time makes or removes a peek.
#[derive(Default)]
pub struct Turns {
    turns: Mutex<HashMap<PeekId, Arc<tokio::sync::Mutex<()>>>>,
    /// Whoever makes a folder counts those that are there.
    counting: Mutex<()>,
}

impl Turns {
    pub async fn wait(&self, peek: PeekId) -> OwnedMutexGuard<()> {
        self.of(peek).lock_owned().await
    }

    fn look(&self, peek: PeekId) -> Option<OwnedMutexGuard<()>> {
        self.of(peek).try_lock_owned().ok()
    }

    fn of(&self, peek: PeekId) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        turns.entry(peek).or_default().clone()
    }
}

/// Those that have a folder on this host.
pub fn here(host: &Host) -> Result<Vec<PeekId>, Failure> {
    let mut found = Vec::new();
    for entry in fs::read_dir(host.layout.peeks()).doing("list the peeks")? {
        let entry = entry.doing("list the peeks")?;
        found.extend(entry.file_name().to_str().and_then(|name| name.parse::<PeekId>().ok()));
    }
    Ok(found)
}

/// Makes a peek's folder, if this host has room for one more.
pub fn admit(host: &Host, peek: PeekId, tenant: TenantId) -> Result<(), Failure> {
    let _counting = host.peeks.counting.lock().unwrap_or_else(PoisonError::into_inner);
    let there = here(host)?.len();
    if there >= usize::from(host.most_peeks) {
        return Err(Failure::new(format!("the worker's host has {there} peeks, as many as it may"))
            .hint("end one with `heddle tenant peek end`, or set `worker_peeks` higher"));
    }
    make_folder(&host.layout.peek(peek), 0o711, None)?;
    Card { tenant, until: None }.write(&host.layout, peek)
}

/// Ends whatever runs of a peek, and removes all that there is of it.
pub async fn remove(host: &Host, peek: PeekId) -> Result<(), Failure> {
    host.clear_program(&peek_program(peek)).await?;
    host.archive.close(&host.layout.peek_archive_socket(peek));
    remove_folder(&host.layout.peek_socket_dir(peek))?;
    // Last: while it is there, somebody knows that there is something to remove.
    remove_folder(&host.layout.peek(peek))
}

/// Removes what an earlier process has left: those who looked have to ask anew.
pub async fn clear(host: &Host) -> Result<(), Failure> {
    for peek in here(host)? {
        remove(host, peek).await?;
        tracing::info!(%peek, "removed a peek of an earlier process");
    }
    Ok(())
}

/// Removes all peeks of a tenant; waits for one that is being made.
pub async fn remove_of(host: &Host, tenant: TenantId) -> Result<usize, Failure> {
    let mut removed = 0;
    for peek in here(host)? {
        let _turn = host.peeks.wait(peek).await;
        if Card::read(&host.layout, peek).is_none_or(|card| card.tenant == tenant) {
            remove(host, peek).await?;
            removed += 1;
        }
    }
    Ok(removed)
}

pub async fn run(host: Arc<Host>, worker: WorkerId, shutdown: Shutdown) -> Result<(), Failure> {
    let mut keeper = Keeper { worker, gone: Vec::new(), asked: None };
    loop {
        if let Err(failure) = keeper.tick(&host).await {
            tracing::debug!("cannot keep peeks: {}", failure.reason());
        }
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = shutdown.begun() => return Ok(()),
        }
    }
}

struct Keeper {
    worker: WorkerId,
    /// What control has not heard of yet.
    gone: Vec<PeekId>,
    /// When it last answered that there was nothing to do.
    asked: Option<Instant>,
}

impl Keeper {
    async fn tick(&mut self, host: &Host) -> Result<(), Failure> {
        // Whoever makes one holds its turn from before its folder is there until
        // control knows that it is open. With the turn, what control says of it
        // stays true until it is let go.
        let mut held: Vec<(PeekId, OwnedMutexGuard<()>)> = Vec::new();
        for peek in here(host)? {
            held.extend(host.peeks.look(peek).map(|turn| (peek, turn)));
        }
        // Its time ends whether or not control can be reached.
        let now = Timestamp::now();
        let mut left = Vec::new();
        for (peek, turn) in held {
            match is_over(host, peek, now).await? {
                true => self.take_away(host, peek).await?,
                false => left.push((peek, turn)),
            }
        }
        let calm = left.is_empty() && self.gone.is_empty();
        if calm && self.asked.is_some_and(|at| at.elapsed() < CALM) {
            return Ok(());
        }
        let told = self.gone.len();
        let said = Peeks { gone: self.gone.clone() };
        let path = format!("/internal/workers/{}/peeks", self.worker);
        let answer: PeeksAnswer = host
            .control
            .post(&path, &said)
            .await
            .map_err(|source| Failure::new("ask control for this host's peeks").caused_by(source))?;
        self.gone.drain(..told);
        for (peek, turn) in left {
            if !answer.open.contains(&peek) {
                self.take_away(host, peek).await?;
            }
            drop(turn);
        }
        for peek in answer.open.into_iter().chain(answer.ending) {
            if !host.layout.peek(peek).exists() && !self.gone.contains(&peek) {
                self.gone.push(peek);
            }
        }
        self.asked = self.gone.is_empty().then(Instant::now);
        Ok(())
    }

    async fn take_away(&mut self, host: &Host, peek: PeekId) -> Result<(), Failure> {
        remove(host, peek).await?;
        tracing::info!(%peek, "removed a peek");
        self.gone.push(peek);
        Ok(())
    }
}

/// It was opened here, and runs.
pub async fn is_open(host: &Host, peek: PeekId) -> Result<bool, Failure> {
    let opened = Card::read(&host.layout, peek).is_some_and(|card| card.until.is_some());
    Ok(opened && !is_over(host, peek, Timestamp::now()).await?)
}

/// Its time is over, or it has ended by itself.
async fn is_over(host: &Host, peek: PeekId, now: Timestamp) -> Result<bool, Failure> {
    let Some(until) = Card::read(&host.layout, peek).and_then(|card| card.until) else { return Ok(false) };
    let state = host.driver.state(&peek_program(peek)).await.doing("look at a peek")?;
    Ok(now >= until || matches!(state, ProgramState::Ended(_) | ProgramState::Absent))
}

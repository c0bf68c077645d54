//! A driver in memory, for the tests of whoever uses one.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use model::program::{Exit, ProgramId, ProgramSpec, ProgramState, RestartPolicy, StopSignal};
use tokio::sync::Notify;

use crate::{Driver, DriverError, Result};

/// Programs that are names only: a test says when one ends ([`FakeDriver::end`])
/// and what it prints ([`FakeDriver::print`]).
#[derive(Debug, Default)]
pub struct FakeDriver {
    inside: Mutex<Inside>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inside {
    programs: BTreeMap<ProgramId, Program>,
    faults: VecDeque<(Call, Fault)>,
    next_pid: u32,
}

#[derive(Debug)]
struct Program {
    spec: ProgramSpec,
    state: ProgramState,
    log: Vec<String>,
}

/// A call that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Start,
    Stop,
    Remove,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing was done.
    Before,
    /// The work was done, the reply was lost.
    After,
}

impl FakeDriver {
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets a running program end by itself. One that is restarted always runs again at once.
    pub fn end(&self, id: &ProgramId, exit: Exit) {
        let mut inside = self.inside();
        let pid = inside.pid();
        if let Some(program) = inside.programs.get_mut(id)
            && let ProgramState::Running { restarts, .. } = program.state
        {
            program.state = match program.spec.restart {
                RestartPolicy::Never => ProgramState::Ended(exit),
                RestartPolicy::Always => ProgramState::Running { pid, restarts: restarts + 1 },
            };
        }
        drop(inside);
        self.changed.notify_waiters();
    }

    /// Adds a line to a program's log.
    pub fn print(&self, id: &ProgramId, line: &str) {
        if let Some(program) = self.inside().programs.get_mut(id) {
            program.log.push(line.to_owned());
        }
    }

    /// The next such call fails; several are used up in order.
    pub fn fail(&self, call: Call, fault: Fault) {
        self.inside().faults.push_back((call, fault));
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faulty<T>(
        &self,
        call: Call,
        id: &ProgramId,
        work: impl FnOnce(&mut Inside) -> Result<T>,
    ) -> Result<T> {
        let mut inside = self.inside();
        let planned = inside.faults.iter().position(|(planned, _)| *planned == call);
        let fault = planned.and_then(|at| inside.faults.remove(at)).map(|(_, fault)| fault);
        let lost = |reason: &str| Err(DriverError::Start { id: id.clone(), reason: reason.to_owned() });
        if fault == Some(Fault::Before) {
            return lost("planned fault, nothing was done");
        }
        let done = work(&mut inside);
        drop(inside);
        self.changed.notify_waiters();
        if fault == Some(Fault::After) { lost("planned fault, the reply was lost") } else { done }
    }
}

impl Inside {
    fn pid(&mut self) -> u32 {
        self.next_pid += 1;
        self.next_pid
    }
}

fn runs(state: &ProgramState) -> bool {
    matches!(state, ProgramState::Running { .. } | ProgramState::Restarting { .. })
}

#[async_trait]
impl Driver for FakeDriver {
    async fn start(&self, spec: &ProgramSpec) -> Result<()> {
        let id = &spec.id;
        self.faulty(Call::Start, id, |inside| {
            let pid = inside.pid();
            match inside.programs.get_mut(id) {
                Some(program) if runs(&program.state) => {
                    if program.spec == *spec {
                        Ok(())
                    } else {
                        Err(DriverError::Differs { id: id.clone() })
                    }
                }
                _ if !spec.argv.first().is_some_and(|program| program.starts_with('/')) => {
                    let reason = "the program's path is not absolute".to_owned();
                    Err(DriverError::Start { id: id.clone(), reason })
                }
                former => {
                    let log = former.map(|program| std::mem::take(&mut program.log)).unwrap_or_default();
                    let state = ProgramState::Running { pid, restarts: 0 };
                    inside.programs.insert(id.clone(), Program { spec: spec.clone(), state, log });
                    Ok(())
                }
            }
        })
    }

    async fn state(&self, id: &ProgramId) -> Result<ProgramState> {
        Ok(self.inside().programs.get(id).map_or(ProgramState::Absent, |program| program.state.clone()))
    }

    async fn spec(&self, id: &ProgramId) -> Result<Option<ProgramSpec>> {
        Ok(self.inside().programs.get(id).map(|program| program.spec.clone()))
    }

    async fn wait(&self, id: &ProgramId) -> Result<Exit> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Listen before looking.
            changed.as_mut().enable();
            match self.state(id).await? {
                ProgramState::Absent => return Err(DriverError::Absent { id: id.clone() }),
                ProgramState::Ended(exit) => return Ok(exit),
                ProgramState::Running { .. } | ProgramState::Restarting { .. } => changed.await,
            }
        }
    }

    async fn stop(&self, id: &ProgramId) -> Result<Option<Exit>> {
        self.faulty(Call::Stop, id, |inside| {
            let Some(program) = inside.programs.get_mut(id) else { return Ok(None) };
            if runs(&program.state) {
                let signal = match program.spec.stop_signal {
                    StopSignal::Term => 15,
                    StopSignal::Int => 2,
                };
                program.state = ProgramState::Ended(Exit::Signal(signal));
            }
            match program.state {
                ProgramState::Ended(exit) => Ok(Some(exit)),
                _ => Ok(None),
            }
        })
    }

    async fn remove(&self, id: &ProgramId) -> Result<()> {
        self.faulty(Call::Remove, id, |inside| {
            if inside.programs.get(id).is_some_and(|program| runs(&program.state)) {
                return Err(DriverError::Running { id: id.clone() });
            }
            inside.programs.remove(id);
            Ok(())
        })
    }

    async fn list(&self) -> Result<Vec<(ProgramId, ProgramState)>> {
        let inside = self.inside();
        Ok(inside.programs.iter().map(|(id, program)| (id.clone(), program.state.clone())).collect())
    }

    async fn log_tail(&self, id: &ProgramId, lines: usize) -> Result<Vec<String>> {
        let inside = self.inside();
        let log = inside.programs.get(id).map(|program| program.log.as_slice()).unwrap_or_default();
        Ok(log[log.len().saturating_sub(lines)..].to_vec())
    }

    fn log_path(&self, id: &ProgramId) -> PathBuf {
        PathBuf::from(format!("/nonexistent/{id}/log"))
    }
}

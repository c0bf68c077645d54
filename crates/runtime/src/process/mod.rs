//! The driver that runs programs as processes of this host, each under a shim.

mod watch;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use model::program::{Exit, ProgramId, ProgramSpec, ProgramState};
use rustix::process::Signal;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::OwnedMutexGuard;
use tokio::task::spawn_blocking;

use crate::folder::{Folder, Lock};
use crate::proctable::Process;
use crate::shim::HELD;
use crate::status::{Phase, Seen};
use crate::{Driver, DriverError, Result, leftovers, tail};

/// How long another process may be busy with a program, beyond its grace,
/// before that is an error.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long after a program's grace its shim may take to clear up.
const CLEAR_UP: Duration = Duration::from_secs(10);
/// How long a shim that has nothing left to do is waited for.
const GO: Duration = Duration::from_secs(1);
/// Between two looks at what another process is doing.
const AGAIN: Duration = Duration::from_millis(50);

/// Keeps one folder per program in `programs_dir`, and nothing in memory that
/// matters: any number of drivers, in any number of processes, may share it.
#[derive(Debug)]
pub struct ProcessDriver {
    programs_dir: PathBuf,
    shim_binary: PathBuf,
    /// Spares callers in this process from racing; between processes the lock decides.
    turns: Mutex<HashMap<ProgramId, Arc<tokio::sync::Mutex<()>>>>,
}

enum Launch {
    Started,
    Held,
}

impl ProcessDriver {
    /// `shim_binary` is run as `<shim_binary> shim <programs_dir>/<id>`, and
    /// then calls [`crate::shim::main`].
    pub fn new(programs_dir: PathBuf, shim_binary: PathBuf) -> Self {
        Self { programs_dir, shim_binary, turns: Mutex::default() }
    }

    fn folder(&self, id: &ProgramId) -> Folder {
        Folder::new(self.programs_dir.join(id.as_str()))
    }

    async fn turn(&self, id: &ProgramId) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(id.clone()).or_default())
        };
        turn.lock_owned().await
    }

    fn look(&self, id: &ProgramId) -> Result<Seen> {
        let folder = self.folder(id);
        folder.seen().map_err(DriverError::read(&folder.status_path()))
    }

    fn read_spec(&self, id: &ProgramId) -> Result<Option<ProgramSpec>> {
        let folder = self.folder(id);
        folder.spec().map_err(DriverError::read(&folder.spec_path()))
    }

    fn expect_same(&self, spec: &ProgramSpec) -> Result<()> {
        match self.read_spec(&spec.id)? {
            Some(running) if running == *spec => Ok(()),
            _ => Err(DriverError::Differs { id: spec.id.clone() }),
        }
    }

    fn grace(&self, id: &ProgramId) -> Result<Duration> {
        Ok(self.read_spec(id)?.map_or(Duration::ZERO, |spec| spec.grace))
    }

    async fn launch(&self, spec: &ProgramSpec) -> Result<Launch> {
        let id = &spec.id;
        let shim_error = |source| DriverError::Shim { path: self.shim_binary.clone(), source };
        let mut launcher = Command::new(&self.shim_binary)
            .arg("shim")
            .arg(self.folder(id).path())
            // Nothing of ours is the shim's business, and a Ctrl-C at our terminal is not for it.
            .env_clear()
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(shim_error)?;
        let text = serde_json::to_vec(spec).map_err(|error| shim_error(error.into()))?;
        if let Some(mut stdin) = launcher.stdin.take() {
            // If it does not listen it has failed, and says why.
            let _ = stdin.write_all(&text).await;
        }
        let output = launcher.wait_with_output().await.map_err(shim_error)?;
        match output.status.code() {
            Some(0) => Ok(Launch::Started),
            Some(code) if code == i32::from(HELD) => Ok(Launch::Held),
            _ => {
                let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                let reason =
                    if reason.is_empty() { format!("the shim ended with {}", output.status) } else { reason };
                Err(DriverError::Start { id: id.clone(), reason })
            }
        }
    }

    /// Asks the shim to stop its program and waits for the shim's end. One that
    /// does not manage is killed; what it leaves is the caller's to clear.
    async fn stop_guarded(&self, id: &ProgramId, shim: Process) -> Result<()> {
        let failed = |source| DriverError::Watch { id: id.clone(), source };
        let Some(handle) = shim.open().map_err(failed)? else { return Ok(()) };
        handle.signal(Signal::TERM).map_err(failed)?;
        let time = self.grace(id)? + CLEAR_UP;
        if !watch::ended(shim, Some(time)).await.map_err(failed)? {
            tracing::warn!(program = %id, shim = shim.pid, "shim does not end; it is killed");
            handle.signal(Signal::KILL).map_err(failed)?;
            watch::ended(shim, None).await.map_err(failed)?;
        }
        Ok(())
    }

    /// The lock of a program that has a folder; None: someone else holds it.
    fn lock(&self, id: &ProgramId) -> Result<Option<Lock>> {
        let folder = self.folder(id);
        folder.lock().map_err(|source| DriverError::Lock { path: folder.lock_path(), source })
    }

    async fn clear(&self, id: &ProgramId, lock: Lock) -> Result<Lock> {
        let folder = self.folder(id);
        let failed = |source| DriverError::Leftovers { id: id.clone(), source };
        spawn_blocking(move || leftovers::clear(&folder, &lock).map(|()| lock))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(failed)
    }
}

/// Gives up on what another process is doing once it takes too long.
struct Patience(Instant);

impl Patience {
    fn new(grace: Duration) -> Self {
        Self(Instant::now() + grace + PATIENCE)
    }

    async fn wait(&self, id: &ProgramId) -> Result<()> {
        if Instant::now() > self.0 {
            return Err(DriverError::Busy { id: id.clone() });
        }
        tokio::time::sleep(AGAIN).await;
        Ok(())
    }
}

#[async_trait]
impl Driver for ProcessDriver {
    async fn start(&self, spec: &ProgramSpec) -> Result<()> {
        let id = &spec.id;
        let _turn = self.turn(id).await;
        let failed = |source| DriverError::Watch { id: id.clone(), source };
        let patience = Patience::new(self.grace(id)?);
        loop {
            match self.look(id)? {
                Seen::Guarded {
                    shim,
                    phase: Phase::Running { stopping: true, .. } | Phase::Ended { .. },
                } => {
                    watch::ended(shim, Some(AGAIN)).await.map_err(failed)?;
                    patience.wait(id).await?;
                    continue;
                }
                Seen::Guarded { .. } => return self.expect_same(spec),
                // The new shim stops it first: it alone may start the next.
                Seen::Orphan { .. } => self.expect_same(spec)?,
                Seen::Absent | Seen::Lost | Seen::Ended(_) => {}
            }
            match self.launch(spec).await? {
                Launch::Started => return Ok(()),
                Launch::Held => patience.wait(id).await?,
            }
        }
    }

    async fn state(&self, id: &ProgramId) -> Result<ProgramState> {
        Ok(self.look(id)?.state())
    }

    async fn spec(&self, id: &ProgramId) -> Result<Option<ProgramSpec>> {
        self.read_spec(id)
    }

    async fn wait(&self, id: &ProgramId) -> Result<Exit> {
        let failed = |source| DriverError::Watch { id: id.clone(), source };
        loop {
            let watched = match self.look(id)? {
                Seen::Absent => return Err(DriverError::Absent { id: id.clone() }),
                Seen::Ended(exit) => return Ok(exit),
                Seen::Guarded { shim, phase: Phase::Ended { exit, .. } } => {
                    // It has nothing left to do but to go.
                    watch::ended(shim, Some(GO)).await.map_err(failed)?;
                    return Ok(exit);
                }
                Seen::Lost => return Ok(Exit::Unknown),
                Seen::Guarded { shim, .. } => shim,
                Seen::Orphan { program, .. } => program,
            };
            watch::ended(watched, None).await.map_err(failed)?;
        }
    }

    async fn stop(&self, id: &ProgramId) -> Result<Option<Exit>> {
        let _turn = self.turn(id).await;
        let patience = Patience::new(self.grace(id)?);
        loop {
            match self.look(id)? {
                Seen::Absent => return Ok(None),
                Seen::Ended(exit) => return Ok(Some(exit)),
                Seen::Guarded { shim, .. } => self.stop_guarded(id, shim).await?,
                Seen::Orphan { .. } | Seen::Lost => match self.lock(id)? {
                    Some(lock) => {
                        self.clear(id, lock).await?;
                        return Ok(Some(Exit::Unknown));
                    }
                    None => patience.wait(id).await?,
                },
            }
        }
    }

    async fn remove(&self, id: &ProgramId) -> Result<()> {
        let _turn = self.turn(id).await;
        let folder = self.folder(id);
        let patience = Patience::new(Duration::ZERO);
        while folder.path().try_exists().map_err(DriverError::read(folder.path()))? {
            match self.look(id)? {
                Seen::Guarded { phase: Phase::Ended { .. }, .. } => patience.wait(id).await?,
                Seen::Guarded { .. } | Seen::Orphan { .. } => {
                    return Err(DriverError::Running { id: id.clone() });
                }
                Seen::Absent | Seen::Lost | Seen::Ended(_) => match self.lock(id)? {
                    Some(lock) => {
                        let lock = self.clear(id, lock).await?;
                        return folder.remove(&lock).map_err(|source| DriverError::Remove {
                            path: folder.path().to_owned(),
                            source,
                        });
                    }
                    None => patience.wait(id).await?,
                },
            }
        }
        Ok(())
    }

    async fn list(&self) -> Result<Vec<(ProgramId, ProgramState)>> {
        let failed = || DriverError::read(&self.programs_dir);
        let entries = match std::fs::read_dir(&self.programs_dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed()(error)),
        };
        let mut programs = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed())?.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            let state = self.look(&id)?.state();
            if state != ProgramState::Absent {
                programs.push((id, state));
            }
        }
        programs.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(programs)
    }

    async fn log_tail(&self, id: &ProgramId, lines: usize) -> Result<Vec<String>> {
        let path = self.log_path(id);
        let log = path.clone();
        spawn_blocking(move || tail::tail(&log, lines))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(DriverError::read(&path))
    }

    fn log_path(&self, id: &ProgramId) -> PathBuf {
        self.folder(id).log_path()
    }
}

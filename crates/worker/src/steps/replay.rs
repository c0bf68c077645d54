//! A cluster is made out of the repository, at a point of a tenant's history.
//! What becomes of it is for others to say: a restore makes a cell of it, a peek
//! lets people read it.

use std::path::Path;
use std::time::Duration;

use archive::TenantArchive;
use model::lsn::{SegmentSize, Timeline};
use model::program::{Identity, ProgramId, ProgramState, RestartPolicy};
use model::restore::{Plan, Stop};
use postgres::{Cluster, RecoveryFault, ShellCommand};
use tokio::time::Instant;
use tokio_postgres::Client;

use crate::failure::{Doing, Failure};
use crate::host::{Host, blocking};
use crate::report::Run;

/// Recovery without a sign of life for this long is given up.
const PATIENCE: Duration = Duration::from_secs(3600);

/// A plan that is being carried out in one place.
pub struct Replay<'a> {
    pub host: &'a Host,
    pub run: &'a Run,
    pub archive: TenantArchive,
    pub plan: &'a Plan,
    pub data_dir: &'a Path,
    /// Whom it belongs to.
    pub identity: Option<Identity>,
    /// What recovers; it ends once.
    pub program: ProgramId,
    /// Reads WAL over the socket that the place is served.
    pub fetch: ShellCommand,
}

enum Recovered {
    /// It accepts writes.
    Promoted(Client),
    Fault(RecoveryFault),
}

impl Replay<'_> {
    /// Copies the base backup.
    pub async fn copy(&self) -> Result<(), Failure> {
        let first = self.plan.wal.first().ok_or_else(|| Failure::new("the plan reads no WAL"))?;
        self.archive
            .extract_backup(first.lineage, self.plan.backup, self.data_dir, self.identity, |_, _| {})
            .await
            .doing("copy the base backup")?;
        Ok(())
    }

    /// Puts the WAL in place that the repository has.
    pub async fn place(&self) -> Result<(), Failure> {
        let placed = self.archive.place_wal(self.plan, self.data_dir, self.identity).await;
        let placed = placed.doing("put the WAL in place")?;
        self.run.info(format!(
            "{} WAL segments are in place, {} are fetched as they are needed",
            placed.segments, placed.left
        ));
        Ok(())
    }

    /// Replays to the plan's end, and answers with the superuser's connection to
    /// a cluster that runs and accepts writes. `prepare` says, at each attempt,
    /// which cluster it is, and configures it; it blocks.
    pub async fn recover(
        &self,
        prepare: impl Fn() -> Result<Cluster, Failure> + Clone + Send + 'static,
    ) -> Result<Client, Failure> {
        let source = self.plan.wal.last().ok_or_else(|| Failure::new("the plan reads no WAL"))?;
        let mut stop = self.plan.stop.clone();
        loop {
            let fault = match self.once(&stop, source.timeline, prepare.clone()).await? {
                Recovered::Promoted(client) => return self.reached(client, &stop).await,
                Recovered::Fault(fault) => fault,
            };
            self.host.clear_program(&self.program).await?;
            match (fault, &stop) {
                (RecoveryFault::EndedBeforeTarget, Stop::Time(at)) => {
                    self.run.info(format!("There was no commit after {at}; replaying to the end of the WAL"));
                    stop = Stop::End;
                }
                (RecoveryFault::EndedBeforeTarget, Stop::Lsn(lsn)) => {
                    self.run.info(format!("Nothing begins after {lsn}; replaying to the end of the WAL"));
                    stop = Stop::End;
                }
                (fault, _) => return Err(Failure::new("replay the WAL").caused_by(fault)),
            }
        }
    }

    async fn reached(&self, client: Client, stop: &Stop) -> Result<Client, Failure> {
        let timeline = postgres::timeline(&client).await.doing("ask for the timeline")?;
        let (_, lsn) =
            postgres::fork_of(self.data_dir, timeline).doing("find where the new timeline begins")?;
        if *stop == Stop::End && !self.plan.reached(lsn, SegmentSize::CELL) {
            return Err(Failure::new(format!(
                "replay ended at {lsn}, before the WAL's end at {}",
                self.plan.end
            )));
        }
        self.run.info(format!("Replayed up to {lsn}, now on timeline {}", timeline.0));
        Ok(client)
    }

    async fn once(
        &self,
        stop: &Stop,
        timeline: Timeline,
        prepare: impl FnOnce() -> Result<Cluster, Failure> + Send + 'static,
    ) -> Result<Recovered, Failure> {
        let Self { host, run, program, .. } = self;
        host.clear_program(program).await?;
        let (binaries, stop, id) = (host.binaries.clone(), stop.clone(), program.clone());
        let fetch = self.fetch.clone().unless_in_place();
        let (cluster, mut spec) = blocking(move || {
            let made = prepare()?;
            postgres::write_recovery(&made.data_dir, made.identity, &stop, timeline, &fetch)
                .doing("prepare the recovery")?;
            let spec = made.program(&binaries, id).doing("prepare the cluster")?;
            Ok((made, spec))
        })
        .await?;
        // Recovery ends by itself, once.
        spec.restart = RestartPolicy::Never;
        host.driver.start(&spec).await.doing("start the recovery")?;
        let deadline = Instant::now() + PATIENCE;
        let exit = loop {
            match postgres::wait_ready(&cluster, Duration::from_millis(300)).await {
                Ok(client) => return Ok(Recovered::Promoted(client)),
                Err(error) if Instant::now() > deadline => {
                    return Err(error).doing("wait for the recovery");
                }
                Err(_) => {}
            }
            run.go_on()?;
            let state = host.driver.state(program).await.doing("look at the recovery")?;
            if let ProgramState::Ended(exit) = state {
                break exit;
            }
        };
        let log = host.driver.log_tail(program, 5_000).await.doing("read the recovery's log")?.join("\n");
        let fault = RecoveryFault::in_log(postgres::since_last_start(&log));
        Ok(Recovered::Fault(fault.unwrap_or_else(|| RecoveryFault::Other(format!("it ended with {exit}")))))
    }
}

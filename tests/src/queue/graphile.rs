//! Graphile Worker on the same PostgreSQL, in a database of its own: the same
//! jobs, queued in the same batches, claimed and finished.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio_postgres::{Client, Config};

use super::{ADDERS, BATCH};
use crate::management;

const DATABASE: &str = "graphile";

/// How long one round may take.
const PATIENCE: Duration = Duration::from_secs(300);

const ADD: &str = "SELECT 1 FROM graphile_worker.add_jobs(ARRAY(
    SELECT json_populate_recordset(null::graphile_worker.job_spec, $1::text::json)))";

pub struct Graphile {
    /// The folder with its worker.mjs and node_modules.
    folder: PathBuf,
    url: String,
    admin: Client,
    adders: Vec<Client>,
    processes: usize,
}

impl Graphile {
    /// Makes the database, and finds out with how many processes it is fastest here.
    pub async fn prepare(folder: &Path, superuser: &Config, jobs: usize) -> Result<Self> {
        let heddle = management::connect(superuser).await?;
        let password = uuid::Uuid::new_v4().simple().to_string();
        heddle.batch_execute(&format!("CREATE ROLE {DATABASE} LOGIN PASSWORD '{password}'")).await?;
        heddle.batch_execute(&format!("CREATE DATABASE {DATABASE} OWNER {DATABASE}")).await?;
        let port = superuser.get_ports().first().context("a port")?;
        let url = format!("postgres://{DATABASE}:{password}@127.0.0.1:{port}/{DATABASE}");
        let own = superuser.clone().dbname(DATABASE).clone();
        let admin = management::connect(&own).await?;
        let mut graphile = Self { folder: folder.to_owned(), url, admin, adders: Vec::new(), processes: 1 };
        // The first to start makes its tables.
        graphile.stop(graphile.start().await?).await?;
        let adders = (0..ADDERS).map(|_| management::connect(&own));
        graphile.adders = futures::future::try_join_all(adders).await?;
        let mut best = 0.0;
        let mut processes = 1;
        for tried in [1, 2, 4] {
            graphile.processes = tried;
            let rate = graphile.round(jobs).await?;
            println!("  Graphile Worker with {tried} processes: {rate:.0}/s");
            if rate > best {
                (best, processes) = (rate, tried);
            }
        }
        graphile.processes = processes;
        Ok(graphile)
    }

    pub fn processes(&self) -> usize {
        self.processes
    }

    /// Queues so many jobs in batches while its processes work on them, from the
    /// first batch to the last job gone. Jobs a second.
    pub async fn round(&self, jobs: usize) -> Result<f64> {
        let processes = self.start().await?;
        let queued = AtomicUsize::new(0);
        let began = Instant::now();
        futures::future::try_join_all(self.adders.iter().map(|adder| self.add(adder, &queued, jobs))).await?;
        self.emptied(began + PATIENCE).await?;
        let took = began.elapsed().as_secs_f64();
        let done = self.stop(processes).await?;
        ensure!(done == jobs, "Graphile Worker was given {jobs} jobs and did {done}");
        // As after any quiet moment: its next round must not pay for this one.
        self.admin.batch_execute("VACUUM ANALYZE graphile_worker._private_jobs").await?;
        Ok(jobs as f64 / took)
    }

    async fn add(&self, adder: &Client, queued: &AtomicUsize, jobs: usize) -> Result<()> {
        let add = adder.prepare(ADD).await?;
        loop {
            let first = queued.fetch_add(BATCH, Ordering::Relaxed);
            if first >= jobs {
                return Ok(());
            }
            let batch: Vec<_> = (first..jobs.min(first + BATCH))
                .map(|number| json!({"identifier": "probe", "payload": {"id": number}}))
                .collect();
            adder.execute(&add, &[&serde_json::to_string(&batch)?]).await.context("add jobs")?;
        }
    }

    async fn emptied(&self, deadline: Instant) -> Result<()> {
        let empty = "SELECT NOT EXISTS (SELECT FROM graphile_worker._private_jobs)";
        let empty = self.admin.prepare(empty).await?;
        while !self.admin.query_one(&empty, &[]).await?.get::<_, bool>(0) {
            ensure!(Instant::now() < deadline, "Graphile Worker does not finish its jobs");
            tokio::time::sleep(super::LOOK).await;
        }
        Ok(())
    }

    /// The Node that was installed with it, or where there is none for this
    /// machine, any.
    fn node(&self) -> PathBuf {
        let installed = ["x64", "arm64"]
            .map(|machine| self.folder.join(format!("node_modules/node-linux-{machine}/bin/node")));
        installed.into_iter().find(|path| path.exists()).unwrap_or_else(|| "node".into())
    }

    async fn start(&self) -> Result<Vec<Process>> {
        let mut processes = Vec::new();
        for _ in 0..self.processes {
            let mut child = Command::new(self.node())
                .arg("worker.mjs")
                .current_dir(&self.folder)
                .env("DATABASE_URL", &self.url)
                .env("NODE_ENV", "production")
                .env("NO_LOG_SUCCESS", "1")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .context("start Graphile Worker")?;
            let lines = BufReader::new(child.stdout.take().context("its output")?).lines();
            processes.push(Process { child, lines });
        }
        for process in &mut processes {
            match process.lines.next_line().await? {
                Some(line) if line == "ready" => {}
                other => bail!("Graphile Worker did not start: {other:?}"),
            }
        }
        Ok(processes)
    }

    /// Ends the processes; returns how many jobs they did.
    async fn stop(&self, processes: Vec<Process>) -> Result<usize> {
        let mut done = 0;
        for mut process in processes {
            drop(process.child.stdin.take());
            let line = process.lines.next_line().await?.context("how many jobs it did")?;
            done += line.parse::<usize>().with_context(|| format!("read {line:?}"))?;
            process.child.wait().await?;
        }
        Ok(done)
    }
}

struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

//! What the database itself says became of the runs, noted by a trigger of the
//! test's own: Heddle's records are not asked about themselves alone.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio_postgres::{Client, Config, Row, types::ToSql};
use uuid::Uuid;

use crate::management;
use crate::platform::until;

/// The database is being restarted now and then.
const PATIENCE: Duration = Duration::from_secs(60);

const NOTE: &str = "
CREATE SCHEMA chaos;
CREATE TABLE chaos.ends (run uuid NOT NULL, state text NOT NULL);
CREATE FUNCTION chaos.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
    INSERT INTO chaos.ends
    SELECT n.id, n.state FROM new_runs n JOIN old_runs o ON o.id = n.id
    WHERE n.ended_at IS NOT NULL AND (n.state, n.ended_at) IS DISTINCT FROM (o.state, o.ended_at);
    RETURN NULL;
END $$;
CREATE TRIGGER noted_by_the_chaos_test AFTER UPDATE ON ops.runs
    REFERENCING OLD TABLE AS old_runs NEW TABLE AS new_runs
    FOR EACH STATEMENT EXECUTE FUNCTION chaos.note();
";

/// Control's connections.
const BACKENDS: &str = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'heddle-%'";

pub struct Ledger {
    config: Config,
    client: Client,
    project: &'static str,
}

impl Ledger {
    pub async fn open(config: Config, project: &'static str) -> Result<Self> {
        let client = management::connect(&config).await?;
        client.batch_execute(NOTE).await.context("note the ends of runs")?;
        Ok(Self { config, client, project })
    }

    /// Asks again while the database cannot be reached.
    async fn ask(&mut self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            match self.client.query(sql, parameters).await {
                Err(error) if error.is_closed() || error.as_db_error().is_none_or(restarts) => {
                    ensure!(
                        tokio::time::Instant::now() < deadline,
                        "the database does not come back: {error}"
                    );
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    if let Ok(client) = management::connect(&self.config).await {
                        self.client = client;
                    }
                }
                rows => return rows.with_context(|| format!("ask {sql}")),
            }
        }
    }

    async fn number(&mut self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<i64> {
        Ok(self.ask(sql, parameters).await?.first().context("a row")?.get(0))
    }

    /// Waits until so many workers have registered.
    pub async fn registered(&self, workers: usize) -> Result<()> {
        until(PATIENCE, "the workers register", async || {
            Ok(management::count(&self.client, "SELECT count(*) FROM ops.workers").await? >= workers as i64)
        })
        .await
    }

    /// The workers that hold runs, by name.
    pub async fn holders(&mut self) -> Result<Vec<String>> {
        let holders = "SELECT DISTINCT w.name FROM ops.leases l JOIN ops.workers w ON w.id = l.worker_id";
        Ok(self.ask(holders, &[]).await?.iter().map(|row| row.get(0)).collect())
    }

    pub async fn held_by(&mut self, worker: &str) -> Result<i64> {
        let held =
            "SELECT count(*) FROM ops.leases l JOIN ops.workers w ON w.id = l.worker_id WHERE w.name = $1";
        self.number(held, &[&worker]).await
    }

    pub async fn states(&mut self) -> Result<BTreeMap<String, i64>> {
        let states = "SELECT state, count(*) FROM ops.run_details WHERE project = $1 GROUP BY 1";
        let project = self.project;
        Ok(self.ask(states, &[&project]).await?.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Runs that Heddle does not try again by itself.
    pub async fn given_up(&mut self) -> Result<Vec<Uuid>> {
        let given_up = "SELECT r.id FROM ops.runs r JOIN ops.projects p ON p.id = r.project_id
                        WHERE p.name = $1 AND r.state IN ('dead', 'failed', 'cancelled')";
        let project = self.project;
        Ok(self.ask(given_up, &[&project]).await?.iter().map(|row| row.get(0)).collect())
    }

    /// In the midst of what they do.
    pub async fn terminate_backends(&mut self) -> Result<u64> {
        let sql = format!(
            "SELECT count(*) FROM ({BACKENDS} ORDER BY state, random() LIMIT 3) b
                           WHERE pg_terminate_backend(b.pid)"
        );
        Ok(self.number(&sql, &[]).await? as u64)
    }

    /// The server takes it as a crash: it ends all its backends, and recovers.
    pub async fn kill_a_backend(&mut self) -> Result<()> {
        let sql = format!("{BACKENDS} ORDER BY state, random() LIMIT 1");
        let rows = self.ask(&sql, &[]).await?;
        let Some(row) = rows.first() else { bail!("no backend of control's is there") };
        let started = self
            .number("SELECT pid::bigint FROM pg_stat_activity WHERE backend_type = 'checkpointer'", &[])
            .await?;
        kill_process(Pid::from_raw(row.get(0)).context("a pid")?, Signal::KILL).context("kill a backend")?;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let checkpointer = "SELECT pid::bigint FROM pg_stat_activity WHERE backend_type = 'checkpointer'";
            let now = self.ask(checkpointer, &[]).await?;
            if now.first().is_some_and(|row| row.get::<_, i64>(0) != started) {
                return Ok(());
            }
            ensure!(tokio::time::Instant::now() < deadline, "the server took no notice of a backend's death");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// How many seconds the database's clock is ahead of the true time.
    pub async fn clock_is_off(&mut self) -> Result<f64> {
        let rows = self.ask("SELECT extract(epoch FROM clock_timestamp())::float8", &[]).await?;
        let shown: f64 = rows.first().context("a row")?.get(0);
        Ok(shown - SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64())
    }

    /// Waits until the database's clock has jumped.
    pub async fn goes_by(&mut self, seconds: i64) -> Result<()> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while (self.clock_is_off().await? - seconds as f64).abs() > 2.0 {
            ensure!(tokio::time::Instant::now() < deadline, "the database's clock did not jump");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// None lost, none finished twice, nothing left over.
    pub async fn check(&mut self, runs: usize, retried: u64) -> Result<()> {
        let runs = runs as i64;
        let project = self.project;
        let counts = "
            SELECT count(*), count(DISTINCT r.idempotency_key), count(*) FILTER (WHERE r.state = 'succeeded'),
                   sum(r.attempts)::bigint
            FROM ops.runs r JOIN ops.projects p ON p.id = r.project_id WHERE p.name = $1";
        let row = self.ask(counts, &[&project]).await?.pop().context("a row")?;
        let (there, keys, succeeded, attempts): (i64, i64, i64, i64) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        ensure!(there == runs && keys == runs, "{runs} were queued, {there} are there, of {keys} keys");
        ensure!(succeeded == runs, "{succeeded} of {runs} have succeeded");
        let ends = "
            SELECT count(*), count(DISTINCT run), (SELECT count(*) FROM chaos.ends WHERE state <> 'succeeded')
            FROM chaos.ends WHERE state = 'succeeded'";
        let row = self.ask(ends, &[]).await?.pop().context("a row")?;
        let (finished, distinct, given_up): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
        ensure!(
            finished == runs && distinct == runs,
            "{runs} runs were finished {finished} times, {distinct} of them at least once"
        );
        ensure!(given_up as u64 == retried, "{given_up} were given up, {retried} tried again");
        for table in ["run_ready", "leases"] {
            let left = self.number(&format!("SELECT count(*) FROM ops.{table}"), &[]).await?;
            ensure!(left == 0, "{left} rows are left in ops.{table}");
        }
        println!(
            "\n{runs:>7}  runs queued, each there once\n{finished:>7}  finished, each once\n\
             {attempts:>7}  attempts\n{given_up:>7}  given up for lost workers, and tried again"
        );
        Ok(())
    }
}

/// Whether the answer is of a server that stops or starts.
fn restarts(error: &tokio_postgres::error::DbError) -> bool {
    let code = error.code().code();
    code.starts_with("57P") || code.starts_with("08")
}

use clap::Args;
use jiff::Timestamp;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::facts;
use crate::time::rough;

/// Show what runs: workers, runs and tenants
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle status")]
pub struct Status {}

impl Status {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let api = context.api()?;
        let status = api.status().await?;
        context.output.result(&status, |status| {
            let workers: Vec<_> = status
                .workers
                .iter()
                .map(|worker| {
                    let seen = rough(Timestamp::now().duration_since(worker.seen_at));
                    let state = if worker.alive { "alive".to_owned() } else { format!("silent for {seen}") };
                    let draining = match (worker.draining, worker.runs) {
                        (false, _) => String::new(),
                        (true, 0) => ", drained".to_owned(),
                        (true, runs) => format!(", draining, {runs} left"),
                    };
                    format!("{} ({state}{draining})", worker.name)
                })
                .collect();
            let workers = if workers.is_empty() { "none yet".to_owned() } else { workers.join(", ") };
            let runs = format!("{} running, {} queued", status.runs_running, status.runs_queued);
            let head = facts([
                ("control", format!("{} (version {})", context.url(), status.version)),
                ("workers", workers),
                ("runs", runs),
            ]);
            format!("{head}\n{}", super::tenant::list::text(&status.tenants))
        })
    }
}

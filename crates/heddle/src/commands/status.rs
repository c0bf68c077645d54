use clap::Args;
use jiff::Timestamp;
use protocol::api::{Tenant, WalLag};

use super::tenant::show;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::facts;
use crate::time::rough;

/// So much behind for so long is worth a word.
const BEHIND: u64 = 5_000;

/// Whose WAL is not in the repository; nothing if none is streamed.
fn wal(tenants: &[Tenant]) -> String {
    let streamed = tenants.iter().filter_map(|tenant| Some((tenant, tenant.wal_lag?)));
    let mut behind: Vec<_> = streamed.clone().filter(|(_, lag)| lag.ms >= BEHIND).collect();
    behind.sort_by_key(|(_, lag)| std::cmp::Reverse(lag.ms));
    let named = |(tenant, lag): &(&Tenant, WalLag)| format!("{}: {}", tenant.name, show::behind(lag));
    match (streamed.count(), behind.len()) {
        (0, _) => String::new(),
        (count, 0) => format!("nothing of the {count} that are streamed"),
        (_, 1..=3) => behind.iter().map(named).collect::<Vec<_>>().join("; "),
        (_, many) => format!("{many} tenants; the longest {}", named(&behind[0])),
    }
}

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
            let wal = wal(&status.tenants);
            let head = facts([
                ("control", format!("{} (version {})", context.url(), status.version)),
                ("workers", workers),
                ("runs", runs),
                ("not in the repository", wal),
            ]);
            format!("{head}\n{}", super::tenant::list::text(&status.tenants))
        })
    }
}

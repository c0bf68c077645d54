use clap::Args;
use model::run::{Priority, RunKind};
use protocol::api::{NewRun, NewRuns};
use serde_json::json;

use crate::context::Context;
use crate::failure::Failure;
use crate::follow::Wait;

/// Queue runs that do nothing, and see that a worker ends them
///
/// Proves that control, its database and a worker work together.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  heddle run probe demo\n  heddle run probe demo --count 100 --label gpu"
)]
pub struct Probe {
    /// The project they are queued in
    project: String,
    /// One of its environments
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// How many, up to 1,000
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
    /// How long each takes, in milliseconds
    #[arg(long, default_value_t = 0, value_name = "MS")]
    ms: u64,
    /// They fail, and are tried again until they are dead
    #[arg(long)]
    fail: bool,
    /// high, normal or low
    #[arg(long)]
    priority: Option<Priority>,
    /// Only on a worker that has this label; may be given several times
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    #[command(flatten)]
    wait: Wait,
}

impl Probe {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let api = context.api()?;
        let run = NewRun {
            project: self.project,
            environment: self.env,
            kind: RunKind::Probe,
            tenant: None,
            sha: None,
            git_ref: None,
            metadata: Some(json!({"ms": self.ms, "fail": self.fail})),
            idempotency_key: None,
            priority: self.priority,
            after: Vec::new(),
            labels: self.labels,
            attempts: None,
            deadline: None,
            unique_key: None,
            run_at: None,
        };
        let new = NewRuns { runs: vec![run; usize::from(self.count)] };
        let queued = api.queue_runs(&new).await?.runs;
        if !self.wait.wanted() {
            return context.output.result(&queued, |queued| {
                queued.iter().map(|run| format!("{}\n", run.id)).collect::<String>()
            });
        }
        let mut ended = Vec::with_capacity(queued.len());
        for run in &queued {
            ended.push(context.await_run(&api, run.id, "the probe").await?);
        }
        context.output.result(&ended, |ended| match &ended[..] {
            [one] => super::show::text(one),
            many => format!("{} probes have succeeded.\n", many.len()),
        })
    }
}

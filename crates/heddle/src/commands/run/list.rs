use clap::Args;
use jiff::Timestamp;
use model::run::RunState;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{or_dash, table};
use crate::time::{local, rough};

/// List runs, newest first
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  heddle run list --tenant acme\n  heddle run list --state failed")]
pub struct List {
    /// Only this tenant's
    #[arg(long)]
    tenant: Option<String>,
    /// Only those queued, running, succeeded, failed or cancelled
    #[arg(long)]
    state: Option<RunState>,
    /// At most so many
    #[arg(short = 'n', long, default_value_t = 30)]
    limit: u32,
}

impl List {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let state = self.state.map(RunState::as_str);
        let runs = context.api()?.runs(self.tenant.as_deref(), state, Some(self.limit)).await?;
        context.output.result(&runs, |runs| {
            let rows = runs.iter().map(|run| {
                let took = run
                    .started_at
                    .map(|start| rough(run.ended_at.unwrap_or_else(Timestamp::now).duration_since(start)));
                [
                    run.id.to_string(),
                    run.kind.to_string(),
                    or_dash(run.tenant.as_deref().or(run.project.as_deref())),
                    run.state.to_string(),
                    local(run.queued_at),
                    or_dash(took),
                    run.reason.clone().unwrap_or_default(),
                ]
            });
            table(["id", "kind", "of", "state", "queued", "took", "reason"], rows, "No such runs.")
        })
    }
}

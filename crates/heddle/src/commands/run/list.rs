use clap::Args;
use jiff::Timestamp;
use model::run::{RunKind, RunState};
use uuid::Uuid;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{or_dash, table};
use crate::time::{local, rough};

/// List runs, newest first
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  heddle run list --tenant acme\n  heddle run list --state failed\n  \
                            heddle run list --project demo --kind build -n 5"
)]
pub struct List {
    /// Only this tenant's
    #[arg(long)]
    tenant: Option<String>,
    /// Only this project's
    #[arg(long)]
    project: Option<String>,
    /// Only those of this kind, such as build, backup or probe
    #[arg(long)]
    kind: Option<RunKind>,
    /// Only those waiting, queued, running, succeeded, failed, cancelled or dead
    #[arg(long)]
    state: Option<RunState>,
    /// Go on after this run
    #[arg(long, value_name = "ID")]
    after: Option<Uuid>,
    /// At most so many
    #[arg(short = 'n', long, default_value_t = 30)]
    limit: u32,
}

impl List {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let filters = [
            ("tenant", self.tenant),
            ("project", self.project),
            ("kind", self.kind.map(|kind| kind.to_string())),
            ("state", self.state.map(|state| state.to_string())),
            ("after", self.after.map(|id| id.to_string())),
        ];
        let page = context.api()?.runs(&filters, self.limit).await?;
        if let Some(next) = &page.next {
            context.output.note(format!("There are more: go on with --after {next}"));
        }
        context.output.result(&page.items, |runs| {
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

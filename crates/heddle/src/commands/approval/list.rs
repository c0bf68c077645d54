use clap::Args;
use model::policy::ApprovalState;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::table;
use crate::time::local;

/// List what waits for an approval
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  heddle approval list\n  heddle approval list --project demo --all")]
pub struct List {
    /// Only this project's
    #[arg(long)]
    project: Option<String>,
    /// Also what is decided
    #[arg(long)]
    all: bool,
    /// At most so many
    #[arg(short = 'n', long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

impl List {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let state = (!self.all).then_some(ApprovalState::Pending);
        let approvals = context.api()?.approvals(self.project.as_deref(), state, self.limit).await?;
        context.output.result(&approvals, |approvals| {
            let rows = approvals.iter().map(|one| {
                [
                    one.id.to_string(),
                    one.environment.clone().unwrap_or_else(|| one.project.clone()),
                    one.summary.clone(),
                    one.requested_by.clone(),
                    one.state.to_string(),
                    super::waits_for(one),
                    local(one.expires_at),
                ]
            });
            let heading = ["id", "in", "what", "asked by", "state", "waits for", "until"];
            table(heading, rows, "Nothing waits for an approval.")
        })
    }
}

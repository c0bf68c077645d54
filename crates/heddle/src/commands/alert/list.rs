use clap::Args;
use model::alert::AlertState;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::table;
use crate::time::local;

/// List alerts that are not resolved, newest first
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  heddle alert list\n  heddle alert list --state resolved -n 20")]
pub struct List {
    /// Only those open, acknowledged or resolved
    #[arg(long)]
    state: Option<AlertState>,
    /// At most so many
    #[arg(short = 'n', long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

impl List {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let alerts = context.api()?.alerts(self.state.map(AlertState::as_str), self.limit).await?;
        context.output.result(&alerts, |alerts| {
            let rows = alerts.iter().map(|alert| {
                [
                    alert.id.to_string(),
                    alert.severity.to_string(),
                    alert.kind.to_string(),
                    alert.state.to_string(),
                    local(alert.opened_at),
                    alert.detail.clone(),
                ]
            });
            table(["id", "severity", "kind", "state", "opened", "detail"], rows, "No such alerts.")
        })
    }
}

use clap::Args;

use crate::context::Context;
use crate::failure::Failure;

/// Show the last lines of a tenant's log
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  heddle logs acme\n  heddle logs acme --cluster -n 20")]
pub struct Logs {
    /// Whose
    tenant: String,
    /// PostgreSQL's log instead of Odoo's
    #[arg(long)]
    cluster: bool,
    /// So many lines
    #[arg(short = 'n', long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    lines: u32,
}

impl Logs {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let log = context.api()?.tenant_log(&self.tenant, self.cluster, self.lines).await?;
        context.output.result(&log, |log| log.lines.join("\n"))
    }
}

use clap::Args;
use protocol::audit::AuditLine;
use serde::Serialize;

use super::each_part;
use crate::context::Context;
use crate::failure::Failure;

/// Write a project's sealed chain, or the heads of all, as lines of JSON
///
/// A chain is written with its signed head as the last line; `heddle audit
/// verify --file` checks it, anywhere. Heads are short: kept where nobody who
/// can reach Heddle's database can reach them, they show later whether a chain
/// was cut off or replaced.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  heddle audit export --project demo > demo.jsonl\n  \
        heddle audit export --heads > heads.jsonl")]
#[group(id = "of", required = true, multiple = true, args = ["project", "heads"])]
pub struct Export {
    /// Whose chain; `-` for what belongs to no project
    #[arg(long, allow_hyphen_values = true)]
    project: Option<String>,
    /// Only the heads; without --project, of every chain that you may read
    #[arg(long)]
    heads: bool,
}

impl Export {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let api = context.api()?;
        if self.heads {
            for chain in api.audit_chains().await?.items {
                let id = chain.head.project.map(|id| id.to_string());
                let wanted = self.project.as_ref().is_none_or(|project| {
                    [chain.name.as_ref(), id.as_ref()].contains(&Some(project))
                        || (project == "-" && id.is_none())
                });
                if wanted {
                    line(context, &chain.head)?;
                }
            }
            return Ok(());
        }
        let mut head = None;
        each_part(&api, self.project.as_deref().unwrap_or_default(), |blocks| {
            for sealed in blocks.items {
                head = Some(sealed.block.head.clone());
                line(context, &AuditLine::Block(sealed.block))?;
                for row in sealed.rows {
                    line(context, &AuditLine::Row(row))?;
                }
            }
            Ok(())
        })
        .await?;
        match head {
            Some(head) => line(context, &AuditLine::Head(head)),
            None => {
                context.output.note("Nothing is sealed yet.");
                Ok(())
            }
        }
    }
}

fn line(context: &Context, value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value)
        .map_err(|error| Failure::while_trying("write the result as JSON", &error))?;
    context.output.line(&text)
}

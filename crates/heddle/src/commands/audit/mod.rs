mod export;
mod list;
mod verify;

use std::path::Path;

use clap::Subcommand;
use protocol::audit::{AuditBlocks, AuditHead, AuditLine};
use serde_json::Value;

use crate::api::Api;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// What was changed, by whom, and whether that record is untouched
#[derive(Debug, Subcommand)]
pub enum Command {
    List(list::List),
    Verify(verify::Verify),
    Export(export::Export),
}

impl Command {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::List(command) => command.run(context).await,
            Self::Verify(command) => command.run(context).await,
            Self::Export(command) => command.run(context).await,
        }
    }
}

/// All parts of a chain, one after the other.
async fn each_part(
    api: &Api,
    project: &str,
    mut part: impl FnMut(AuditBlocks) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut after = 0;
    loop {
        let blocks = api.audit_blocks(project, after).await?;
        let more = blocks.more;
        // Without a block, a further part would be the same one.
        let Some(last) = blocks.items.last().map(|sealed| sealed.block.head.block) else {
            return part(blocks);
        };
        after = last;
        part(blocks)?;
        if !more {
            return Ok(());
        }
    }
}

/// The heads in a file: lines of `export --heads`, or the last one of an export.
fn heads(path: &Path) -> Result<Vec<AuditHead>, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::while_trying(format!("read {}", path.display()), &error))?;
    let mut heads = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let value: Value = serde_json::from_str(line).unwrap_or_default();
        if let Ok(head) = serde_json::from_value::<AuditHead>(value.clone()) {
            heads.push(head);
        } else if let Ok(AuditLine::Head(head)) = serde_json::from_value(value) {
            heads.push(head);
        }
    }
    if heads.is_empty() {
        let detail = format!("there is no head in {}", path.display());
        return Err(Failure::new(Exit::Refused, "no-head", detail)
            .hint("`heddle audit export --heads` writes them, and `heddle audit export` as its last line"));
    }
    Ok(heads)
}

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use clap::Args;
use control::{Verified, Verifier};
use protocol::audit::AuditHead;
use serde::Serialize;

use super::{each_part, heads};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Check that what was written down is as it was sealed
///
/// Every row against its hash, every hash against the one before it, and every
/// block's signature. Finds rows that were changed, removed, inserted or moved,
/// and names them. That a chain was cut off at its end, or replaced as a whole,
/// shows in comparison with a head that was kept elsewhere (--head); on control's
/// own machine, the heads in the data folder are compared with. Ends with 9 if
/// there are findings.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  heddle audit verify\n  \
        heddle audit verify --project demo --head heads.jsonl\n  \
        heddle audit verify --file demo.jsonl --key 3f0c…")]
pub struct Verify {
    /// Only this project's chain; `-` for what belongs to none
    #[arg(long, allow_hyphen_values = true, conflicts_with = "file")]
    project: Option<String>,
    /// A chain as `heddle audit export` wrote it; nothing else is needed for it
    #[arg(long)]
    file: Option<PathBuf>,
    /// Heads that were kept elsewhere: lines of `heddle audit export`
    #[arg(long, value_name = "FILE")]
    head: Option<PathBuf>,
    /// The public key that must have signed; may be given more than once
    #[arg(long, value_name = "HEX")]
    key: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Chain {
    name: String,
    #[serde(flatten)]
    verified: Verified,
}

impl Verify {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let kept = match &self.head {
            Some(path) => heads(path)?,
            None => Vec::new(),
        };
        let keys: Vec<String> = self.key.iter().map(|key| key.trim().to_lowercase()).collect();
        let chains = match &self.file {
            Some(path) => vec![of_file(path, &keys, &kept)?],
            None => self.of_control(context, keys, kept).await?,
        };
        context.output.result(&chains, |chains| text(chains))?;
        let findings: u64 = chains
            .iter()
            .map(|chain| chain.verified.findings.len() as u64 + chain.verified.more_findings)
            .sum();
        match findings {
            0 => Ok(()),
            count => Err(Failure::new(
                Exit::Findings,
                "findings",
                format!("the audit has {count} finding{}", if count == 1 { "" } else { "s" }),
            )
            .hint("somebody has changed Heddle's database past Heddle; keep a copy of it as it is")),
        }
    }

    async fn of_control(
        &self,
        context: &Context,
        mut keys: Vec<String>,
        mut kept: Vec<AuditHead>,
    ) -> Result<Vec<Chain>, Failure> {
        let api = context.api()?;
        let known = api.audit_chains().await?;
        if keys.is_empty() {
            keys.extend(known.key);
        }
        // Those that control itself keeps, where they can be read.
        if self.head.is_none() && context.settings.audit_heads().exists() {
            kept = heads(&context.settings.audit_heads()).unwrap_or_default();
        }
        let mut wanted: Vec<(String, Option<uuid::Uuid>)> = known
            .items
            .into_iter()
            .map(|chain| (chain.name.unwrap_or_else(|| "-".into()), chain.head.project))
            .collect();
        // A chain of which nothing is left is missed by its head.
        for head in &kept {
            if !wanted.iter().any(|(_, project)| *project == head.project) {
                wanted.push((head.project.map_or_else(|| "-".into(), |id| id.to_string()), head.project));
            }
        }
        if let Some(one) = &self.project {
            wanted.retain(|(name, project)| name == one || project.is_some_and(|id| id.to_string() == *one));
            if wanted.is_empty() {
                let detail = format!("no chain of {one} that you may read has been sealed");
                return Err(Failure::new(Exit::Refused, "not-found", detail).hint(
                    "whoever administers a project reads its chain; a new one is sealed within seconds",
                ));
            }
        }
        let mut chains = Vec::new();
        for (name, project) in wanted {
            let mut verifier = Verifier::new(project, &keys, &kept);
            let mut unsealed = 0;
            each_part(&api, &name, |blocks| {
                for sealed in &blocks.items {
                    verifier.block(&sealed.block, &sealed.rows);
                }
                verifier.strays(&blocks.strays);
                unsealed = blocks.unsealed;
                Ok(())
            })
            .await?;
            chains.push(Chain { name, verified: verifier.end(unsealed) });
        }
        Ok(chains)
    }
}

fn of_file(path: &Path, keys: &[String], kept: &[AuditHead]) -> Result<Chain, Failure> {
    let fault = |error: &std::io::Error| Failure::while_trying(format!("read {}", path.display()), error);
    let lines = BufReader::new(File::open(path).map_err(|error| fault(&error))?).lines();
    let verified = Verifier::export(lines, keys, kept).map_err(|error| fault(&error))?;
    Ok(Chain { name: path.display().to_string(), verified })
}

fn text(chains: &[Chain]) -> String {
    let mut text = String::new();
    for Chain { name, verified } in chains {
        let name = if name == "-" { "what belongs to no project" } else { name };
        for finding in &verified.findings {
            text += &format!("{name}: {finding}\n");
        }
        if verified.more_findings > 0 {
            text += &format!("{name}: and {} more\n", verified.more_findings);
        }
        let unsealed = match verified.unsealed {
            0 => String::new(),
            count => format!(", {count} not sealed yet"),
        };
        let sound = if verified.sound() { "sound" } else { "NOT sound" };
        text += &format!("{name}: {} rows in {} blocks{unsealed}: {sound}\n", verified.rows, verified.blocks);
    }
    let mut keys: Vec<_> = chains.iter().filter_map(|chain| chain.verified.key.as_deref()).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        text += &format!("Signed by {key}\n");
    }
    if text.is_empty() { "Nothing is sealed yet that you may read.\n".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_reads_well() {
        let verified = Verified { rows: 12, blocks: 2, key: Some("ab".into()), ..Verified::default() };
        let chain = |verified| vec![Chain { name: "demo".into(), verified }];
        assert_eq!(text(&chain(verified.clone())), "demo: 12 rows in 2 blocks: sound\nSigned by ab\n");
        let finding = control::Finding {
            kind: control::FindingKind::Changed,
            project: None,
            block: 2,
            row: Some(7),
            what: "it is not what was sealed".into(),
        };
        let text = text(&chain(Verified { findings: vec![finding], unsealed: 3, ..verified }));
        assert!(text.starts_with("demo: changed: row 7 in block 2: it is not what was sealed\n"), "{text}");
        assert!(text.contains("12 rows in 2 blocks, 3 not sealed yet: NOT sound"), "{text}");
    }
}

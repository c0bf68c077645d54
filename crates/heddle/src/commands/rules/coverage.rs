use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use copies::{Plan, PlanError};
use serde::Serialize;

use super::Look;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::table;

/// Show what would become of every column of a database
///
/// Reads the schema alone, and no rows but those that describe Odoo's fields.
/// Ends with 9 if no rule decides on some column.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  heddle rules coverage --database-file peek.url\n  \
        HEDDLE_RULES_DATABASE=postgresql:///acme heddle rules coverage --rules own.toml --all")]
pub struct Coverage {
    /// The project's own rules, which are asked first
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    #[command(flatten)]
    look: Look,
    /// Every column, not only how many there are of each kind
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Default, Serialize)]
struct Covered {
    tables: usize,
    columns: usize,
    /// Columns by what becomes of them.
    transforms: BTreeMap<String, usize>,
    /// Tables whose rows are left out, and why.
    left_out: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    all: Vec<Line>,
    unclassified: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Line {
    column: String,
    transform: String,
    why: String,
}

impl Coverage {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let rules = super::rules(self.rules.as_deref())?;
        let catalog = self.look.needed().await?;
        let mut covered = Covered { tables: catalog.tables.len(), ..Covered::default() };
        covered.columns = catalog.tables.iter().map(|table| table.columns.len()).sum();
        let mut hint = None;
        match Plan::make(&catalog, &rules) {
            Err(PlanError::Unclassified { columns }) => {
                hint = Some(PlanError::Unclassified { columns: columns.clone() }.hint());
                covered.unclassified = columns;
            }
            Err(error) => {
                return Err(Failure::new(Exit::Refused, "foreign", error.to_string()).hint(error.hint()));
            }
            Ok(plan) => {
                for table in plan.tables {
                    if let Some(why) = table.dropped {
                        covered.left_out.insert(table.table.label(), why);
                        continue;
                    }
                    for column in &table.columns {
                        let Some(arm) = column.arms.last() else { continue };
                        let transform = arm.transform.to_string();
                        let word = transform.split(' ').next().unwrap_or_default().to_owned();
                        *covered.transforms.entry(word).or_default() += 1;
                        if self.all {
                            let why = match arm.rule {
                                Some(rule) => format!("{} ({})", rules.get(rule).why, rules.get(rule).origin),
                                None => "what it leads to is left out".into(),
                            };
                            let column = format!("{}.{}", table.table.label(), column.name);
                            covered.all.push(Line { column, transform, why });
                        }
                    }
                }
            }
        }
        context.output.result(&covered, text)?;
        match covered.unclassified.len() {
            0 => Ok(()),
            count => Err(Failure::new(
                Exit::Findings,
                "unclassified",
                format!("no rule decides on {count} columns"),
            )
            .hint(hint.unwrap_or_default())),
        }
    }
}

fn text(covered: &Covered) -> String {
    let mut text = String::new();
    for column in &covered.unclassified {
        text += &format!("unclassified: {column}\n");
    }
    if !covered.all.is_empty() {
        let line = |line: &Line| [line.column.clone(), line.transform.clone(), line.why.clone()];
        text += &table(["column", "becomes", "why"], covered.all.iter().map(line), "");
        text.push('\n');
    }
    for (name, why) in &covered.left_out {
        text += &format!("left out: {name}: {why}\n");
    }
    let transforms = covered.transforms.iter().map(|(word, count)| [word.clone(), count.to_string()]);
    text += &table(["becomes", "columns"], transforms, "No column is decided on.");
    text += &format!(
        "{} tables, {} left out; {} columns, {} unclassified.\n",
        covered.tables,
        covered.left_out.len(),
        covered.columns,
        covered.unclassified.len()
    );
    text
}

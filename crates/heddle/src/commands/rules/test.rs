use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::Look;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Check a project's own rules
///
/// That they can be read and, with a database, that each decides on a column of
/// it. Ends with 9 if one decides on none: a misspelt rule hides nothing.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  heddle rules test own.toml\n  \
        heddle rules test own.toml --database-file peek.url --json")]
pub struct Test {
    /// The project's own rules
    #[arg(value_name = "FILE")]
    rules: PathBuf,
    #[command(flatten)]
    look: Look,
}

#[derive(Debug, Serialize)]
struct Tested {
    rules: usize,
    /// By rule, how many columns it decides on; None: no database was given.
    decides: Option<Vec<Decides>>,
}

#[derive(Debug, Serialize)]
struct Decides {
    origin: String,
    columns: usize,
}

impl Test {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let own = super::own(&self.rules)?;
        let mut tested = Tested { rules: own.len(), decides: None };
        if let Some(catalog) = self.look.catalog().await? {
            let mut counts = vec![0; own.len()];
            for table in &catalog.tables {
                for column in &table.columns {
                    own.of(table, column).iter().for_each(|found| counts[found.index] += 1);
                }
            }
            let origins = own.iter().map(|rule| rule.origin.clone());
            let decides = origins.zip(counts).map(|(origin, columns)| Decides { origin, columns });
            tested.decides = Some(decides.collect());
        }
        let idle = tested.decides.iter().flatten().filter(|rule| rule.columns == 0).count();
        context.output.result(&tested, text)?;
        match idle {
            0 => Ok(()),
            count => {
                Err(Failure::new(Exit::Findings, "idle-rules", format!("{count} rules decide on no column"))
                    .hint("compare their names with `heddle rules coverage --all`, or take them out"))
            }
        }
    }
}

fn text(tested: &Tested) -> String {
    let mut text = format!("{} rules are understood.\n", tested.rules);
    for rule in tested.decides.iter().flatten() {
        text += &format!("{}: {} columns\n", rule.origin, rule.columns);
    }
    text
}

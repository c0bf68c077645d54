use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{or_dash, table};
use crate::settings::{Shown, default_in_words};

/// Show every setting, its value and where it came from
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  heddle settings\n  heddle settings --docs")]
pub struct Settings {
    /// Say also what each setting means, and its environment variable
    #[arg(long)]
    docs: bool,
}

impl Settings {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let shown: Vec<_> = context.settings.shown().iter().map(row).collect();
        context.output.result(&shown, |shown| if self.docs { with_docs(shown) } else { plain(shown) })
    }
}

#[derive(Serialize)]
struct Row {
    setting: &'static str,
    /// None: unset. `(secret)` for a secret.
    value: Option<String>,
    from: String,
    variable: &'static str,
    default: String,
    doc: &'static str,
}

fn row(shown: &Shown) -> Row {
    Row {
        setting: shown.setting.key,
        value: shown.value.clone(),
        from: shown.source.to_string(),
        variable: shown.setting.env,
        default: default_in_words(&shown.setting),
        doc: shown.setting.doc,
    }
}

fn plain(rows: &[Row]) -> String {
    let rows = rows.iter().map(|row| [row.setting.to_owned(), or_dash(row.value.as_ref()), row.from.clone()]);
    table(["setting", "value", "from"], rows, "")
}

fn with_docs(rows: &[Row]) -> String {
    let blocks = rows.iter().map(|row| {
        let value = or_dash(row.value.as_ref());
        format!(
            "{} = {value}\n  {}\n  variable {}, default {}; now from: {}\n",
            row.setting, row.doc, row.variable, row.default, row.from
        )
    });
    blocks.collect::<Vec<_>>().join("\n")
}

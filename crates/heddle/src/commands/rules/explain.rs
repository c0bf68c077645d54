use std::path::PathBuf;

use clap::Args;
use copies::{Rules, Table};
use serde::Serialize;

use super::Look;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Say which rules decide on a column, and why
///
/// With a database, the column is looked at there; without one it is taken for
/// a column of --sort, of a field of --field.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  heddle rules explain res_partner.email\n  \
        heddle rules explain res_partner.x_passport --field char --rules own.toml\n  \
        HEDDLE_RULES_DATABASE=postgresql:///acme heddle rules explain sale_order.note")]
pub struct Explain {
    /// The table and the column, as in res_partner.email
    #[arg(value_name = "TABLE.COLUMN")]
    place: String,
    /// The project's own rules, which are asked first
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    #[command(flatten)]
    look: Look,
    /// The type, where there is no database: text, jsonb, int4, bytea and others of PostgreSQL's
    #[arg(long, default_value = "text", value_name = "TYPE")]
    sort: String,
    /// Odoo's type of the field, where there is no database: char, html, selection and others
    #[arg(long, value_name = "TYPE")]
    field: Option<String>,
}

#[derive(Debug, Serialize)]
struct Explained {
    table: String,
    column: String,
    sort: String,
    field: Option<String>,
    /// In the order in which they are asked; the last has no condition.
    rules: Vec<Decides>,
}

#[derive(Debug, Serialize)]
struct Decides {
    transform: String,
    when: Vec<String>,
    why: String,
    origin: String,
}

impl Explain {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let rules = super::rules(self.rules.as_deref())?;
        let Some((table, column)) = self.place.rsplit_once('.').filter(|(table, _)| !table.is_empty()) else {
            return Err(Failure::usage(format!("{:?} is no column", self.place))
                .hint("write it as TABLE.COLUMN, such as res_partner.email"));
        };
        let explained = match self.look.catalog().await? {
            Some(catalog) => {
                let refused = |what: String| {
                    Failure::new(Exit::Refused, "not-found", what)
                        .hint("`heddle rules coverage --all` lists all columns")
                };
                let found = catalog.table(table);
                let table = found.ok_or_else(|| refused(format!("the database holds no table {table}")))?;
                explain(&rules, table, column)
                    .ok_or_else(|| refused(format!("the table {} has no column {column}", table.label())))?
            }
            None => {
                let conditions = rules.conditions().filter(|name| *name != column).map(|name| (name, "text"));
                let mut columns: Vec<(&str, &str)> = conditions.collect();
                columns.push((column, &self.sort));
                let mut supposed = Table::sample(table, &columns);
                if let Some(last) = supposed.columns.last_mut() {
                    last.field = self.field;
                }
                explain(&rules, &supposed, column).ok_or_else(|| Failure::usage("no column is named"))?
            }
        };
        let decided = explained.rules.last().is_some_and(|rule| rule.when.is_empty());
        context.output.result(&explained, text)?;
        if decided {
            return Ok(());
        }
        Err(Failure::new(Exit::Findings, "unclassified", format!("no rule decides on {}", self.place))
            .hint("a copy is refused until the project's rules say what becomes of it"))
    }
}

fn explain(rules: &Rules, table: &Table, column: &str) -> Option<Explained> {
    let column = &table.columns[table.column(column)?];
    let decides = |found: copies::rules::Match<'_>| Decides {
        transform: found.rule.transform.to_string(),
        when: found.rule.when.iter().map(|(name, patterns)| format!("{name} is {patterns}")).collect(),
        why: found.rule.why.clone(),
        origin: found.rule.origin.clone(),
    };
    Some(Explained {
        table: table.label(),
        column: column.name.clone(),
        sort: column.sort.word().to_owned(),
        field: column.field.clone(),
        rules: rules.of(table, column).into_iter().map(decides).collect(),
    })
}

fn text(explained: &Explained) -> String {
    let mut text = format!("{}.{}, {}", explained.table, explained.column, explained.sort);
    if let Some(field) = &explained.field {
        text += &format!(" ({field} in Odoo)");
    }
    text += "\n";
    for rule in &explained.rules {
        let when = match rule.when.as_slice() {
            [] => String::new(),
            when => format!(" where {}", when.join(" and ")),
        };
        text += &format!("  {}{when}: {} ({})\n", rule.transform, rule.why, rule.origin);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_reads_well() {
        let table = Table::sample("ir_config_parameter", &[("key", "text"), ("value", "text")]);
        let text = text(&explain(&Rules::shipped(), &table, "value").unwrap());
        assert!(text.starts_with("ir_config_parameter.value, text\n  null where key is "), "{text}");
        assert!(text.contains("\n  empty: a parameter that is not known (base.toml:"), "{text}");
        assert!(explain(&Rules::shipped(), &table, "nonsuch").is_none());
    }
}

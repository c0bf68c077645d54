use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use protocol::audit::AuditRow;
use serde_json::Value;

use crate::api::AuditFilter;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::table;
use crate::time::{When, local};

/// Characters of a change that the table shows.
const LONGEST: usize = 100;

/// List changes of state, newest first
///
/// Of the projects that you administer: who made them, from where and through
/// what, and the run that led to them.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  heddle audit list --project demo --since '1h ago'\n  \
        heddle audit list --subject acme\n  heddle audit list --act refused --json")]
pub struct List {
    /// Only this project's; `-` for what belongs to none
    #[arg(long, allow_hyphen_values = true)]
    project: Option<String>,
    /// Only this act, such as `tenants.changed`, or all of one table, such as `tenants`
    #[arg(long)]
    act: Option<String>,
    /// Only what is about this: a tenant's name, or the id of anything
    #[arg(long, value_name = "TENANT|ID")]
    subject: Option<String>,
    /// Only what was done since this time, such as `-90s`, `1h ago` or `2026-11-21 11:35:51`
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<When>,
    /// At most so many, up to 1,000
    #[arg(short = 'n', long, default_value_t = 30)]
    limit: u32,
}

impl List {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let since =
            self.since.map(|since| since.resolve(Timestamp::now(), &TimeZone::system())).transpose()?;
        let filter = AuditFilter {
            project: self.project,
            act: self.act,
            subject: self.subject,
            since,
            limit: self.limit,
        };
        let rows = context.api()?.audit(&filter).await?;
        context.output.result(&rows, |rows| {
            let rows = rows.iter().map(|row| {
                let from =
                    row.address.as_deref().map(|address| format!(" from {address}")).unwrap_or_default();
                [
                    row.id.to_string(),
                    local(row.at),
                    format!("{}{from}", row.actor_name.as_deref().unwrap_or(&row.actor)),
                    row.via.clone(),
                    row.project_name.clone().unwrap_or_else(|| "-".into()),
                    row.act.clone(),
                    subject(row),
                    what(&row.detail),
                ]
            });
            let heading = ["id", "at", "who", "through", "project", "act", "of", "what"];
            table(heading, rows, "Nothing of that was written down.")
        })
    }
}

fn subject(row: &AuditRow) -> String {
    match row.subjects.as_slice() {
        [] => "-".into(),
        [one] => one.to_string(),
        [one, others @ ..] if row.act.starts_with("runs.") => format!("{one} and {} more", others.len()),
        [one, ..] => one.to_string(),
    }
}

/// `state queued → running, password_hash changed`
fn what(detail: &Value) -> String {
    let plain = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".into(),
        other => other.to_string(),
    };
    let Value::Object(members) = detail else { return plain(detail) };
    let told = members.iter().map(|(name, value)| match value {
        Value::Array(pair) if pair.len() == 2 => format!("{name} {} → {}", plain(&pair[0]), plain(&pair[1])),
        value => format!("{name} {}", plain(value)),
    });
    let text = told.collect::<Vec<_>>().join(", ");
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_read_well() {
        let detail =
            json!({"password_hash": "changed", "role": ["tester", "admin"], "gone_at": [null, "now"]});
        assert_eq!(what(&detail), "gone_at none → now, password_hash changed, role tester → admin");
        assert_eq!(what(&json!({"name": "é".repeat(200)})).chars().count(), LONGEST + 1);
        assert_eq!(what(&json!({})), "");
    }
}

mod machine;
mod place;

pub use self::place::closed_ancestor;

use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Check this machine: what is missing, and how to get it
///
/// Changes nothing. Ends with 0 unless something would keep Heddle from working.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  heddle doctor\n  heddle doctor --data /srv/heddle --json")]
pub struct Doctor {}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    /// It works, but not as well or as safely as it could.
    Warning,
    /// Heddle cannot work like this.
    Problem,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "PROBLEM",
        }
    }
}

#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    state: State,
    detail: String,
    /// What to do about it.
    fix: Option<String>,
}

impl Check {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, state: State::Ok, detail: detail.into(), fix: None }
    }

    fn warning(name: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, state: State::Warning, detail: detail.into(), fix: Some(fix.into()) }
    }

    fn problem(name: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, state: State::Problem, detail: detail.into(), fix: Some(fix.into()) }
    }
}

impl Doctor {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let settings = &context.settings;
        let mut checks = vec![
            machine::postgresql(settings.postgres_bin.as_deref()),
            machine::python(),
            machine::user(settings.service_user.as_deref()),
            machine::isolation(),
            machine::open_files(),
            machine::clock(),
        ];
        checks.extend(place::checks(settings));
        context.output.result(&checks, |checks| text(checks))?;
        let problems = checks.iter().filter(|check| check.state == State::Problem).count();
        if problems == 0 {
            return Ok(());
        }
        let what =
            if problems == 1 { "1 problem was".to_owned() } else { format!("{problems} problems were") };
        Err(Failure::new(Exit::Failed, "problems-found", format!("{what} found"))
            .hint("each has its remedy above; run `heddle doctor` again afterwards"))
    }
}

fn text(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for check in checks {
        text += &format!("{:<7}  {:<width$}  {}\n", check.state.word(), check.name, check.detail);
        if let Some(fix) = &check.fix {
            text += &format!("{:<7}  {:<width$}  -> {fix}\n", "", "");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_the_remedy() {
        let checks = [Check::ok("clock", "synchronised"), Check::problem("disk space", "full", "make room")];
        assert_eq!(
            text(&checks),
            "ok       clock       synchronised\n\
             PROBLEM  disk space  full\n         \
                                  -> make room\n"
                .replace("\n         ->", "\n                     ->")
        );
    }
}

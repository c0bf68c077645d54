//! Statements in a stopped cluster, with nobody else there: the way into a
//! cluster whose passwords are not yet its own.

use std::path::Path;

use crate::tool::{Tool, ToolError};
use crate::{Binaries, OsUser};

#[derive(Debug, thiserror::Error)]
pub enum SingleUserError {
    #[error("statement {0} holds a semicolon followed by two line ends, or a NUL byte")]
    Ambiguous(usize),
    #[error("run postgres in single-user mode")]
    Tool(#[from] ToolError),
    /// The server's line; never a statement's text, which may hold a secret.
    #[error("PostgreSQL refused a statement: {0}")]
    Refused(String),
    #[error("postgres in single-user mode ended with {status}: {last}")]
    Ended { status: String, last: String },
}

/// What ends a statement in `postgres --single -j`.
const TERMINATOR: &str = ";\n\n";

/// Runs the statements in `database` of a stopped cluster, each in a transaction
/// of its own, as superuser. It stops at the first one that fails; those before
/// it stay done. They reach the server through a pipe, not through arguments
/// that others can read.
///
/// The cluster's files must be `as_user`'s (None: this process's own): unlike a
/// server, single-user mode refuses a user without a passwd entry.
pub fn single_user(
    bin: &Binaries,
    data_dir: &Path,
    as_user: Option<&OsUser>,
    database: &str,
    statements: &[String],
) -> Result<(), SingleUserError> {
    let script = script(statements)?;
    let written = Tool::new(&bin.program("postgres"), as_user.map(OsUser::identity))
        .arg("--single")
        .arg("-j")
        .arg("-D")
        .arg(data_dir)
        // Otherwise it goes on with the next statement, and ends well.
        .arg("-c")
        .arg("exit_on_error=on")
        .arg("-c")
        .arg("log_min_messages=warning")
        .arg("-c")
        .arg("log_min_error_statement=panic")
        .arg("-c")
        .arg("log_error_verbosity=terse")
        .arg("-c")
        .arg("lc_messages=C")
        .arg("-c")
        .arg("log_destination=stderr")
        .arg("-c")
        .arg("logging_collector=off")
        .arg(database)
        .run(script.as_bytes())?;
    for line in written.stderr.lines() {
        let refused = ["ERROR:  ", "FATAL:  ", "PANIC:  "]
            .iter()
            .find_map(|severity| line.find(severity).map(|at| &line[at..]));
        if let Some(line) = refused {
            return Err(SingleUserError::Refused(without_secrets(line, statements)));
        }
    }
    if !written.status.success() {
        let last = written.stderr.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no message");
        let last = without_secrets(last, statements);
        return Err(SingleUserError::Ended { status: written.status.to_string(), last });
    }
    Ok(())
}

fn script(statements: &[String]) -> Result<String, SingleUserError> {
    let mut script = String::new();
    for (index, statement) in statements.iter().enumerate() {
        let statement = statement.trim_end().trim_end_matches(';');
        if statement.contains(TERMINATOR) || statement.contains('\0') {
            return Err(SingleUserError::Ambiguous(index + 1));
        }
        script.push_str(statement);
        script.push_str(TERMINATOR);
    }
    Ok(script)
}

/// The server quotes pieces of a statement in some messages.
fn without_secrets(line: &str, statements: &[String]) -> String {
    let mut line = line.split(" at or near ").next().unwrap_or(line).to_owned();
    for statement in statements {
        for literal in statement.split('\'').skip(1).step_by(2).filter(|literal| literal.len() >= 6) {
            line = line.replace(literal, "…");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_ended_once() {
        let statements = ["SELECT 1".to_owned(), "DO $$ BEGIN;\nEND $$;\n".to_owned()];
        assert_eq!(script(&statements).unwrap(), "SELECT 1;\n\nDO $$ BEGIN;\nEND $$;\n\n");
        let bad = ["SELECT 1".to_owned(), "SELECT ';\n\n'".to_owned()];
        assert!(matches!(script(&bad), Err(SingleUserError::Ambiguous(2))));
    }

    #[test]
    fn secrets_do_not_come_back_in_errors() {
        let statements = ["ALTER ROLE odoo PASSWORD 'SCRAM-SHA-256$4096:x'".to_owned()];
        assert_eq!(
            without_secrets("ERROR:  bad \"SCRAM-SHA-256$4096:x\" there", &statements),
            "ERROR:  bad \"…\" there"
        );
        assert_eq!(
            without_secrets("ERROR:  syntax error at or near \"SCRAM\"", &statements),
            "ERROR:  syntax error"
        );
    }
}

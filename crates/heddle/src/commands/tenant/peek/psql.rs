//! psql on a peek. The password reaches it in a file of its own that only its
//! user can read, never in its arguments or its environment.

use std::io::{ErrorKind, Write};
use std::process::ExitStatus;

use protocol::api::CreatedPeek;
use tempfile::NamedTempFile;
use tokio::process::Command;

use crate::exit::Exit;
use crate::failure::Failure;

pub async fn run(made: &CreatedPeek, arguments: Vec<String>) -> Result<(), Failure> {
    let peek = &made.peek;
    let (Some(host), Some(port)) = (&peek.host, peek.port) else {
        let reason = peek.reason.as_deref().unwrap_or("it is not open");
        return Err(Failure::new(Exit::Failed, "not-open", format!("the peek is {}: {reason}", peek.state)));
    };
    // Made with mode 0600, and gone with the value.
    let mut file = NamedTempFile::with_prefix("heddle-peek-")
        .map_err(|error| Failure::while_trying("make a file for the password", &error))?;
    writeln!(file, "{host}:{port}:{}:{}:{}", peek.database, peek.user, made.password)
        .map_err(|error| Failure::while_trying("write the password for psql", &error))?;
    let mut psql = Command::new("psql");
    psql.args(arguments)
        .env("PGHOST", host)
        .env("PGPORT", port.to_string())
        .env("PGDATABASE", &peek.database)
        .env("PGUSER", &peek.user)
        .env("PGPASSFILE", file.path())
        .env_remove("PGPASSWORD")
        .env_remove("PGSERVICE")
        .env_remove("PGHOSTADDR");
    // Ctrl-C is psql's: it ends a query there, and not this.
    let mut interrupts = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())
        .map_err(|error| Failure::while_trying("listen for Ctrl-C", &error))?;
    let mut child = psql.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::new(Exit::Failed, "no-psql", "psql is not installed here")
            .hint("install postgresql-client, or leave out --psql and connect with something else"),
        _ => Failure::while_trying("start psql", &error),
    })?;
    let status = loop {
        tokio::select! {
            ended = child.wait() => break ended,
            _ = interrupts.recv() => {}
        }
    };
    let status = status.map_err(|error| Failure::while_trying("wait for psql", &error))?;
    match status.success() {
        true => Ok(()),
        false => Err(Failure::new(Exit::Failed, "psql", format!("psql ended with {}", said(status)))),
    }
}

fn said(status: ExitStatus) -> String {
    status.code().map_or_else(|| "a signal".to_owned(), |code| code.to_string())
}

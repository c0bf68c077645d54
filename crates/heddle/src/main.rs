//! `heddle`: the command line and, as subcommands, the roles.

mod api;
mod cli;
mod commands;
mod context;
mod credentials;
mod data;
mod exit;
mod failure;
mod follow;
mod named;
mod output;
mod ports;
#[cfg(test)]
mod reference;
mod repository;
mod role;
mod secrets;
mod settings;
mod terminal;
mod time;
mod up;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::cli::{Cli, Command};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

fn main() -> ExitCode {
    // Forks, and is there for as long as the program it guards: nothing else of
    // this binary may have been started before.
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|command| command == "shim")
        && let Some(folder) = arguments.next().filter(|_| arguments.next().is_none())
        && !folder.as_encoded_bytes().starts_with(b"-")
    {
        return runtime::shim::main(Path::new(&folder));
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // PostgreSQL takes a small code for "not in the archive", and ends a
        // recovery early.
        Err(_) if is_wal_fetch() => return ExitCode::from(archive::client::BROKEN_OFF),
        Err(error) => return misunderstood(&error),
    };
    if let Command::Wal(command) = &cli.command {
        return command.run();
    }
    let json = cli.global.json;
    match run(cli) {
        Ok(()) => Exit::Ok.into(),
        Err(failure) => {
            eprint!("{}", failure.render(json));
            failure.exit.into()
        }
    }
}

fn is_wal_fetch() -> bool {
    std::env::args_os().skip(1).take(2).eq(["wal", "fetch"])
}

fn run(cli: Cli) -> Result<(), Failure> {
    let context = Context::new(&cli.global)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::while_trying("start", &error))?;
    runtime.block_on(cli.command.run(&context))
}

/// Help and version are no errors. Errors are in clap's words, which are ours:
/// `error: …`, and what to do.
fn misunderstood(error: &clap::Error) -> ExitCode {
    let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if !asked && std::env::args().any(|argument| argument == "--json") {
        let text = error.render().to_string();
        let (detail, rest) = text.trim_start_matches("error: ").split_once("\n\n").unwrap_or((&text, ""));
        let mut failure = Failure::usage(detail.trim());
        failure.hint = Some(rest.trim().replace('\n', " ")).filter(|hint| !hint.is_empty());
        eprint!("{}", failure.render(true));
        return Exit::Usage.into();
    }
    let _ = error.print();
    if asked { Exit::Ok.into() } else { Exit::Usage.into() }
}

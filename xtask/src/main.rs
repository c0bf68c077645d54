//! The project's own chores: `cargo xtask tidy`, `cargo xtask generate`.

mod tidy;

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

fn main() -> ExitCode {
    let task = std::env::args().nth(1);
    let done = match task.as_deref() {
        Some("tidy") => tidy(),
        Some("generate") => generate(),
        _ => {
            eprintln!(
                "cargo xtask tidy      check the arrows between crates and where nouns may stand\n\
                 cargo xtask generate  write the reference pages that come from the code"
            );
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

fn tidy() -> Result<()> {
    let report = tidy::check(root())?;
    for warning in &report.warnings {
        eprintln!("warning: {warning}");
    }
    for error in &report.errors {
        eprintln!("error: {error}");
    }
    if !report.errors.is_empty() {
        bail!("{} rules are broken; xtask/src/tidy.rs says which ones there are", report.errors.len());
    }
    println!("tidy: {} files in {} crates are in order", report.files, report.crates);
    Ok(())
}

/// The pages are compared by tests of the crates that they describe; with
/// UPDATE set, these write them.
fn generate() -> Result<()> {
    let status = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["test", "--quiet", "-p", "heddle", "-p", "web", "--", "the_reference", "the_document"])
        .env("UPDATE", "1")
        .status()
        .context("run cargo test")?;
    if !status.success() {
        bail!("the tests that write the pages failed");
    }
    Ok(())
}

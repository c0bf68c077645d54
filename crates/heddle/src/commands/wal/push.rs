use std::path::PathBuf;
use std::process::ExitCode;

use archive::client;
use clap::Args;

/// Archive a WAL file: PostgreSQL's archive_command
///
/// Ends with 0 once the file is durable in the repository.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  \
    archive_command = 'heddle wal push --socket /run/heddle/a/0123.sock \"%p\"'")]
pub struct Push {
    /// The archive service's socket for this cluster
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// The file, as PostgreSQL names it (%p)
    path: PathBuf,
}

impl Push {
    pub fn run(&self) -> ExitCode {
        match client::push(&self.socket, &self.path) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                super::complain(&format!("archive {}", self.path.display()), &error);
                ExitCode::FAILURE
            }
        }
    }
}

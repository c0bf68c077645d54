use std::path::PathBuf;
use std::process::ExitCode;

use archive::client::{self, Fetched};
use clap::Args;

/// Fetch a WAL file from the archive: PostgreSQL's restore_command
///
/// Ends with 0 when it was fetched, 1 when there is no such file, 126 when that
/// cannot be told.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  \
    restore_command = 'heddle wal fetch --socket /run/heddle/a/0123.sock \"%f\" \"%p\"'")]
pub struct Fetch {
    /// The archive service's socket for this cluster
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// The file's name (%f)
    name: String,
    /// Where to put it (%p)
    path: PathBuf,
}

impl Fetch {
    pub fn run(&self) -> ExitCode {
        // A panic's code would read as "no such file" as well.
        let fetched = std::panic::catch_unwind(|| client::fetch(&self.socket, &self.name, &self.path));
        let Ok(fetched) = fetched else { return client::BROKEN_OFF.into() };
        if let Err(error) = &fetched {
            super::complain(&format!("fetch {}", self.name), error);
        }
        Fetched::exit_code(&fetched).into()
    }
}

//! `archive-wal push SOCKET PATH` and `archive-wal fetch SOCKET NAME DEST`.

use std::path::Path;
use std::process::ExitCode;

use archive::client::{self, Fetched};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["push", socket, path] => match client::push(Path::new(socket), Path::new(path)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
        ["fetch", socket, name, dest] => {
            let fetched = client::fetch(Path::new(socket), name, Path::new(dest));
            if let Err(error) = &fetched {
                eprintln!("{error}");
            }
            ExitCode::from(Fetched::exit_code(&fetched))
        }
        _ => ExitCode::from(2),
    }
}

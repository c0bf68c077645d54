//! The shim as a program for the tests: `shim <folder>`; and `start <programs folder>`,
//! which starts the spec on its standard input, says so, and then waits to be killed.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use runtime::{Driver, ProcessDriver};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "shim", dir] => runtime::shim::main(Path::new(dir)),
        [_, "start", programs] => start(programs.into()),
        _ => ExitCode::FAILURE,
    }
}

fn start(programs: PathBuf) -> ExitCode {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).expect("read the spec");
    let spec = serde_json::from_str(&text).expect("parse the spec");
    let shim = std::env::current_exe().expect("find this program");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("start tokio");
    runtime.block_on(async {
        ProcessDriver::new(programs, shim).start(&spec).await.expect("start the program");
        println!("started");
        std::future::pending::<()>().await;
    });
    ExitCode::SUCCESS
}

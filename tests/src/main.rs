//! `make demo`, `make check-odoo`, and the benchmarks.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Args, Parser};
use walk::house::{House, MODULES};
use walk::platform::Platform;
use walk::queue::Part;
use walk::repository::{self, Scale};

#[derive(Parser)]
#[command(about = "Hosts two tenants of a real Odoo with Heddle, and walks through what it does")]
enum Cli {
    /// Host two tenants until Ctrl-C, or with --exit walk through it all and end
    Demo {
        #[command(flatten)]
        with: With,
        /// Everything of the platform is kept here, for the next time
        #[arg(long)]
        data: PathBuf,
        #[arg(long)]
        exit: bool,
    },
    /// Walk through it all with an Odoo of your own, in a folder that is removed
    CheckOdoo {
        #[command(flatten)]
        with: With,
        /// What the tenants start with
        #[arg(long, default_value = MODULES)]
        modules: String,
    },
    /// Walk through the console alone in a browser, in a folder that is removed;
    /// with HEDDLE_TEST_PICTURES set to a folder, keep pictures of its pages there
    Console {
        #[command(flatten)]
        with: With,
    },
    /// Measure a tenant's life, in a folder that is removed
    Bench {
        #[command(flatten)]
        with: With,
        /// How often each thing is measured
        #[arg(long, default_value_t = 7)]
        rounds: usize,
    },
    /// Measure the archive beside pgBackRest, in a folder that is removed
    BenchArchive {
        #[command(flatten)]
        with: With,
        /// Few and small tenants, and few rounds: for those who work on it
        #[arg(long)]
        quick: bool,
        /// Only these parts
        #[arg(long, value_delimiter = ',')]
        only: Vec<repository::Part>,
    },
    /// Measure the queue beside Graphile Worker, in a folder that is removed
    BenchQueue {
        /// The heddle binary
        #[arg(long)]
        heddle: PathBuf,
        /// The folder with Graphile Worker and its worker.mjs
        #[arg(long)]
        graphile: PathBuf,
        /// Only these parts
        #[arg(long, value_delimiter = ',')]
        only: Vec<Part>,
    },
}

#[derive(Args)]
struct With {
    /// The heddle binary
    #[arg(long)]
    heddle: PathBuf,
    /// An Odoo source tree, or a virtual environment with Odoo in it
    #[arg(long)]
    odoo: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    match Cli::parse() {
        Cli::Demo { with, data, exit } => demo(&with, &std::path::absolute(data)?, exit).await,
        Cli::CheckOdoo { with, modules } => {
            let scratch = Scratch::new("check-odoo")?;
            check_odoo(&with, scratch.data(), &modules).await?;
            scratch.remove()
        }
        Cli::Console { with } => {
            let scratch = Scratch::new("console")?;
            let platform = Platform::start(&with.heddle, scratch.data(), &[]).await?;
            let password = platform.one_time_password.clone().context("a one-time password")?;
            let mut house = House::move_in(platform, &with.odoo, None, MODULES).await?;
            house.tenant("acme").await?;
            let checks = walk::console::console_tour(&house.platform, &password, "acme").await?;
            println!("{checks} checks in a browser");
            house.platform.stop().await?;
            scratch.remove()
        }
        Cli::Bench { with, rounds } => {
            let scratch = Scratch::new("bench")?;
            let platform = Platform::start(&with.heddle, scratch.data(), &[]).await?;
            let house = House::move_in(platform, &with.odoo, None, MODULES).await?;
            let met = walk::bench::host(&with.heddle, house, rounds).await?;
            scratch.remove()?;
            anyhow::ensure!(met, "a gate was missed");
            Ok(())
        }
        Cli::BenchArchive { with, quick, only } => {
            let scale = if quick { Scale::quick() } else { Scale::whole() }?;
            let scratch = Scratch::new("bench")?;
            let top = scratch.data().parent().context("the scratch folder")?;
            let met = repository::run(&with.heddle, &with.odoo, top, scale, &only).await?;
            scratch.remove()?;
            anyhow::ensure!(met, "a gate was missed");
            Ok(())
        }
        Cli::BenchQueue { heddle, graphile, only } => {
            let scratch = Scratch::new("bench")?;
            let top = scratch.data().parent().context("the scratch folder")?;
            let met = walk::queue::run(&heddle, &graphile, top, &only).await?;
            scratch.remove()?;
            anyhow::ensure!(met, "a gate was missed");
            Ok(())
        }
    }
}

async fn demo(with: &With, data: &Path, exit: bool) -> Result<()> {
    walk::walk::check_folder(data)?;
    let began = Instant::now();
    println!("Starting Heddle in {} (the first time, Odoo is initialised: about a minute)", data.display());
    let platform = Platform::start(&with.heddle, data, &[]).await?;
    let mut house = House::move_in(platform, &with.odoo, None, MODULES).await?;
    if exit {
        walk::walk::walk(&mut house).await?;
        let stopping = Instant::now();
        house.platform.stop().await?;
        println!("\nStopped in {:.1} s; no process, port or lock is left.", stopping.elapsed().as_secs_f64());
        println!("All of it held, in {:.0} s.", began.elapsed().as_secs_f64());
        return Ok(());
    }
    for tenant in ["acme", "globex"] {
        house.tenant(tenant).await?;
    }
    println!("{}", walk::walk::welcome(&house)?);
    tokio::signal::ctrl_c().await.context("wait for Ctrl-C")?;
    println!("\nStopping; requests under way end first.");
    house.platform.stop().await?;
    println!("Nothing is left running. `make demo` starts it again in seconds.");
    Ok(())
}

async fn check_odoo(with: &With, data: &Path, modules: &str) -> Result<()> {
    let platform = Platform::start(&with.heddle, data, &[]).await?;
    println!("Initialising a template of {} with {modules}", with.odoo.display());
    let began = Instant::now();
    let mut house = House::move_in(platform, &with.odoo, None, modules).await?;
    let builds = house.platform.heddle(&["build", "list"]).await?;
    let version = builds.pointer("/0/odoo_version").or(builds.pointer("/items/0/odoo_version"));
    println!(
        "Odoo {} in {:.0} s",
        version.and_then(|v| v.as_str()).unwrap_or("?"),
        began.elapsed().as_secs_f64()
    );
    walk::walk::walk(&mut house).await?;
    walk::live::check(&house, "acme").await?;
    house.platform.stop().await
}

/// A data folder for once.
struct Scratch {
    folder: tempfile::TempDir,
    data: PathBuf,
}

impl Scratch {
    fn new(what: &str) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("heddle-{what}-"))
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o711))
            .tempdir_in("/var/tmp")
            .context("make a folder")?;
        let data = folder.path().join("data");
        Ok(Self { folder, data })
    }

    fn data(&self) -> &Path {
        &self.data
    }

    fn remove(self) -> Result<()> {
        self.folder.close().context("remove the folder")
    }
}

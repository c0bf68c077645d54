use std::time::Duration;

use clap::{Args, Subcommand};
use daemon::shutdown::Shutdown;
use model::run::WorkerKind;
use protocol::client::{Client, Key};

use crate::context::Context;
use crate::data::Data;
use crate::failure::Failure;
use crate::repository;
use crate::role::{self, Parent};
use crate::secrets::Secrets;

/// An earlier worker of the same data folder may still be ending its step.
const PATIENCE: Duration = Duration::from_secs(90);

/// Run a worker: it claims runs, and keeps tenants' programs running
///
/// `heddle up` runs it. Tenants' programs outlive it; the next one takes them
/// over. There is one worker for a data folder at a time.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  heddle worker --data /srv/heddle\n  heddle worker --kinds build,test --labels gpu",
    args_conflicts_with_subcommands = true
)]
pub struct WorkerCommand {
    /// What it is made for: build, deploy, backup, test [default: all]
    #[arg(long, value_delimiter = ',', value_name = "KIND,…")]
    kinds: Vec<WorkerKind>,
    /// What it has that a run may need
    #[arg(long, value_delimiter = ',', value_name = "LABEL,…")]
    labels: Vec<String>,
    #[command(flatten)]
    parent: Parent,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Drain(Drain),
}

/// Let a worker end what it has, and give it nothing more
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  heddle worker drain local\n  heddle worker drain local --off")]
pub struct Drain {
    /// Its name, as `heddle status` shows it
    name: String,
    /// It takes runs again
    #[arg(long)]
    off: bool,
}

impl Drain {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let drained = context.api()?.drain_worker(&self.name, !self.off).await?;
        let name = self.name;
        context.output.result(&drained, |drained| match drained.drain {
            true => {
                format!("{name} takes nothing more; `heddle status` shows when it has ended what it has.\n")
            }
            false => format!("{name} takes runs again.\n"),
        })
    }
}

impl WorkerCommand {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        if let Some(Command::Drain(drain)) = self.command {
            return drain.run(context).await;
        }
        let stop = role::start("worker", self.parent, context)?;
        let settings = &context.settings;
        let data = Data::new(&settings.data);
        let _lock = data.lock_worker(PATIENCE).await?;
        let key = Secrets::new(data.path()).platform_key()?;
        let config = worker::Config {
            data: settings.data.clone(),
            run_dir: settings.run_dir.clone(),
            repository: settings.repository.clone(),
            keys: repository::keys(settings),
            control: Client::new(&context.url(), Key::new(key)),
            name: settings.worker_name.clone(),
            kinds: self.kinds,
            labels: self.labels,
            identity_base: settings.identity_base,
            service_user: settings.service_user.clone(),
            postgres_bin: settings.postgres_bin.clone(),
            odoo_workers: settings.odoo_workers,
            peeks: settings.worker_peeks,
            stream: settings.wal_stream,
            heddle: data.heddle(),
        };
        let shutdown = Shutdown::new();
        let begun = shutdown.clone();
        tokio::spawn(async move {
            stop.cancelled().await;
            begun.begin();
        });
        Ok(worker::run(config, shutdown).await?)
    }
}

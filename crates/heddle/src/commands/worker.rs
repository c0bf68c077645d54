use std::time::Duration;

use clap::Args;
use daemon::shutdown::Shutdown;
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
#[command(after_long_help = "Example:\n  heddle worker --data /srv/heddle")]
pub struct WorkerCommand {
    #[command(flatten)]
    parent: Parent,
}

impl WorkerCommand {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
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
            identity_base: settings.identity_base,
            service_user: settings.service_user.clone(),
            postgres_bin: settings.postgres_bin.clone(),
            odoo_workers: settings.odoo_workers,
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

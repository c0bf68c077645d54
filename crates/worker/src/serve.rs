//! A tenant's Odoo on this host.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::path::PathBuf;
use std::time::Duration;

use model::program::{Identity, ProgramState};
use model::tenant::Serving;
use odoo::config::TenantConfig;
use odoo::programs::Launch;
use protocol::internal::{ObservedTenant, TenantWork};
use serde::{Deserialize, Serialize};

use crate::cell::Cell;
use crate::failure::{Doing, Failure};
use crate::host::{Host, blocking, database};
use crate::layout::odoo_program;
use crate::ports;
use crate::secrets::Secrets;

/// How long Odoo may take to show its login form. The first page of a database
/// builds its assets.
const READY: Duration = Duration::from_secs(180);

/// How long a single look may take.
const LOOK: Duration = Duration::from_secs(10);

/// `odoo.json` in a lineage's folder: where its Odoo listens.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Ports {
    http: u16,
    gevent: u16,
}

/// The Odoo that serves a tenant from one cell.
pub struct Serve<'a> {
    host: &'a Host,
    tenant: &'a TenantWork,
    cell: Cell<'a>,
}

impl<'a> Serve<'a> {
    pub fn new(host: &'a Host, tenant: &'a TenantWork, cell: Cell<'a>) -> Self {
        Self { host, tenant, cell }
    }

    fn identity(&self) -> Option<Identity> {
        self.host.layout.odoo_identity(self.tenant.ordinal)
    }

    fn ports_file(&self) -> PathBuf {
        self.host.layout.lineage(self.tenant.tenant, self.cell.lineage()).join("odoo.json")
    }

    fn ports(&self) -> Option<Ports> {
        serde_json::from_slice(&fs::read(self.ports_file()).ok()?).ok()
    }

    pub fn secrets(&self) -> Result<Secrets, Failure> {
        Secrets::of(&self.host.layout.tenant(self.tenant.tenant).join("secrets"))
    }

    pub async fn state(&self) -> Result<ProgramState, Failure> {
        self.host.driver.state(&odoo_program(self.cell.lineage())).await.doing("look at Odoo")
    }

    /// Starts Odoo if it does not run. The cell must.
    pub async fn start(&self) -> Result<(), Failure> {
        let running =
            matches!(self.state().await?, ProgramState::Running { .. } | ProgramState::Restarting { .. });
        if running && self.ports().is_some() {
            return Ok(());
        }
        let layout = &self.host.layout;
        let source = self.host.source(&self.tenant.build)?;
        let found = ports::free(2)?;
        let ports = Ports { http: found[0], gevent: found[1] };
        let port = self.cell.start().await?;
        let secrets = self.secrets()?;
        let given = self.host.tenant_secrets(self.tenant.tenant).await?;
        let conf = layout.tenant(self.tenant.tenant).join("conf");
        let (config, key) = (conf.join("odoo.conf"), conf.join("router.key"));
        let data_dir = layout.odoo(self.tenant.tenant, self.cell.lineage());
        let mut addons = vec![layout.addons()];
        addons.extend(self.tenant.build.addons.iter().map(PathBuf::from));
        addons.extend(source.addons.iter().cloned());
        let tenant_config = TenantConfig {
            series: source.series,
            addons,
            database: database(&self.tenant.database)?,
            socket_dir: layout.socket_dir(self.cell.lineage()),
            socket_port: port,
            database_password: secrets.database_password,
            master_password: secrets.master_password,
            data_dir: data_dir.clone(),
            http_port: ports.http,
            gevent_port: ports.gevent,
            workers: self.host.odoo_workers,
            cron_threads: 1,
            limits: Default::default(),
        };
        let files_socket = layout.files_socket(self.cell.lineage());
        let heddle_addons = layout.addons();
        let (identity, workers) = (self.identity(), self.host.odoo_workers);
        let (ports_file, id) = (self.ports_file(), odoo_program(self.cell.lineage()));
        let spec = blocking(move || {
            tenant_config.write(&config, identity).doing("write Odoo's configuration")?;
            write_for(&key, &secrets.router_key, identity)?;
            let text = serde_json::to_vec(&ports).doing("note Odoo's ports")?;
            fs::write(&ports_file, text).doing("note Odoo's ports")?;
            let launch = Launch {
                source: &source,
                heddle_addons: &heddle_addons,
                config: &config,
                data_dir: &data_dir,
                identity,
                router_key: Some(&key),
                files_socket: Some(&files_socket),
            };
            let mut spec = odoo::programs::serve(id, &launch, workers);
            for (name, value) in given.values {
                // What Odoo needs to run is not theirs to set.
                spec.env.entry(name).or_insert(value);
            }
            Ok(spec)
        })
        .await?;
        self.host.driver.start(&spec).await.doing("start Odoo")
    }

    /// Stops Odoo, letting requests under way end.
    pub async fn stop(&self) -> Result<(), Failure> {
        self.host.clear_program(&odoo_program(self.cell.lineage())).await
    }

    /// Waits until Odoo shows its login form.
    pub async fn ready(&self) -> Result<(), Failure> {
        let (address, host, key) = self.door()?;
        let deadline = tokio::time::Instant::now() + READY;
        match odoo::ready::ready(address, &host, &key, deadline).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let lines = self.host.driver.log_tail(&odoo_program(self.cell.lineage()), 15).await;
                let tail = lines.unwrap_or_default().join("\n");
                tracing::warn!(tenant = %self.tenant.tenant, "Odoo's last lines:\n{tail}");
                Err(Failure::new("wait for Odoo's login form")
                    .caused_by(error)
                    .hint(format!("`heddle logs {}` shows what Odoo says", self.tenant.name)))
            }
        }
    }

    /// One look at the login form.
    async fn alive(&self) -> bool {
        let Ok((address, host, key)) = self.door() else { return false };
        odoo::ready::alive(address, &host, &key, LOOK).await.is_ok()
    }

    fn door(&self) -> Result<(SocketAddr, String, String), Failure> {
        let ports = self.ports().ok_or_else(|| Failure::new("Odoo was never started here"))?;
        let host = self.tenant.hostnames.first().cloned().unwrap_or_else(|| "localhost".to_owned());
        Ok(((Ipv4Addr::LOCALHOST, ports.http).into(), host, self.secrets()?.router_key))
    }

    /// What to tell control. `seen` says that the login form was seen since
    /// Odoo was last started.
    pub async fn observe(&self, serving: Serving) -> Result<ObservedTenant, Failure> {
        let address = |port: u16| format!("127.0.0.1:{port}");
        let listens = matches!(serving, Serving::Serving | Serving::Failing);
        let ports = self.ports().filter(|_| listens);
        let card = crate::cell::Card::read(&self.host.layout, self.tenant.tenant, self.cell.lineage());
        Ok(ObservedTenant {
            tenant: self.tenant.tenant,
            serving,
            http: ports.map(|ports| address(ports.http)),
            gevent: ports.filter(|_| self.host.odoo_workers > 0).map(|ports| address(ports.gevent)),
            router_key: Some(self.secrets()?.router_key),
            cell_port: card.map(|card| card.port).filter(|port| *port != 0),
        })
    }

    /// How Odoo does now: `before` is what was seen last, and of which process.
    pub async fn look(&self, before: Option<(Serving, u32)>) -> Result<(Serving, u32), Failure> {
        let (pid, restarts) = match self.state().await? {
            ProgramState::Running { pid, restarts } => (pid, restarts),
            ProgramState::Restarting { restarts, .. } => {
                let serving = if restarts >= 3 { Serving::Failing } else { Serving::Starting };
                return Ok((serving, 0));
            }
            ProgramState::Absent | ProgramState::Ended(_) => return Ok((Serving::Starting, 0)),
        };
        let was_serving = before == Some((Serving::Serving, pid));
        let serving = match self.alive().await {
            true => Serving::Serving,
            false if was_serving || restarts >= 3 => Serving::Failing,
            false => match before {
                Some((Serving::Failing, before)) if before == pid => Serving::Failing,
                _ => Serving::Starting,
            },
        };
        Ok((serving, pid))
    }
}

/// Writes a secret for another identity's eyes alone, atomically.
fn write_for(path: &std::path::Path, text: &str, owner: Option<Identity>) -> Result<(), Failure> {
    let new = path.with_extension("new");
    let what = || format!("write {}", path.display());
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o400).open(&new).doing(what())?;
    file.write_all(text.as_bytes()).doing(what())?;
    if let Some(Identity { uid, gid }) = owner {
        chown(&new, Some(uid), Some(gid)).doing(what())?;
    }
    fs::rename(&new, path).doing(what())
}

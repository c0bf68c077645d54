//! What a worker has on its host: programs, repository, PostgreSQL, and one
//! turn at a time for each tenant.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use archive::{ArchiveService, Repository};
use model::program::{Identity, ProgramId, ProgramState};
use model::run::WorkerKind;
use model::{DatabaseName, TenantId, WorkerId};
use postgres::{Binaries, OsUser};
use protocol::client::Client;
use protocol::internal::{Assignments, BuildWork, Observed, ObservedTenant, TenantSecrets, TenantWork};
use runtime::{Driver, ProcessDriver};
use tokio::sync::OwnedMutexGuard;

use crate::Config;
use crate::failure::{Doing, Failure};
use crate::layout::Layout;
use crate::peeks::Turns;
use crate::stream::Streams;

pub struct Host {
    pub layout: Layout,
    pub driver: Arc<dyn Driver>,
    pub repository: Repository,
    pub archive: ArchiveService,
    pub streams: Streams,
    pub binaries: Binaries,
    /// Who prepares data directories: `initdb` wants a user with a name.
    pub initdb_user: Option<OsUser>,
    pub control: Client,
    pub odoo_workers: u16,
    /// What runs it takes; none: all.
    pub kinds: Vec<WorkerKind>,
    pub heddle: std::path::PathBuf,
    /// So many peeks are here at once.
    pub most_peeks: u16,
    /// One at a time acts on a peek: its run, or the keeper.
    pub peeks: Turns,
    /// This process as control knows it, once it has registered.
    worker: OnceLock<WorkerId>,
    turns: Mutex<HashMap<TenantId, Arc<tokio::sync::Mutex<()>>>>,
}

impl Host {
    pub async fn open(config: Config) -> Result<Self, Failure> {
        let root = rustix::process::geteuid().is_root();
        let layout = Layout {
            data: config.data,
            run: config.run_dir,
            identity_base: root.then_some(config.identity_base),
        };
        for folder in ["programs", "builds", "tenants", "peeks", "addons"] {
            let mode = if folder == "programs" { 0o700 } else { 0o711 };
            make_folder(&layout.data.join(folder), mode, None)?;
        }
        make_folder(&layout.run, 0o711, None)?;
        make_folder(&layout.run.join("a"), 0o711, None)?;
        odoo::addon::install(&layout.addons()).doing("install Heddle's addon")?;
        let binaries = Binaries::find(config.postgres_bin.as_deref()).map_err(|error| {
            let hint = error.hint().to_owned();
            Failure::new("find PostgreSQL").caused_by(error).hint(hint)
        })?;
        let (place, keys) = (config.repository, config.keys);
        let repository =
            blocking(move || Repository::open_or_create(place, keys).doing("open the repository")).await?;
        Ok(Self {
            driver: Arc::new(ProcessDriver::new(layout.programs(), config.heddle.clone())),
            archive: ArchiveService::new(repository.clone()),
            repository,
            streams: Streams::new(config.stream),
            binaries,
            initdb_user: initdb_user(config.service_user.as_deref(), root)?,
            control: config.control,
            odoo_workers: config.odoo_workers,
            kinds: config.kinds,
            heddle: config.heddle,
            most_peeks: config.peeks,
            peeks: Turns::default(),
            layout,
            worker: OnceLock::new(),
            turns: Mutex::default(),
        })
    }

    /// One at a time acts on a tenant: a run, or the keeper.
    pub async fn turn(&self, tenant: TenantId) -> OwnedMutexGuard<()> {
        self.gate(tenant).lock_owned().await
    }

    /// A turn if nobody has it.
    pub fn try_turn(&self, tenant: TenantId) -> Option<OwnedMutexGuard<()>> {
        self.gate(tenant).try_lock_owned().ok()
    }

    fn gate(&self, tenant: TenantId) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.entry(tenant).or_default().clone()
    }

    pub fn registered(&self, worker: WorkerId) {
        // Registered once in a process's life.
        let _ = self.worker.set(worker);
    }

    /// What a tenant's Odoo is given in its environment.
    pub async fn tenant_secrets(&self, tenant: TenantId) -> Result<TenantSecrets, Failure> {
        let worker =
            self.worker.get().ok_or_else(|| Failure::new("control does not know this worker yet"))?;
        self.control
            .get(&format!("/internal/workers/{worker}/tenants/{tenant}/secrets"))
            .await
            .map_err(|source| Failure::new("ask control for the tenant's secrets").caused_by(source))
    }

    /// The tenants that are this host's to keep.
    pub async fn assignments(&self, worker: WorkerId) -> Result<Vec<TenantWork>, Failure> {
        let Assignments { tenants } = self
            .control
            .get(&format!("/internal/workers/{worker}/tenants"))
            .await
            .map_err(|source| Failure::new("ask control for this host's tenants").caused_by(source))?;
        Ok(tenants)
    }

    /// Tells control what is seen of tenants.
    pub async fn observed(&self, tenants: Vec<ObservedTenant>) -> Result<(), Failure> {
        let Some(worker) = self.worker.get() else { return Ok(()) };
        self.control
            .post::<serde_json::Value>(
                &format!("/internal/workers/{worker}/observed"),
                &Observed { tenants, ..Observed::default() },
            )
            .await
            .map_err(|source| Failure::new("tell control what was seen").caused_by(source))?;
        Ok(())
    }

    /// Stops a program and takes its folder away.
    pub async fn clear_program(&self, id: &ProgramId) -> Result<(), Failure> {
        self.driver.stop(id).await.doing(format!("stop {id}"))?;
        if self.driver.state(id).await.doing(format!("look at {id}"))? != ProgramState::Absent {
            self.driver.remove(id).await.doing(format!("remove {id}"))?;
        }
        Ok(())
    }

    /// The build's Odoo, looked at afresh: somebody may have changed its tree.
    pub fn source(&self, build: &BuildWork) -> Result<odoo::Source, Failure> {
        let python = build.python.as_deref().map(Path::new);
        odoo::Source::detect(Path::new(&build.odoo), python).doing("find Odoo")
    }
}

/// Who prepares clusters: as root, a user with a name.
fn initdb_user(name: Option<&str>, root: bool) -> Result<Option<OsUser>, Failure> {
    let found = match name {
        Some(name) if root => OsUser::find(name).map(Some),
        _ => OsUser::for_initdb(),
    };
    found.doing("find the user that prepares clusters")
}

/// A database's name as control has it, checked again.
pub fn database(name: &str) -> Result<DatabaseName, Failure> {
    name.parse().doing("read the database's name")
}

/// Makes a folder, or gives the one that is there the mode and owner it should
/// have.
pub fn make_folder(path: &Path, mode: u32, owner: Option<Identity>) -> Result<(), Failure> {
    let what = || format!("make the folder {}", path.display());
    fs::DirBuilder::new().recursive(true).mode(mode).create(path).doing(what())?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).doing(what())?;
    if let Some(Identity { uid, gid }) = owner {
        std::os::unix::fs::lchown(path, Some(uid), Some(gid)).doing(what())?;
    }
    Ok(())
}

/// Runs what blocks on a thread of its own.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.doing("run a task")?
}

/// Removes a folder and what is in it; one that is not there is no fault.
pub fn remove_folder(path: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).doing(format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

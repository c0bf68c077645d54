//! Opening a repository, and where everything is in it.

use std::collections::HashMap;
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use model::archive::{Activation, Lineage, SnapshotPoint};
use model::lsn::Lsn;
use model::{BackupId, LineageId, SnapshotId, TenantId};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::disk::{self, FileError, Folders, Linked, Temporary, failed};
use crate::filestore::Known;
use crate::record::{self, PutError, RecordError};

/// What this program reads and writes.
pub const FORMAT: u32 = 1;

const MARKER: &str = "heddle.json";

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "the repository at {} has format {found}, and this Heddle knows formats up to {FORMAT}; use a newer Heddle",
        root.display()
    )]
    NewerFormat { root: PathBuf, found: u32 },
    #[error("{} is not empty and not a repository; name another folder", .0.display())]
    NotARepository(PathBuf),
    #[error("there is no repository at {}", .0.display())]
    Missing(PathBuf),
    #[error("read {}", path.display())]
    Marker { path: PathBuf, source: serde_json::Error },
    #[error(transparent)]
    File(#[from] FileError),
}

#[derive(Serialize, Deserialize)]
struct Marker {
    format: u32,
}

/// `reached.json`
#[derive(Serialize, Deserialize)]
pub(crate) struct Reached {
    pub lineage: LineageId,
    pub lsn: Lsn,
}

/// An open repository. Cheap to clone.
#[derive(Clone)]
pub struct Repository {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub root: PathBuf,
    pub tmp: PathBuf,
    folders: Folders,
    tenants: Mutex<HashMap<TenantId, Arc<Shared>>>,
    /// Changes whenever WAL has come in.
    pub arrivals: watch::Sender<u64>,
    /// Why the last push of a lineage failed.
    errors: Mutex<HashMap<LineageId, String>>,
}

/// What all handles of a tenant's archive share.
#[derive(Default)]
pub(crate) struct Shared {
    /// Records are immutable, so those read once need not be read again.
    pub lineages: Mutex<HashMap<LineageId, Arc<Lineage>>>,
    pub files: Mutex<Known>,
    /// Held while a filestore is scanned.
    pub scanning: Mutex<()>,
    /// Held while a record or a partial that may be replaced is.
    pub replacing: Mutex<()>,
}

impl Repository {
    /// Opens the repository at `root`, or makes one there. Removes what
    /// interrupted writers left behind. Blocks.
    pub fn open_or_create(root: impl AsRef<Path>) -> Result<Self, OpenError> {
        let root = root.as_ref().to_owned();
        let parent = root.parent().map(Path::to_owned).unwrap_or_default();
        if !root.exists() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o711)
                .create(&parent)
                .map_err(failed("create folder", &parent))?;
        }
        match DirBuilder::new().mode(0o700).create(&root) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed("create folder", &root)(error).into());
            }
            _ => {}
        }
        fs::set_permissions(&root, fs::Permissions::from_mode(0o700))
            .map_err(failed("change the mode of", &root))?;
        disk::sync_parent(&root)?;

        let tmp = root.join("tmp");
        check_marker(&root, &tmp)?;
        let repository = Self::at(root);
        repository.inner.ensure(&tmp)?;
        repository.sweep()?;
        // What a writer that was killed had linked can be seen; from here on it
        // is durable as well.
        disk::sync_file_system(repository.root())?;
        Ok(repository)
    }

    /// Opens a repository to read in it: nothing is written, swept or synced, so
    /// it may be on a read-only file system, or in use by a worker. Blocks.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, OpenError> {
        let root = root.as_ref().to_owned();
        match read_marker(&root)? {
            true => Ok(Self::at(root)),
            false => Err(OpenError::Missing(root)),
        }
    }

    fn at(root: PathBuf) -> Self {
        let inner = Inner {
            tmp: root.join("tmp"),
            folders: Folders::default(),
            tenants: Mutex::default(),
            arrivals: watch::channel(0).0,
            errors: Mutex::default(),
            root,
        };
        Self { inner: Arc::new(inner) }
    }

    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// A tenant's part. The tenant need not have anything in it yet.
    pub fn tenant(&self, tenant: TenantId) -> TenantArchive {
        let mut tenants = self.inner.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = tenants.entry(tenant).or_default().clone();
        TenantArchive { inner: self.inner.clone(), tenant, shared }
    }

    /// The tenants that the repository has something of. Blocks.
    pub fn tenants(&self) -> Result<Vec<TenantId>, FileError> {
        let names = disk::names(&self.inner.root.join("tenants"))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Why the last push of the lineage's WAL failed; None after a success.
    pub fn last_error(&self, lineage: LineageId) -> Option<String> {
        self.inner.last_error(lineage)
    }

    /// Removes what writers that are gone left unfinished.
    fn sweep(&self) -> Result<(), FileError> {
        let mut swept = 0;
        for name in disk::names(&self.inner.tmp)? {
            let path = self.inner.tmp.join(name);
            if !disk::in_use(&path)? {
                disk::remove_file(&path)?;
                swept += 1;
            }
        }
        for tenant in self.tenants()? {
            let archive = self.tenant(tenant);
            for lineage in archive.lineage_ids()? {
                let backups = archive.lineage_folder(lineage).join("backups");
                for name in disk::names(&backups)? {
                    let folder = backups.join(name);
                    let data = folder.join("data.tar.zst");
                    let whole = folder.join("manifest.json").exists();
                    if !whole && data.exists() && !disk::in_use(&data)? {
                        disk::remove_file(&data)?;
                        let _ = fs::remove_dir(&folder);
                        swept += 1;
                    }
                }
            }
        }
        if swept > 0 {
            tracing::info!(swept, "removed what interrupted writers left in the repository");
        }
        Ok(())
    }
}

/// Whether there is a marker, of a format that this program knows.
fn read_marker(root: &Path) -> Result<bool, OpenError> {
    let path = root.join(MARKER);
    let Some(bytes) = disk::read(&path, 4096)? else { return Ok(false) };
    let marker: Marker =
        serde_json::from_slice(&bytes).map_err(|source| OpenError::Marker { path, source })?;
    match marker.format > FORMAT {
        true => Err(OpenError::NewerFormat { root: root.to_owned(), found: marker.format }),
        false => Ok(true),
    }
}

fn check_marker(root: &Path, tmp: &Path) -> Result<(), OpenError> {
    if read_marker(root)? {
        return Ok(());
    }
    let path = root.join(MARKER);
    // `tmp` alone is what a first start leaves that was interrupted.
    if disk::names(root)?.iter().any(|name| name != "tmp" && name != "lost+found") {
        return Err(OpenError::NotARepository(root.to_owned()));
    }
    let _ = DirBuilder::new().mode(0o700).create(tmp);
    let mut temporary = Temporary::create(tmp)?;
    let text = format!("{{\"format\":{FORMAT}}}\n");
    temporary.file.write_all(text.as_bytes()).map_err(failed("write", &path))?;
    temporary.sync()?;
    match temporary.link(&path)? {
        Linked::New => Ok(disk::sync_folder(root)?),
        Linked::Taken => check_marker(root, tmp),
    }
}

impl Inner {
    pub fn arrived(&self) {
        self.arrivals.send_modify(|count| *count += 1);
    }

    pub fn last_error(&self, lineage: LineageId) -> Option<String> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).get(&lineage).cloned()
    }

    pub fn note_error(&self, lineage: LineageId, error: Option<String>) {
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            Some(error) => errors.insert(lineage, error),
            None => errors.remove(&lineage),
        };
    }

    pub fn ensure(&self, folder: &Path) -> Result<(), FileError> {
        self.folders.ensure(&self.root, folder)
    }
}

/// One tenant's part of a repository. Cheap to clone. What touches the disk
/// runs on the blocking pool; dropping such a future does not stop the work.
#[derive(Clone)]
pub struct TenantArchive {
    pub(crate) inner: Arc<Inner>,
    pub(crate) tenant: TenantId,
    pub(crate) shared: Arc<Shared>,
}

impl TenantArchive {
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Runs `work` on the blocking pool.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> T {
        let archive = self.clone();
        match tokio::task::spawn_blocking(move || work(&archive)).await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only a runtime that is shutting down cancels what it never began.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Records a lineage, before its cell takes its first write from a tenant.
    pub async fn put_lineage(&self, lineage: Lineage) -> Result<(), PutError> {
        self.blocking(move |archive| {
            let folder = archive.lineage_folder(lineage.id);
            if lineage.tenant != archive.tenant {
                return Err(RecordError::Misplaced(folder.join("lineage.json")).into());
            }
            archive.inner.ensure(&folder.join("wal"))?;
            record::put(&archive.inner.tmp, &folder.join("lineage.json"), &lineage)
        })
        .await
    }

    /// Records that the tenant is served from a lineage.
    pub async fn put_activation(&self, activation: Activation) -> Result<(), PutError> {
        self.blocking(move |archive| {
            let path = archive.lineage_folder(activation.lineage).join("activated.json");
            archive.inner.ensure(&archive.lineage_folder(activation.lineage))?;
            record::put(&archive.inner.tmp, &path, &activation)
        })
        .await
    }

    /// Records a snapshot. Its WAL and its files must be in the repository.
    pub async fn put_snapshot(&self, snapshot: SnapshotPoint) -> Result<(), PutError> {
        self.blocking(move |archive| {
            let path = archive.snapshot_path(snapshot.id);
            archive.inner.ensure(&archive.folder().join("snapshots"))?;
            record::put(&archive.inner.tmp, &path, &snapshot)
        })
        .await
    }

    /// Records that a lineage's WAL is here up to `lsn`. Never goes back.
    pub(crate) fn put_reached(&self, lineage: LineageId, lsn: Lsn) -> Result<(), PutError> {
        let _replacing = self.shared.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.lineage_folder(lineage).join("reached.json");
        let known = record::read::<Reached>(&path)?;
        if known.is_some_and(|known| known.lsn >= lsn) {
            return Ok(());
        }
        record::replace(&self.inner.tmp, &path, &Reached { lineage, lsn })
    }

    /// A lineage's record; None if there is none.
    pub(crate) fn lineage(&self, id: LineageId) -> Result<Option<Arc<Lineage>>, RecordError> {
        let cached = self.shared.lineages.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        if cached.is_some() {
            return Ok(cached);
        }
        let path = self.lineage_folder(id).join("lineage.json");
        let Some(lineage) = record::read::<Lineage>(&path)? else { return Ok(None) };
        if lineage.id != id || lineage.tenant != self.tenant {
            return Err(RecordError::Misplaced(path));
        }
        let lineage = Arc::new(lineage);
        self.shared.lineages.lock().unwrap_or_else(PoisonError::into_inner).insert(id, lineage.clone());
        Ok(Some(lineage))
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.inner.root.join("tenants").join(self.tenant.to_string())
    }

    pub(crate) fn lineage_ids(&self) -> Result<Vec<LineageId>, FileError> {
        let names = disk::names(&self.folder().join("lineages"))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    pub(crate) fn lineage_folder(&self, id: LineageId) -> PathBuf {
        self.folder().join("lineages").join(id.to_string())
    }

    pub(crate) fn wal_folder(&self, id: LineageId) -> PathBuf {
        self.lineage_folder(id).join("wal")
    }

    pub(crate) fn backup_folder(&self, lineage: LineageId, backup: BackupId) -> PathBuf {
        self.lineage_folder(lineage).join("backups").join(backup.to_string())
    }

    pub(crate) fn snapshot_path(&self, id: SnapshotId) -> PathBuf {
        self.folder().join("snapshots").join(format!("{id}.json"))
    }
}

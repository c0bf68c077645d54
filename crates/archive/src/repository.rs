//! Opening a repository, and where everything is in it.

use std::collections::{HashMap, HashSet};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use model::archive::{Activation, Lineage, SnapshotPoint};
use model::lsn::Lsn;
use model::{BackupId, LineageId, SnapshotId, TenantId};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use uuid::Uuid;

use crate::disk::{self, FileError, Linked, failed};
use crate::filestore::Known;
use crate::key::{Keys, KnownKey};
use crate::record::{PutError, RecordError};
use crate::store::{Local, Location, S3, Store};

/// What this program reads and writes.
pub const FORMAT: u32 = 2;

const MARKER: &str = "heddle.json";

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "the repository at {place} has format {found}, and this Heddle knows format {FORMAT}; use a newer Heddle"
    )]
    NewerFormat { place: Location, found: u32 },
    #[error(
        "the repository at {place} has format {found}, which was not encrypted and is no longer written; name an \
         empty folder or bucket for a new one, and keep the old one with the Heddle that made it for as long as \
         its history is needed"
    )]
    OlderFormat { place: Location, found: u32 },
    #[error("{0} is not empty and not a repository; name another place")]
    NotARepository(Location),
    #[error("there is no repository at {0}")]
    Missing(Location),
    #[error(
        "{0} does not refuse to write an object twice (`If-None-Match: *`), so that two writers could destroy each \
         other's history; use a server that knows conditional writes"
    )]
    NoConditionalWrites(Location),
    #[error("read {}", path.display())]
    Marker { path: PathBuf, source: serde_json::Error },
    #[error(transparent)]
    File(#[from] FileError),
}

#[derive(Serialize, Deserialize)]
struct Marker {
    format: u32,
}

/// `reached`
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
    pub location: Location,
    /// What the paths of all its objects begin with.
    pub root: PathBuf,
    pub store: Store,
    pub keys: Keys,
    tenants: Mutex<HashMap<TenantId, Arc<Shared>>>,
    /// Changes whenever WAL has come in.
    pub arrivals: watch::Sender<u64>,
    /// Why the last push of a lineage failed.
    errors: Mutex<HashMap<LineageId, String>>,
}

/// What all handles of a tenant's archive share.
#[derive(Default)]
pub(crate) struct Shared {
    pub key: Mutex<KnownKey>,
    /// Records are immutable, so those read once need not be read again.
    pub lineages: Mutex<HashMap<LineageId, Arc<Lineage>>>,
    pub files: Mutex<Known>,
    /// Held while a filestore is scanned.
    pub scanning: Mutex<()>,
    /// Unfinished segments that are in the repository, by lineage, once looked for.
    pub partials: Mutex<HashMap<LineageId, HashSet<String>>>,
    /// Held while a record or a partial that may be replaced is.
    pub replacing: Mutex<()>,
}

impl Repository {
    /// Opens the repository at a place, or makes one there, and sees that it can
    /// be written to safely. Removes what interrupted writers left behind.
    /// Blocks.
    pub fn open_or_create(place: impl Into<Location>, keys: impl Into<Keys>) -> Result<Self, OpenError> {
        let repository = Self::at(place.into(), keys.into())?;
        match &repository.inner.store {
            Store::Local(local) => {
                make_root(local.root())?;
                repository.check_marker()?;
                local.ensure(local.tmp())?;
                repository.sweep(local)?;
                // What a writer that was killed had linked can be seen; from here
                // on it is durable as well.
                disk::sync_file_system(local.root())?;
            }
            Store::S3(_) => {
                repository.probe()?;
                repository.check_marker()?;
            }
        }
        repository.check_master()?;
        Ok(repository)
    }

    /// Opens a repository to read in it: nothing is written, swept or synced, so
    /// it may be on a read-only file system, or in use by a worker. Blocks.
    pub fn open(place: impl Into<Location>, keys: impl Into<Keys>) -> Result<Self, OpenError> {
        let repository = Self::at(place.into(), keys.into())?;
        match repository.read_marker()? {
            true => Ok(repository),
            false => Err(OpenError::Missing(repository.inner.location.clone())),
        }
    }

    fn at(location: Location, keys: Keys) -> Result<Self, OpenError> {
        let (root, store) = match &location {
            Location::Folder(root) => (root.clone(), Store::Local(Local::new(root.clone()))),
            Location::S3(place) => {
                let root = PathBuf::from(location.to_string());
                (root.clone(), Store::S3(S3::new(place, root)?))
            }
        };
        let inner = Inner {
            location,
            root,
            store,
            keys,
            tenants: Mutex::default(),
            arrivals: watch::channel(0).0,
            errors: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub fn location(&self) -> &Location {
        &self.inner.location
    }

    /// What the paths in findings and errors begin with.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// Whether there is a marker, of a format that this program knows.
    fn read_marker(&self) -> Result<bool, OpenError> {
        let path = self.inner.root.join(MARKER);
        let Some(bytes) = self.inner.store.read(&path, 4096)? else { return Ok(false) };
        let marker: Marker =
            serde_json::from_slice(&bytes).map_err(|source| OpenError::Marker { path, source })?;
        let place = self.inner.location.clone();
        match marker.format {
            FORMAT => Ok(true),
            found if found > FORMAT => Err(OpenError::NewerFormat { place, found }),
            found => Err(OpenError::OlderFormat { place, found }),
        }
    }

    fn check_marker(&self) -> Result<(), OpenError> {
        if self.read_marker()? {
            return Ok(());
        }
        // `tmp` alone is what a first start leaves that was interrupted.
        let known = |name: &String| name == "tmp" || name == "lost+found";
        if !self.inner.store.names(&self.inner.root)?.iter().all(known) {
            return Err(OpenError::NotARepository(self.inner.location.clone()));
        }
        if let Store::Local(local) = &self.inner.store {
            local.ensure(local.tmp())?;
        }
        let text = format!("{{\"format\":{FORMAT}}}\n");
        match self.inner.store.create(&self.inner.root.join(MARKER), text.as_bytes())? {
            Linked::New => Ok(()),
            Linked::Taken => self.check_marker(),
        }
    }

    /// A server that takes a second object of the same name would let two
    /// writers destroy each other's history.
    fn probe(&self) -> Result<(), OpenError> {
        let path = self.inner.root.join("tmp").join(format!("probe-{}", Uuid::now_v7()));
        let store = &self.inner.store;
        let unknown = || OpenError::NoConditionalWrites(self.inner.location.clone());
        let create = |text: &[u8]| match store.create(&path, text) {
            Err(error) if error.source.kind() == io::ErrorKind::Unsupported => Err(unknown()),
            created => Ok(created?),
        };
        // Taken the first time, it was sent again after a lost reply.
        create(b"once\n")?;
        let second = create(b"twice\n")?;
        let kept = store.read(&path, 64)?;
        store.remove(&path)?;
        match second == Linked::Taken && kept.as_deref() == Some(b"once\n") {
            true => Ok(()),
            false => Err(unknown()),
        }
    }

    /// With another repository's master key nothing could be read, and what was
    /// written would be sealed by two.
    fn check_master(&self) -> Result<(), OpenError> {
        for tenant in self.tenants()? {
            match self.tenant(tenant).key() {
                Ok(_) => return Ok(()),
                Err(error) if matches!(error.key_error(), Some(crate::KeyError::Wrap(_)) | None) => {
                    return Err(error.into());
                }
                // Without a key, or with a damaged one, it says nothing of the others'.
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// A tenant's part. The tenant need not have anything in it yet.
    pub fn tenant(&self, tenant: TenantId) -> TenantArchive {
        let mut tenants = self.inner.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = tenants.entry(tenant).or_default().clone();
        TenantArchive { inner: self.inner.clone(), tenant, shared }
    }

    /// The tenants that the repository has something of. Blocks.
    pub fn tenants(&self) -> Result<Vec<TenantId>, FileError> {
        let names = self.inner.store.names(&self.inner.root.join("tenants"))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Why the last push of the lineage's WAL failed; None after a success.
    pub fn last_error(&self, lineage: LineageId) -> Option<String> {
        self.inner.last_error(lineage)
    }

    /// Removes what writers that are gone left unfinished.
    fn sweep(&self, local: &Local) -> Result<(), FileError> {
        let mut swept = 0;
        for name in disk::names(local.tmp())? {
            let path = local.tmp().join(name);
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
                    if folder.join("manifest").exists() {
                        continue;
                    }
                    let packs: Vec<_> = disk::names(&folder)?.iter().map(|name| folder.join(name)).collect();
                    let mut writing = false;
                    for pack in &packs {
                        writing |= disk::in_use(pack)?;
                    }
                    if !writing {
                        packs.iter().try_for_each(|pack| disk::remove_file(pack))?;
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

fn make_root(root: &Path) -> Result<(), FileError> {
    let parent = root.parent().map(Path::to_owned).unwrap_or_default();
    if !root.exists() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(&parent)
            .map_err(failed("create folder", &parent))?;
    }
    match DirBuilder::new().mode(0o700).create(root) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed("create folder", root)(error));
        }
        _ => {}
    }
    let mode = fs::Permissions::from_mode(0o700);
    fs::set_permissions(root, mode).map_err(failed("change the mode of", root))?;
    disk::sync_parent(root)
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
            let path = archive.lineage_folder(lineage.id).join("lineage");
            if lineage.tenant != archive.tenant {
                return Err(RecordError::Misplaced(path).into());
            }
            archive.put_record(&path, &lineage)
        })
        .await
    }

    /// Records that the tenant is served from a lineage.
    pub async fn put_activation(&self, activation: Activation) -> Result<(), PutError> {
        self.blocking(move |archive| {
            let path = archive.lineage_folder(activation.lineage).join("activated");
            archive.put_record(&path, &activation)
        })
        .await
    }

    /// Records a snapshot. Its WAL and its files must be in the repository.
    pub async fn put_snapshot(&self, snapshot: SnapshotPoint) -> Result<(), PutError> {
        self.blocking(move |archive| archive.put_record(&archive.snapshot_path(snapshot.id), &snapshot)).await
    }

    /// Records that a lineage's WAL is here up to `lsn`. Never goes back.
    pub(crate) fn put_reached(&self, lineage: LineageId, lsn: Lsn) -> Result<(), PutError> {
        let _replacing = self.shared.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.lineage_folder(lineage).join("reached");
        let known = self.read_record::<Reached>(&path)?;
        if known.is_some_and(|known| known.lsn >= lsn) {
            return Ok(());
        }
        self.replace_record(&path, &Reached { lineage, lsn })
    }

    /// A lineage's record; None if there is none.
    pub(crate) fn lineage(&self, id: LineageId) -> Result<Option<Arc<Lineage>>, RecordError> {
        let cached = self.shared.lineages.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        if cached.is_some() {
            return Ok(cached);
        }
        let path = self.lineage_folder(id).join("lineage");
        let Some(lineage) = self.read_record::<Lineage>(&path)? else { return Ok(None) };
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
        let names = self.inner.store.names(&self.folder().join("lineages"))?;
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
        self.folder().join("snapshots").join(id.to_string())
    }
}

//! Tenants' keys: each sealed by a master key, and kept beside what it opens.

mod file;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use daemon::fault;
use daemon::secretfile::SecretError;
use jiff::Timestamp;
use model::TenantId;
use serde::{Deserialize, Serialize};

use crate::disk::{FileError, Linked, failed};
use crate::repository::{FORMAT, Repository, TenantArchive};
use crate::seal::Secret;

pub use file::{KeyFile, MasterKey};

/// Where the key is looked at again: somebody may have destroyed it.
const KNOWN: Duration = Duration::from_secs(30);

const LIMIT: u64 = 64 << 10;

/// Seals tenants' keys, and opens them again. What it knows never comes near
/// the repository.
pub trait Wrapper: Send + Sync + 'static {
    fn wrap(&self, tenant: TenantId, secret: &Secret) -> Result<Wrapped, WrapError>;

    fn unwrap(&self, tenant: TenantId, wrapped: &Wrapped) -> Result<Secret, WrapError>;

    /// Whether it was sealed as [`Wrapper::wrap`] would now.
    fn is_current(&self, wrapped: &Wrapped) -> Result<bool, WrapError>;
}

/// Shared by all who open tenants' keys.
pub type Keys = Arc<dyn Wrapper>;

/// A tenant's key as it stands in the repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wrapped {
    /// What kind of master sealed it: `key-file`.
    pub by: String,
    /// Which one.
    pub master: String,
    /// In hexadecimal.
    pub sealed: String,
}

#[derive(Debug, thiserror::Error)]
pub enum WrapError {
    #[error("there is no master key at {}; put the repository's key file there, or name it", .0.display())]
    NoFile(PathBuf),
    #[error("read the master key")]
    File(#[source] SecretError),
    #[error("read the master key from {}", path.display())]
    Credential { path: PathBuf, source: io::Error },
    #[error("{} is no key file: it holds lines of 64 hexadecimal digits, the present key first", .0.display())]
    NotAKeyFile(PathBuf),
    #[error("it was sealed by master key {wanted}, and the key file holds {held}; name the right key file")]
    OtherMaster { wanted: String, held: String },
    #[error("it was sealed by a {0:?}, which this Heddle does not know")]
    OtherKind(String),
    #[error("it is damaged: it does not open with the master key that it names")]
    Damaged,
    #[error("draw or seal a key")]
    Make(#[source] io::Error),
}

/// Why a tenant's objects cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the tenant's key was destroyed; nothing of it can be read any more")]
    Shredded,
    #[error("the tenant has no key in the repository")]
    Missing,
    #[error("the tenant's key cannot be understood")]
    Malformed,
    #[error("the tenant's key cannot be opened")]
    Wrap(#[from] WrapError),
}

/// `key.json`
#[derive(Serialize, Deserialize)]
struct KeyRecord {
    format: u32,
    tenant: TenantId,
    wrapped: Wrapped,
}

/// `shredded.json`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shredded {
    pub tenant: TenantId,
    pub at: Timestamp,
}

/// A key that was opened, and when it was last looked for.
#[derive(Default)]
pub(crate) struct KnownKey(Option<(Arc<Secret>, Instant)>);

impl FileError {
    /// Whether the tenant's key is why, and how.
    pub fn key_error(&self) -> Option<&KeyError> {
        self.source.get_ref()?.downcast_ref()
    }
}

fn key_failed(path: &Path, error: KeyError) -> FileError {
    // Not damage of the object that was to be read.
    failed("open the key", path)(io::Error::new(io::ErrorKind::PermissionDenied, error))
}

fn encode(path: &Path, value: &impl Serialize) -> Result<Vec<u8>, FileError> {
    let mut text = serde_json::to_vec(value).map_err(io::Error::from).map_err(failed("write", path))?;
    text.push(b'\n');
    Ok(text)
}

impl TenantArchive {
    pub(crate) fn key_path(&self) -> PathBuf {
        self.folder().join("key.json")
    }

    fn shredded_path(&self) -> PathBuf {
        self.folder().join("shredded.json")
    }

    /// When the tenant's key was destroyed; None if it was not.
    pub fn shredded(&self) -> Result<Option<Shredded>, FileError> {
        let path = self.shredded_path();
        let Some(bytes) = self.inner.store.read(&path, LIMIT)? else { return Ok(None) };
        let record = serde_json::from_slice::<Shredded>(&bytes).ok().filter(|it| it.tenant == self.tenant);
        record.map(Some).ok_or_else(|| key_failed(&path, KeyError::Malformed))
    }

    /// The tenant's key.
    pub(crate) fn key(&self) -> Result<Arc<Secret>, FileError> {
        let mut known = self.shared.key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((secret, at)) = &known.0
            && at.elapsed() < KNOWN
        {
            return Ok(secret.clone());
        }
        match self.read_key() {
            Ok(secret) => {
                let secret = match &known.0 {
                    Some((before, _)) if before.0 == secret.0 => before.clone(),
                    _ => Arc::new(secret),
                };
                known.0 = Some((secret.clone(), Instant::now()));
                Ok(secret)
            }
            Err(error) => {
                // A store or a master that does not answer just now is no reason
                // to forget what is known.
                let gone = matches!(error.key_error(), Some(KeyError::Shredded | KeyError::Missing));
                match &known.0 {
                    Some((secret, _)) if !gone => Ok(secret.clone()),
                    _ => {
                        known.0 = None;
                        Err(error)
                    }
                }
            }
        }
    }

    /// The tenant's key, made if there is none yet.
    pub(crate) fn own_key(&self) -> Result<Arc<Secret>, FileError> {
        match self.key() {
            Err(error) if matches!(error.key_error(), Some(KeyError::Missing)) => {}
            known => return known,
        }
        let path = self.key_path();
        let secret = Secret::random().map_err(failed("make", &path))?;
        let bytes = self.wrapped(&secret)?;
        // Taken: another process made one at the same moment.
        self.inner.store.create(&path, &bytes)?;
        fault::point("archive.key.made");
        self.key()
    }

    fn wrapped(&self, secret: &Secret) -> Result<Vec<u8>, FileError> {
        let path = self.key_path();
        let wrapped = self.inner.keys.wrap(self.tenant, secret);
        let wrapped = wrapped.map_err(|error| key_failed(&path, error.into()))?;
        encode(&path, &KeyRecord { format: FORMAT, tenant: self.tenant, wrapped })
    }

    fn key_record(&self) -> Result<Wrapped, FileError> {
        let path = self.key_path();
        let refused = |error| key_failed(&path, error);
        let Some(bytes) = self.inner.store.read(&path, LIMIT)? else {
            return Err(refused(match self.shredded()? {
                Some(_) => KeyError::Shredded,
                None => KeyError::Missing,
            }));
        };
        match serde_json::from_slice::<KeyRecord>(&bytes) {
            Ok(record) if record.tenant == self.tenant && record.format <= FORMAT => Ok(record.wrapped),
            // Shredding was broken off.
            _ if self.shredded()?.is_some() => Err(refused(KeyError::Shredded)),
            _ => Err(refused(KeyError::Malformed)),
        }
    }

    fn read_key(&self) -> Result<Secret, FileError> {
        let wrapped = self.key_record()?;
        if self.shredded()?.is_some() {
            return Err(key_failed(&self.key_path(), KeyError::Shredded));
        }
        let secret = self.inner.keys.unwrap(self.tenant, &wrapped);
        secret.map_err(|error| key_failed(&self.key_path(), error.into()))
    }
}

/// What [`Repository::rotate`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Rotated {
    /// Keys that the present master seals now, and did not before.
    pub sealed: u64,
    pub already: u64,
}

impl Repository {
    /// Seals every tenant's key by the present master; nothing else is written.
    /// Broken off, it is simply called again. Blocks.
    pub fn rotate(&self) -> Result<Rotated, FileError> {
        let mut rotated = Rotated::default();
        for tenant in self.tenants()? {
            let archive = self.tenant(tenant);
            let path = archive.key_path();
            let refused = |error: WrapError| key_failed(&path, error.into());
            let wrapped = match archive.key_record() {
                Ok(wrapped) => wrapped,
                Err(error) if matches!(error.key_error(), Some(KeyError::Shredded | KeyError::Missing)) => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            if self.inner.keys.is_current(&wrapped).map_err(refused)? {
                rotated.already += 1;
                continue;
            }
            let secret = self.inner.keys.unwrap(tenant, &wrapped).map_err(refused)?;
            self.inner.store.replace(&path, &archive.wrapped(&secret)?)?;
            fault::point("archive.rotate.sealed");
            rotated.sealed += 1;
        }
        Ok(rotated)
    }

    /// Destroys a tenant's key, durably: what is stored of it can then be read
    /// nowhere, except where an older copy of its `key.json` meets the master
    /// key that sealed it. Again, it does nothing. Blocks.
    pub fn shred(&self, tenant: TenantId) -> Result<Shredded, FileError> {
        let archive = self.tenant(tenant);
        let store = &self.inner.store;
        let shredded = match archive.shredded()? {
            Some(before) => before,
            None => {
                let shredded = Shredded { tenant, at: Timestamp::now() };
                let path = archive.shredded_path();
                match store.create(&path, &encode(&path, &shredded)?)? {
                    Linked::New => shredded,
                    Linked::Taken => archive.shredded()?.unwrap_or(shredded),
                }
            }
        };
        fault::point("archive.shred.marked");
        let path = archive.key_path();
        if store.exists(&path)? {
            self.overwrite(&path)?;
            store.remove(&path)?;
            store.settle_parent(&path)?;
        }
        archive.shared.key.lock().unwrap_or_else(PoisonError::into_inner).0 = None;
        Ok(shredded)
    }

    /// The key's bytes are gone from its own blocks as well, where the file
    /// system writes in place.
    fn overwrite(&self, path: &Path) -> Result<(), FileError> {
        use std::io::Write;
        if !matches!(self.inner.store, crate::store::Store::Local(_)) {
            return self.inner.store.replace(path, b"{}\n");
        }
        let overwritten = || -> io::Result<()> {
            let mut file = std::fs::OpenOptions::new().write(true).open(path)?;
            let length = file.metadata()?.len();
            file.write_all(&vec![b' '; usize::try_from(length).unwrap_or(0)])?;
            file.sync_all()
        };
        overwritten().map_err(failed("overwrite", path))
    }
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Repository").field(&self.root()).finish()
    }
}

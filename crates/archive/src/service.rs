//! The archive service: how cells and Odoos reach the repository.
//!
//! Each has a Unix socket of its own, so a socket tells whose WAL or files are
//! meant, and its peers are checked by uid. One request per connection: a line
//! of JSON of at most 1024 bytes, then the bytes it announces; the answer is a
//! line of JSON, then the bytes that it announces.
//!
//! | socket | request | answer |
//! |---|---|---|
//! | WAL | `{"push":"<file>","len":N}` + N bytes | `{"ok":true}` |
//! | WAL | `{"fetch":"<file>"}` | `{"ok":true,"len":N}` + N bytes, or `{"ok":true,"absent":true}` |
//! | files | `{"keep":"<sha1>","len":N}` + N bytes | `{"ok":true}` |
//!
//! Whatever cannot be done is answered by `{"error":"<why>"}`. `ok` to a push
//! or a keep means that it is durable.

mod connection;
mod listen;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use model::program::Identity;
use model::restore::Plan;
use model::{LineageId, TenantId};
use tokio::task::JoinHandle;

use crate::disk::FileError;
use crate::repository::{Repository, TenantArchive};
use crate::wal::{FetchError, WalChain};

pub(crate) use connection::{Answer, Request};

/// The longest request line.
pub(crate) const LINE_LIMIT: u64 = 1024;

/// What a cell may do.
#[derive(Debug, Clone)]
pub struct WalAccess {
    pub tenant: TenantId,
    /// The lineage whose WAL it archives; None while it must not archive, such
    /// as before its own lineage is recorded. PostgreSQL keeps its WAL then and
    /// asks again.
    pub push: Option<LineageId>,
    /// What it recovers from; None once it has.
    pub fetch: Option<Plan>,
}

#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error("listen on {}", path.display())]
    Listen { path: PathBuf, source: io::Error },
    #[error("{} is served already, for files or another tenant", .0.display())]
    Taken(PathBuf),
    #[error("find the WAL of the plan")]
    Chain(#[from] FetchError),
    #[error(transparent)]
    File(#[from] FileError),
}

/// Serves sockets until they are closed or the last handle is dropped. Cheap to
/// clone.
#[derive(Clone)]
pub struct ArchiveService {
    inner: Arc<Inner>,
}

struct Inner {
    repository: Repository,
    sockets: Mutex<HashMap<PathBuf, Socket>>,
}

struct Socket {
    access: Arc<RwLock<Access>>,
    accepting: JoinHandle<()>,
}

/// What a socket gives access to.
#[derive(Clone)]
enum Access {
    Wal { archive: TenantArchive, push: Option<LineageId>, chain: Option<WalChain> },
    Files { archive: TenantArchive },
}

impl Access {
    fn archive(&self) -> &TenantArchive {
        match self {
            Self::Wal { archive, .. } | Self::Files { archive } => archive,
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for (path, socket) in self.sockets.get_mut().unwrap_or_else(PoisonError::into_inner).drain() {
            socket.accepting.abort();
            let _ = std::fs::remove_file(path);
        }
    }
}

impl ArchiveService {
    pub fn new(repository: Repository) -> Self {
        Self { inner: Arc::new(Inner { repository, sockets: Mutex::default() }) }
    }

    pub fn repository(&self) -> &Repository {
        &self.inner.repository
    }

    /// Serves a cell's WAL on `socket`, for processes of `identity` (or of this
    /// process's own user). If the socket is served already, the cell's access
    /// is what `access` says from now on. A socket file left by an earlier
    /// process is replaced.
    pub async fn serve_wal(
        &self,
        socket: &Path,
        identity: Option<Identity>,
        access: WalAccess,
    ) -> Result<(), ServiceError> {
        let archive = self.inner.repository.tenant(access.tenant);
        let chain = match access.fetch {
            Some(plan) => Some(archive.chain(plan).await?),
            None => None,
        };
        self.serve(socket, identity, Access::Wal { archive, push: access.push, chain })
    }

    /// Serves a tenant's Odoo, which hands over files before it removes them.
    pub fn serve_files(
        &self,
        socket: &Path,
        identity: Option<Identity>,
        tenant: TenantId,
    ) -> Result<(), ServiceError> {
        let archive = self.inner.repository.tenant(tenant);
        self.serve(socket, identity, Access::Files { archive })
    }

    fn serve(&self, path: &Path, identity: Option<Identity>, access: Access) -> Result<(), ServiceError> {
        let mut sockets = self.inner.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(socket) = sockets.get(path) {
            let mut current = socket.access.write().unwrap_or_else(PoisonError::into_inner);
            let same_kind = matches!(*current, Access::Wal { .. }) == matches!(access, Access::Wal { .. });
            if !same_kind || current.archive().tenant() != access.archive().tenant() {
                return Err(ServiceError::Taken(path.to_owned()));
            }
            *current = access;
            return Ok(());
        }
        let listener = listen::bind(path, identity)?;
        let access = Arc::new(RwLock::new(access));
        let accepting = tokio::spawn(listen::accept(listener, identity, access.clone()));
        sockets.insert(path.to_owned(), Socket { access, accepting });
        Ok(())
    }

    /// Stops serving a socket and removes it. Requests under way are broken
    /// off; a client that was not answered tries again.
    pub fn close(&self, path: &Path) {
        let removed = self.inner.sockets.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
        if let Some(socket) = removed {
            socket.accepting.abort();
            let _ = std::fs::remove_file(path);
        }
    }

    /// Why the last push of a lineage's WAL failed; None after a success.
    pub fn last_error(&self, lineage: LineageId) -> Option<String> {
        self.inner.repository.last_error(lineage)
    }
}

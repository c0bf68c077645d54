//! Sockets, and who may use them.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use model::program::Identity;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Access, ServiceError, connection};

/// PostgreSQL archives and restores one file at a time; a few more are Odoo's
/// clean-ups, or a client that was given up and has not noticed.
const CONNECTIONS: usize = 8;

/// Such as having no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

pub(super) fn bind(path: &Path, identity: Option<Identity>) -> Result<UnixListener, ServiceError> {
    let failed = |source| ServiceError::Listen { path: path.to_owned(), source };
    // Only a socket is ever replaced.
    match std::fs::symlink_metadata(path) {
        Ok(there) if there.file_type().is_socket() => std::fs::remove_file(path).map_err(failed)?,
        Ok(_) => return Err(failed(io::ErrorKind::AlreadyExists.into())),
        Err(_) => {}
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    if let Some(Identity { uid, gid }) = identity {
        chown(path, Some(uid), Some(gid)).map_err(failed)?;
    }
    Ok(listener)
}

/// Accepts until aborted; connections end with it.
pub(super) async fn accept(listener: UnixListener, identity: Option<Identity>, access: Arc<RwLock<Access>>) {
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection to the archive service");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if !may_use(&stream, identity) {
            connection::refuse(&stream, "this socket belongs to another user");
            continue;
        }
        let Ok(permit) = free.clone().try_acquire_owned() else {
            connection::refuse(&stream, "too many connections at once; try again");
            continue;
        };
        let access = access.clone();
        connections.spawn(async move {
            connection::serve(stream, access).await;
            drop(permit);
        });
    }
}

fn may_use(stream: &UnixStream, identity: Option<Identity>) -> bool {
    let own = rustix::process::geteuid().as_raw();
    match stream.peer_cred() {
        Ok(peer) => peer.uid() == own || identity.is_some_and(|identity| identity.uid == peer.uid()),
        Err(_) => false,
    }
}

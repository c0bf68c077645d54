//! Making a new cluster.

use std::path::{Path, PathBuf};

use model::lsn::SegmentSize;
use model::program::Identity;

use crate::disk::{self, FileError};
use crate::tool::{Tool, ToolError};
use crate::{Binaries, OsUser, SUPERUSER};

#[derive(Debug, Clone, Copy)]
pub struct InitOptions {
    pub segment_size: SegmentSize,
    /// Who the files belong to afterwards. None: whoever made them.
    pub owner: Option<Identity>,
}

#[derive(Debug, thiserror::Error)]
pub enum InitError {
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    #[error("make a cluster in {}", dir.display())]
    Tool { dir: PathBuf, source: ToolError },
    #[error(transparent)]
    File(#[from] FileError),
}

/// Makes a cluster in `dir`, which must not exist; its parent must, and must
/// let `as_user` pass. `initdb` refuses root and users without a passwd entry:
/// see [`OsUser::for_initdb`].
///
/// Nobody can log in until [`crate::Cluster::write_config`] has been called.
/// Killed half-way it leaves only `<dir>.new`, which the next call clears away.
pub fn initdb(
    bin: &Binaries,
    dir: &Path,
    as_user: Option<&OsUser>,
    options: &InitOptions,
) -> Result<(), InitError> {
    if disk::exists(dir)? {
        return Err(InitError::Exists(dir.to_owned()));
    }
    let new = disk::beside(dir, ".new");
    disk::remove_tree(&new)?;
    disk::folder(&new, 0o700, as_user.map(|user| user.uid), as_user.map(|user| user.gid))?;
    let segment_mib = options.segment_size.0 >> 20;
    Tool::new(&bin.program("initdb"), as_user.map(OsUser::identity))
        .arg("--pgdata")
        .arg(&new)
        .arg(format!("--username={SUPERUSER}"))
        .arg(format!("--wal-segsize={segment_mib}"))
        .arg("--data-checksums")
        .arg("--auth=reject")
        .arg("--encoding=UTF8")
        .arg("--locale=C.UTF-8")
        // The whole tree is synced below, once it has its owner.
        .arg("--no-sync")
        .arg("--no-instructions")
        .succeed()
        .map_err(|source| InitError::Tool { dir: dir.to_owned(), source })?;
    if let Some(owner) = options.owner {
        disk::give_tree(&new, owner)?;
    }
    Ok(disk::settle(&new, dir)?)
}

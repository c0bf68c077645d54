//! A new cluster out of a template, ready for its first start.

use std::path::{Path, PathBuf};

use model::program::Identity;

use crate::control_file::{
    ControlFileError, ResetWalError, give_identifier, new_system_identifier, reset_wal,
};
use crate::copy::{CopyError, copy_unfinished};
use crate::disk::{self, FileError};
use crate::single_user::{SingleUserError, single_user};
use crate::{Binaries, Copied, OsUser};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sibling {
    pub system_identifier: u64,
    pub copied: Copied,
}

#[derive(Debug, thiserror::Error)]
pub enum SiblingError {
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    #[error("copy the template")]
    Copy(#[from] CopyError),
    #[error("give the copy its own system identifier")]
    Identifier(#[from] ControlFileError),
    #[error("start the copy's own WAL")]
    Wal(#[from] ResetWalError),
    #[error("set the copy up in database {database}")]
    Setup { database: String, source: SingleUserError },
    #[error(transparent)]
    File(#[from] FileError),
}

/// Copies the stopped template in `from` to `to`, which must not exist, makes it
/// a cluster of its own (system identifier, WAL) and runs `setup`, pairs of a
/// database and the statements to be run in it. `as_user` does so (see
/// [`OsUser::for_initdb`]) and must be let through to `to`'s parent; then all of
/// it is given to `identity`.
///
/// `to` appears only once all of that is done and durable. Killed before, it
/// leaves only `<to>.new`, which the next call clears away.
pub fn make_sibling(
    bin: &Binaries,
    from: &Path,
    to: &Path,
    as_user: Option<&OsUser>,
    identity: Option<Identity>,
    setup: &[(String, Vec<String>)],
) -> Result<Sibling, SiblingError> {
    if disk::exists(to)? {
        return Err(SiblingError::Exists(to.to_owned()));
    }
    let new = disk::beside(to, ".new");
    let maker = as_user.map(OsUser::identity);
    let copied = copy_unfinished(bin, from, &new, maker)?;
    let system_identifier = new_system_identifier();
    give_identifier(bin, &new, maker, system_identifier)?;
    reset_wal(bin, &new, maker)?;
    for (database, statements) in setup {
        single_user(bin, &new, as_user, database, statements)
            .map_err(|source| SiblingError::Setup { database: database.clone(), source })?;
    }
    if let Some(identity) = identity {
        disk::give_tree(&new, identity)?;
    }
    disk::settle(&new, to)?;
    Ok(Sibling { system_identifier, copied })
}

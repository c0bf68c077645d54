//! Copying a stopped cluster's files: how a tenant's cell is made from a template.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, fchown, lchown};
use std::path::{Path, PathBuf};

use model::lsn::Segment;
use model::program::Identity;
use rustix::io::Errno;

use crate::control_file::{ControlFileError, State, identify};
use crate::disk::{self, FileError, fault};
use crate::{Binaries, ControlFile};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Whether every file shares its blocks with the original until one of the
    /// two is written.
    pub reflinked: bool,
    pub files: u64,
    /// The files' lengths added up.
    pub bytes: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    #[error("read the control file of the cluster to be copied")]
    Control(#[from] ControlFileError),
    #[error("the cluster in {} is not shut down in good order", .0.display())]
    NotShutDown(PathBuf),
    /// A tablespace, or WAL kept elsewhere: a copy would share it.
    #[error("{} is neither a file nor a folder", .0.display())]
    NotAFile(PathBuf),
    #[error(transparent)]
    File(#[from] FileError),
}

/// Copies the stopped cluster in `from` to `to`, which must not exist, and gives
/// it to `identity`. Of its WAL only what a start needs comes along.
///
/// Killed half-way it leaves only `<to>.new`, which the next call clears away.
pub fn copy_cluster(
    bin: &Binaries,
    from: &Path,
    to: &Path,
    identity: Option<Identity>,
) -> Result<Copied, CopyError> {
    if disk::exists(to)? {
        return Err(CopyError::Exists(to.to_owned()));
    }
    let new = disk::beside(to, ".new");
    let copied = copy_unfinished(bin, from, &new, identity)?;
    disk::settle(&new, to)?;
    Ok(copied)
}

/// Copies to `to`, replacing what is there, and makes nothing durable.
pub(crate) fn copy_unfinished(
    bin: &Binaries,
    from: &Path,
    to: &Path,
    identity: Option<Identity>,
) -> Result<Copied, CopyError> {
    disk::remove_tree(to)?;
    let control = identify(bin, from)?;
    if control.state != State::ShutDown || disk::exists(&from.join("postmaster.pid"))? {
        return Err(CopyError::NotShutDown(from.to_owned()));
    }
    let mut copy =
        Copy { control, identity, try_reflink: true, copied: Copied { reflinked: true, files: 0, bytes: 0 } };
    copy.folder(from, to, Path::new(""))?;
    Ok(copy.copied)
}

struct Copy {
    control: ControlFile,
    identity: Option<Identity>,
    /// Until the file system has said that it cannot.
    try_reflink: bool,
    copied: Copied,
}

impl Copy {
    /// `inside` is the folder's path within the data directory.
    fn folder(&mut self, from: &Path, to: &Path, inside: &Path) -> Result<(), CopyError> {
        DirBuilder::new().mode(0o700).create(to).map_err(fault("create folder", to))?;
        if let Some(Identity { uid, gid }) = self.identity {
            lchown(to, Some(uid), Some(gid)).map_err(fault("change the owner of", to))?;
        }
        for entry in fs::read_dir(from).map_err(fault("list", from))? {
            let entry = entry.map_err(fault("list", from))?;
            let (source, target) = (entry.path(), to.join(entry.file_name()));
            let inside = inside.join(entry.file_name());
            let kind = entry.file_type().map_err(fault("look at", &source))?;
            if kind.is_dir() {
                self.folder(&source, &target, &inside)?;
            } else if !kind.is_file() {
                return Err(CopyError::NotAFile(source));
            } else if self.wanted(&inside) {
                self.file(&source, &target)?;
            }
        }
        Ok(())
    }

    fn wanted(&self, inside: &Path) -> bool {
        match inside.parent().and_then(Path::to_str) {
            Some("") => !inside.ends_with("postmaster.opts"),
            // What the template had still to archive is nothing to its copy.
            Some("pg_wal/archive_status") => false,
            Some("pg_wal") => {
                let ControlFile { timeline, redo, segment_size, .. } = self.control;
                let last = Segment::at(timeline, redo, segment_size).file_name(segment_size);
                inside.ends_with(last) || inside.extension().is_some_and(|end| end == "history")
            }
            _ => true,
        }
    }

    fn file(&mut self, from: &Path, to: &Path) -> Result<(), FileError> {
        let mut source = File::open(from).map_err(fault("open", from))?;
        let mut target = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(to)
            .map_err(fault("create", to))?;
        if let Some(Identity { uid, gid }) = self.identity {
            fchown(&target, Some(uid), Some(gid)).map_err(fault("change the owner of", to))?;
        }
        let length = source.metadata().map_err(fault("look at", from))?.len();
        if !self.reflink(&source, &target).map_err(fault("clone into", to))? {
            // On Linux this is copy_file_range where that works.
            io::copy(&mut source, &mut target).map_err(fault("copy into", to))?;
            self.copied.reflinked = false;
        }
        self.copied.files += 1;
        self.copied.bytes += length;
        Ok(())
    }

    /// Whether the target now is a clone of the source.
    fn reflink(&mut self, source: &File, target: &File) -> io::Result<bool> {
        if !self.try_reflink {
            return Ok(false);
        }
        match rustix::fs::ioctl_ficlone(target, source) {
            Ok(()) => Ok(true),
            Err(Errno::OPNOTSUPP | Errno::NOTTY | Errno::XDEV | Errno::INVAL | Errno::NOSYS) => {
                self.try_reflink = false;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}

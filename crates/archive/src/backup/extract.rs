//! Giving a base backup back as a data directory.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown, fchown};
use std::path::{Path, PathBuf};

use daemon::fault;
use model::program::Identity;
use model::{BackupId, LineageId};
use sha2::{Digest, Sha256};

use super::CHUNK;
use super::manifest::{FileEntry, Manifest};
use crate::disk::{self, FileError, failed};
use crate::record::RecordError;
use crate::repository::TenantArchive;

#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    #[error("backup {0} is not in the repository")]
    UnknownBackup(BackupId),
    #[error("backup {0} is of a kind that this Heddle cannot read")]
    Unsound(BackupId),
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    #[error("backup {backup} is damaged: {what}")]
    Damaged { backup: BackupId, what: String },
    #[error("read the data of backup {backup}")]
    Data { backup: BackupId, source: io::Error },
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    File(#[from] FileError),
}

impl TenantArchive {
    /// What a backup says about itself.
    pub async fn manifest(&self, lineage: LineageId, backup: BackupId) -> Result<Manifest, ExtractError> {
        self.blocking(move |archive| archive.read_manifest(lineage, backup)).await
    }

    pub(crate) fn read_manifest(
        &self,
        lineage: LineageId,
        backup: BackupId,
    ) -> Result<Manifest, ExtractError> {
        let path = self.backup_folder(lineage, backup).join("manifest");
        let manifest: Manifest = self.read_record(&path)?.ok_or(ExtractError::UnknownBackup(backup))?;
        let held = &manifest.backup;
        if held.id != backup || held.lineage != lineage || manifest.tenant != self.tenant {
            return Err(RecordError::Misplaced(path).into());
        }
        if !manifest.is_sound() {
            return Err(ExtractError::Unsound(backup));
        }
        Ok(manifest)
    }

    /// Makes `dest` a data directory out of a backup, with the backup's label
    /// in it and `pg_wal` empty, everything owned by `identity`. Every byte is
    /// checked. `dest` appears only when it is whole and durable; on the way
    /// `<dest>.new` is used and replaced if it is there. `progress` gets the
    /// bytes written and the bytes of the whole.
    pub async fn extract_backup(
        &self,
        lineage: LineageId,
        backup: BackupId,
        dest: &Path,
        identity: Option<Identity>,
        progress: impl Fn(u64, u64) + Send + 'static,
    ) -> Result<Manifest, ExtractError> {
        let dest = dest.to_owned();
        self.blocking(move |archive| {
            let manifest = archive.read_manifest(lineage, backup)?;
            if fs::symlink_metadata(&dest).is_ok() {
                return Err(ExtractError::Exists(dest));
            }
            let mut name = dest.clone().into_os_string();
            name.push(".new");
            let new = PathBuf::from(name);
            match fs::remove_dir_all(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("remove", &new)(error).into());
                }
                _ => {}
            }
            let data = archive.backup_folder(lineage, backup).join(&manifest.data.name);
            let unpacked = unpack(archive, &data, &manifest, &new, identity, &progress).and_then(|()| {
                disk::sync_file_system(&new)?;
                fault::point("archive.extract.rename");
                fs::rename(&new, &dest).map_err(failed("rename into place", &dest))?;
                Ok(disk::sync_parent(&dest)?)
            });
            if unpacked.is_err() {
                let _ = fs::remove_dir_all(&new);
            }
            unpacked.map(|()| manifest)
        })
        .await
    }
}

fn unpack(
    archive: &TenantArchive,
    data: &Path,
    manifest: &Manifest,
    dest: &Path,
    identity: Option<Identity>,
    progress: &dyn Fn(u64, u64),
) -> Result<(), ExtractError> {
    // The way in stays closed to the new owner, who may be running other
    // programs already, until nothing is written there any more.
    folder(dest, None)?;
    for directory in &manifest.directories {
        folder(&dest.join(directory), identity)?;
    }

    read_data(archive, data, manifest, progress, |told, content| {
        let path = dest.join(&told.path);
        let mut file = create(&path, identity).map_err(WriteError::File)?;
        copy_checked(content, told, &path, &mut file)
    })?;

    let label = dest.join("backup_label");
    let (mut file, bytes) = (create(&label, identity)?, manifest.backup_label.as_bytes());
    file.write_all(bytes).map_err(failed("write", &label))?;
    Ok(give(dest, identity)?)
}

/// Reads a backup's data to its end, every byte of it checked; nothing is
/// written. `progress` gets the bytes read and the bytes of the whole.
pub(crate) fn check_data(
    archive: &TenantArchive,
    data: &Path,
    manifest: &Manifest,
    progress: &dyn Fn(u64, u64),
) -> Result<(), ExtractError> {
    read_data(archive, data, manifest, progress, |told, content| {
        copy_checked(content, told, data, &mut io::sink())
    })
}

/// Gives each file of the data to `take`, in order, and checks all the rest.
fn read_data(
    archive: &TenantArchive,
    data: &Path,
    manifest: &Manifest,
    progress: &dyn Fn(u64, u64),
    mut take: impl FnMut(&FileEntry, &mut dyn Read) -> Result<(), WriteError>,
) -> Result<(), ExtractError> {
    let backup = manifest.backup.id;
    let damaged = |what: String| ExtractError::Damaged { backup, what };
    let unreadable = |source| ExtractError::Data { backup, source };
    let missing = || failed("open", data)(io::ErrorKind::NotFound.into());
    let object = archive.open_object(data)?.ok_or_else(missing)?;
    let mut tar = tar::Archive::new(object);
    let mut expected: HashMap<&str, &FileEntry> =
        manifest.files.iter().map(|file| (file.path.as_str(), file)).collect();
    let mut done = 0;
    for entry in tar.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        let path = entry.path_bytes().into_owned();
        // Only what the manifest names is ever made, so no path is trusted.
        let told = std::str::from_utf8(&path).ok().and_then(|path| expected.remove(path));
        let Some(told) =
            told.filter(|told| entry.size() == told.size && entry.header().entry_type().is_file())
        else {
            return Err(damaged(format!("{} is not as its manifest says", String::from_utf8_lossy(&path))));
        };
        take(told, &mut entry).map_err(|error| match error {
            WriteError::Read(source) => unreadable(source),
            WriteError::Mismatch => damaged(format!("{} does not have its checksum", told.path)),
            WriteError::File(error) => error.into(),
        })?;
        done += told.size;
        progress(done, manifest.backup.size);
    }
    if let Some(path) = expected.keys().min() {
        return Err(damaged(format!("{path} is missing")));
    }
    // To the end, past the tar's padding, so that all of it is checked.
    let mut rest = tar.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(unreadable)?;
    Ok(())
}

enum WriteError {
    Read(io::Error),
    Mismatch,
    File(FileError),
}

fn copy_checked(
    content: &mut dyn Read,
    told: &FileEntry,
    path: &Path,
    to: &mut dyn Write,
) -> Result<(), WriteError> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK.min(told.size as usize).max(1)];
    let mut left = told.size;
    while left > 0 {
        let read = match content.read(&mut buffer) {
            Ok(0) => return Err(WriteError::Mismatch),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map_err(WriteError::Read)?,
        };
        hash.update(&buffer[..read]);
        to.write_all(&buffer[..read]).map_err(failed("write", path)).map_err(WriteError::File)?;
        left = left.saturating_sub(read as u64);
    }
    match hex::encode(hash.finalize()) == told.sha256 {
        true => Ok(()),
        false => Err(WriteError::Mismatch),
    }
}

/// A folder of mode 0700, as PostgreSQL wants its own.
fn folder(path: &Path, identity: Option<Identity>) -> Result<(), FileError> {
    DirBuilder::new().mode(0o700).create(path).map_err(failed("create folder", path))?;
    give(path, identity)
}

fn give(path: &Path, identity: Option<Identity>) -> Result<(), FileError> {
    match identity {
        Some(Identity { uid, gid }) => {
            chown(path, Some(uid), Some(gid)).map_err(failed("change the owner of", path))
        }
        None => Ok(()),
    }
}

fn create(path: &Path, identity: Option<Identity>) -> Result<File, FileError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let file = options.open(path).map_err(failed("create", path))?;
    if let Some(Identity { uid, gid }) = identity {
        fchown(&file, Some(uid), Some(gid)).map_err(failed("change the owner of", path))?;
    }
    Ok(file)
}

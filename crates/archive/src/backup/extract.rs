//! Giving a base backup back as a data directory.

use std::collections::{HashMap, HashSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, chown, fchown};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use daemon::fault;
use model::program::Identity;
use model::{BackupId, LineageId};
use sha2::{Digest, Sha256};

use super::CHUNK;
use super::manifest::{FileEntry, Manifest, Pack, Part};
use crate::disk::{self, FileError, failed};
use crate::object::is_damage;
use crate::pace::give_way;
use crate::record::RecordError;
use crate::repository::TenantArchive;
use crate::seal::Opener;
use crate::store::Content;

/// No row of backups is longer.
const LONGEST: usize = 64;

#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    #[error("backup {0} is not in the repository")]
    UnknownBackup(BackupId),
    #[error("backup {0} is of a kind that this Heddle cannot read")]
    Unsound(BackupId),
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    #[error("pack {pack} of backup {backup} is damaged: {what}")]
    Damaged { backup: BackupId, pack: String, what: String },
    #[error("read pack {pack} of backup {backup}")]
    Data { backup: BackupId, pack: String, source: io::Error },
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

    /// A backup after those that it holds the changes since, the whole one first.
    pub(crate) fn read_row(
        &self,
        lineage: LineageId,
        backup: BackupId,
    ) -> Result<Vec<Manifest>, ExtractError> {
        let mut row = vec![self.read_manifest(lineage, backup)?];
        while let Some(base) = row.last().and_then(|manifest| manifest.base) {
            let manifest = self.read_manifest(lineage, base)?;
            let later = row.last().is_some_and(|later| manifest.backup.stop > later.backup.start);
            if later || row.len() == LONGEST {
                return Err(ExtractError::Unsound(backup));
            }
            row.push(manifest);
        }
        row.reverse();
        Ok(row)
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
            let mut row = archive.read_row(lineage, backup)?;
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
            let mut tell = move |done, of| progress(done, of);
            let unpacked = unpack(archive, &row, &new, identity, &mut tell).and_then(|()| {
                disk::sync_file_system(&new)?;
                fault::point("archive.extract.rename");
                fs::rename(&new, &dest).map_err(failed("rename into place", &dest))?;
                Ok(disk::sync_parent(&dest)?)
            });
            if unpacked.is_err() {
                let _ = fs::remove_dir_all(&new);
            }
            unpacked.and_then(|()| row.pop().ok_or(ExtractError::UnknownBackup(backup)))
        })
        .await
    }
}

/// Unpacks a whole backup, then what changed, one backup after the other.
fn unpack(
    archive: &TenantArchive,
    row: &[Manifest],
    dest: &Path,
    identity: Option<Identity>,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<(), ExtractError> {
    // The way in stays closed to the new owner, who may be running other
    // programs already, until nothing is written there any more.
    folder(dest, None)?;
    let total = row.iter().map(Manifest::content).sum();
    let mut told = 0;
    let mut there: Option<&Manifest> = None;
    for manifest in row {
        if let Some(there) = there {
            clear(there, manifest, dest)?;
        }
        for directory in &manifest.directories {
            let path = dest.join(directory);
            if !path.exists() {
                folder(&path, identity)?;
            }
        }
        let before: HashMap<&str, u64> =
            there.iter().flat_map(|there| &there.files).map(|file| (&*file.path, file.size)).collect();
        for file in &manifest.files {
            if file.base && before.get(&*file.path) == Some(&file.size) {
                continue;
            }
            let path = dest.join(&file.path);
            if file.base {
                let open = OpenOptions::new().write(true).open(&path);
                open.and_then(|open| open.set_len(file.size)).map_err(failed("go on with", &path))?;
            } else if file.parts.len() != 1 {
                // Those in several packs are written by several threads, and
                // empty ones by none.
                create(&path, identity)?;
            }
        }
        let mut tell = |done: u64, _| progress(told + done, total);
        read_packs(archive, manifest, archive.inner.store.width(), &mut tell, &Into { dest, identity })?;
        told += manifest.content();
        there = Some(manifest);
    }
    let Some(last) = there else { return Ok(()) };
    let label = dest.join("backup_label");
    let (mut file, bytes) = (create(&label, identity)?, last.backup_label.as_bytes());
    file.write_all(bytes).map_err(failed("write", &label))?;
    Ok(give(dest, identity)?)
}

/// Removes what of `there` the next backup does not have, or has anew.
fn clear(there: &Manifest, next: &Manifest, dest: &Path) -> Result<(), FileError> {
    let goes_on: HashSet<&str> =
        next.files.iter().filter(|file| file.base).map(|file| file.path.as_str()).collect();
    for file in there.files.iter().filter(|file| !goes_on.contains(file.path.as_str())) {
        disk::remove_file(&dest.join(&file.path))?;
    }
    let stays: HashSet<&String> = next.directories.iter().collect();
    // The deeper ones first.
    for directory in there.directories.iter().rev().filter(|directory| !stays.contains(directory)) {
        let path = dest.join(directory);
        fs::remove_dir(&path).map_err(failed("remove folder", &path))?;
    }
    Ok(())
}

/// Reads a backup's packs to their ends, every byte checked; nothing is
/// written. `progress` gets the bytes read and the bytes of the whole.
pub(crate) fn check_packs(
    archive: &TenantArchive,
    manifest: &Manifest,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<(), ExtractError> {
    read_packs(archive, manifest, 1, progress, &Nowhere)
}

/// Where the pieces of files go.
trait Sink: Sync {
    type Open;
    fn open(&self, file: &FileEntry) -> Result<Self::Open, FileError>;
    fn write(&self, open: &Self::Open, at: u64, bytes: &[u8]) -> io::Result<()>;
}

struct Into<'a> {
    dest: &'a Path,
    identity: Option<Identity>,
}

impl Sink for Into<'_> {
    type Open = File;

    fn open(&self, file: &FileEntry) -> Result<File, FileError> {
        let path = self.dest.join(&file.path);
        match file.parts.len() {
            1 if !file.base => create(&path, self.identity),
            _ => OpenOptions::new().write(true).open(&path).map_err(failed("open", &path)),
        }
    }

    fn write(&self, open: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
        open.write_all_at(bytes, at)
    }
}

struct Nowhere;

impl Sink for Nowhere {
    type Open = ();

    fn open(&self, _file: &FileEntry) -> Result<(), FileError> {
        Ok(())
    }

    fn write(&self, _open: &(), _at: u64, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

/// Reads all packs, `width` at once, and gives each piece to the sink.
fn read_packs(
    archive: &TenantArchive,
    manifest: &Manifest,
    width: usize,
    progress: &mut (dyn FnMut(u64, u64) + Send),
    sink: &impl Sink,
) -> Result<(), ExtractError> {
    let packs = manifest.by_pack();
    let next = AtomicUsize::new(0);
    let (told, total) = (Mutex::new((0, progress)), manifest.content());
    let tell = |count: u64| {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        let (done, progress) = &mut *told;
        *done += count;
        progress(*done, total);
    };
    let work = || {
        give_way();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let (Some(pack), Some(pieces)) = (manifest.packs.get(number), packs.get(number)) else {
                return Ok(());
            };
            read_pack(archive, manifest, pack, pieces, &tell, sink).inspect_err(|_| {
                // Nobody takes another one.
                next.store(packs.len(), Ordering::Relaxed);
            })?;
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..width).map(|_| scope.spawn(work)).collect();
        // All are waited for: what failed is removed afterwards.
        let ended: Vec<_> = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect();
        ended.into_iter().collect()
    })
}

fn read_pack<S: Sink>(
    archive: &TenantArchive,
    manifest: &Manifest,
    pack: &Pack,
    pieces: &[(&FileEntry, &Part)],
    tell: &dyn Fn(u64),
    sink: &S,
) -> Result<(), ExtractError> {
    let backup = manifest.backup.id;
    let path = archive.backup_folder(manifest.backup.lineage, backup).join(&pack.name);
    let damaged = |what: String| ExtractError::Damaged { backup, pack: pack.name.clone(), what };
    let unreadable = |source| ExtractError::Data { backup, pack: pack.name.clone(), source };
    let object = archive.open_object(&path).map_err(|error| match is_damage(&error) {
        true => unreadable(error.source),
        false => error.into(),
    })?;
    let mut object = object.ok_or_else(|| damaged("it is missing".to_owned()))?;
    let mut reached = 0;
    let mut buffer = vec![0; CHUNK];
    let skip = |object: &mut Opener<Content>, count: u64| -> Result<(), ExtractError> {
        let skipped = io::copy(&mut object.take(count), &mut io::sink()).map_err(unreadable)?;
        if skipped == count {
            Ok(())
        } else {
            Err(damaged("it is shorter than its manifest says".to_owned()))
        }
    };
    let mut left = pieces;
    while let Some((&(file, part), rest)) = left.split_first() {
        // Of files that went away while they were copied.
        let Some(gap) = part.offset.checked_sub(reached) else {
            return Err(damaged(format!("{} overlaps another", file.path)));
        };
        skip(&mut object, gap)?;
        let open = sink.open(file)?;
        let mut hash = Sha256::new();
        for (at, length) in part.runs() {
            let mut done = 0;
            while done < length {
                let chunk = &mut buffer[..usize::try_from(length - done).unwrap_or(CHUNK).min(CHUNK)];
                object.read_exact(chunk).map_err(unreadable)?;
                hash.update(&*chunk);
                let written = sink.write(&open, at + done, chunk);
                written.map_err(failed("write", Path::new(&file.path)))?;
                done += chunk.len() as u64;
                tell(chunk.len() as u64);
            }
        }
        if hex::encode(hash.finalize()) != part.sha256 {
            return Err(damaged(format!("{} does not have its checksum", file.path)));
        }
        // Small files that are equal name the same bytes: those just read.
        let equal = rest.iter().take_while(|(_, other)| part.is_shared_by(other)).count();
        let (equal, rest) = rest.split_at(equal);
        for (file, other) in equal {
            let bytes = &buffer[..part.length as usize];
            let written = sink.open(file).and_then(|open| {
                sink.write(&open, other.at, bytes).map_err(failed("write", Path::new(&file.path)))
            });
            written?;
            tell(part.length);
        }
        reached = part.offset + part.length;
        left = rest;
    }
    // To its end: only there it is known that nothing is missing.
    skip(&mut object, pack.content.saturating_sub(reached))?;
    match object.read(&mut [0]).map_err(unreadable)? {
        0 => Ok(()),
        _ => Err(damaged("it is longer than its manifest says".to_owned())),
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

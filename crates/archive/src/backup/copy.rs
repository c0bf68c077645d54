//! Copying a data directory that is in use into packs, several at once. Files
//! come, go, grow and shrink meanwhile; the WAL of the backup makes up for all
//! of it.

use std::collections::HashMap;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use model::BackupId;
use model::lsn::Lsn;
use sha2::{Digest, Sha256};

use super::list::{self, CONTROL, Listed};
use super::manifest::{DamagedPage, FileEntry, Pack, Part};
use super::page::{self, PAGE, Page};
use super::plan::{Piece, plan};
use super::{CHUNK, PACK};
use crate::disk::{FileError, Linked};
use crate::pace::give_way;
use crate::repository::TenantArchive;
use crate::store::Upload;
use crate::tree::{Folder, TreeError};

/// So small that a small cell is read by several threads too.
const SMALLEST: u64 = 4 << 20;

/// A page that does not match its checksum may be in the midst of a write.
const LOOKS: usize = 10;
const PAUSE: Duration = Duration::from_millis(10);

/// More damaged pages than these are not listed.
const MOST_DAMAGED: usize = 1000;

#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("{} is a link; tablespaces and other links are not backed up", .0.display())]
    Link(PathBuf),
    #[error("{} is neither a file nor a folder", .0.display())]
    Special(PathBuf),
    #[error("{} has a name that is not UTF-8", .0.display())]
    Name(PathBuf),
    #[error("the control file could not be read as a whole")]
    TornControl,
    #[error("the data directory is of a cluster with another system identifier ({found}, not {expected})")]
    WrongSystem { found: u64, expected: u64 },
    #[error("read the data directory")]
    Tree(#[from] TreeError),
    #[error("read {path}")]
    Read { path: String, source: io::Error },
    #[error("write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} is in the repository already", .0.display())]
    Taken(PathBuf),
    #[error(transparent)]
    File(#[from] FileError),
}

/// What is copied.
pub(super) struct Source<'a> {
    pub data: &'a Folder,
    pub system_identifier: u64,
    /// Where replay will start.
    pub start: Lsn,
    /// Whether the cluster's pages have checksums.
    pub checksums: bool,
    /// What only the changes since are copied of.
    pub base: Option<Base>,
}

/// An earlier backup.
pub(super) struct Base {
    pub id: BackupId,
    pub start: Lsn,
    pub files: HashMap<String, Known>,
}

/// What is known of a file of an earlier backup.
pub(super) struct Known {
    pub size: u64,
    /// Of all of it; None: it is in several parts.
    pub sha256: Option<String>,
}

pub(super) struct Copied {
    pub packs: Vec<Pack>,
    pub directories: Vec<String>,
    pub files: Vec<FileEntry>,
    pub damaged: Vec<DamagedPage>,
    pub size: u64,
    pub stored: u64,
    pub postgres: String,
    /// Their locks tell others that the packs are no leftovers.
    pub held: Vec<Upload>,
}

/// A pack that was written.
struct Packed {
    pack: Pack,
    upload: Upload,
    /// By the listed file; None: it was gone.
    parts: Vec<(usize, Option<Done>)>,
    damaged: Vec<DamagedPage>,
}

/// Where a piece's bytes begin.
#[derive(Clone, Copy)]
struct Place {
    pack: u32,
    offset: u64,
}

/// A piece that was copied.
struct Done {
    part: Part,
    /// Bytes of the file that it stands for.
    covers: u64,
    /// The rest of them are the base's.
    base: bool,
}

/// What all threads of a copy share.
struct Copy<'a> {
    archive: &'a TenantArchive,
    /// Where the packs go.
    folder: &'a Path,
    source: &'a Source<'a>,
    files: &'a [Listed],
    expected: u64,
    /// Where small files are that were stored, by their hashes.
    stored: Mutex<HashMap<[u8; 32], Place>>,
    done: Mutex<u64>,
    progress: Mutex<&'a mut (dyn FnMut(u64, u64) + Send)>,
    broken_off: AtomicBool,
}

/// Copies the data directory into packs below `folder`, each durable. `progress`
/// gets the bytes read and the bytes expected.
pub(super) fn copy(
    archive: &TenantArchive,
    folder: &Path,
    source: &Source<'_>,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<Copied, CopyError> {
    let data = source.data;
    let postgres = String::from_utf8_lossy(&data.read("PG_VERSION", 64)?).trim().to_owned();
    let mut listing = list::list(data)?;
    // Databases that were made from one another have nearly the same files under
    // the same names: side by side they compress best.
    listing.files.sort_by(|one, two| name(&one.path).cmp(&name(&two.path)));
    // Each holds up to a pack in memory on its way to a bucket.
    let width = archive.inner.store.width().clamp(2, 4);
    let target = (listing.size / (2 * width as u64)).clamp(SMALLEST, PACK);
    let plan = plan(&listing.files, target);
    let copy = Copy {
        archive,
        folder,
        source,
        files: &listing.files,
        expected: listing.size,
        stored: Mutex::default(),
        done: Mutex::new(0),
        progress: Mutex::new(progress),
        broken_off: AtomicBool::new(false),
    };
    let next = AtomicUsize::new(0);
    let work = || {
        give_way();
        let mut packed = Vec::new();
        while !copy.broken_off.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(pieces) = plan.get(number) else { break };
            match copy.pack(number, pieces) {
                Ok(mut done) => {
                    // One for each thread keeps the folder from being swept.
                    let held = packed.is_empty().then_some(done.upload);
                    packed.push((number, done.pack, std::mem::take(&mut done.parts), done.damaged, held));
                }
                Err(error) => {
                    copy.broken_off.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(packed)
    };
    let mut packed = thread::scope(|scope| {
        let threads: Vec<_> = (0..width).map(|_| scope.spawn(work)).collect();
        let mut packed = Vec::new();
        let mut failed = None;
        for thread in threads {
            match thread.join().unwrap_or_else(|panic| resume_unwind(panic)) {
                Ok(some) => packed.extend(some),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(packed), Err)
    })?;
    packed.sort_by_key(|(number, ..)| *number);

    // The control file last: it must not be older than any file it speaks of.
    let control = list::read_control(data, source.system_identifier)?;
    let number = packed.len();
    let last = copy.write(number, |sealer| sealer.write_all(&control))?;
    let mut files: Vec<_> = listing.files.iter().map(|file| Some(entry(&file.path))).collect();
    let mut copied = Copied {
        packs: Vec::with_capacity(number + 1),
        directories: listing.directories,
        files: Vec::new(),
        damaged: Vec::new(),
        size: 0,
        stored: 0,
        postgres,
        held: Vec::new(),
    };
    for (_, pack, parts, damaged, held) in packed {
        copied.packs.push(pack);
        copied.damaged.extend(damaged);
        copied.held.extend(held);
        for (file, part) in parts {
            match (&mut files[file], part) {
                (Some(entry), Some(done)) => {
                    entry.size += done.covers;
                    entry.base = done.base;
                    entry.parts.push(done.part);
                }
                (entry, None) => *entry = None,
                (None, _) => {}
            }
        }
    }
    copied.damaged.truncate(MOST_DAMAGED);
    copied.files = files.into_iter().flatten().collect();
    copied.files.sort_by(|one, two| one.path.cmp(&two.path));
    // A part of nothing holds nothing.
    copied.files.iter_mut().for_each(|file| file.parts.retain(|part| part.length > 0));
    let sha256 = hex::encode(Sha256::digest(&control));
    let length = control.len() as u64;
    let part = Part { pack: number as u32, offset: 0, length, at: 0, sha256, blocks: Vec::new() };
    copied.files.push(FileEntry { size: length, parts: vec![part], ..entry(CONTROL) });
    copied.packs.push(last.0);
    copied.held.push(last.1);
    copied.size = copied.files.iter().map(|file| file.size).sum();
    copied.stored = copied.packs.iter().map(|pack| pack.stored).sum();
    archive.inner.store.settle(folder)?;
    let size = copied.size;
    copy.progress.into_inner().unwrap_or_else(PoisonError::into_inner)(size, size);
    Ok(copied)
}

/// A path with the file's own name first.
fn name(path: &str) -> (&str, &str) {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    (name, folder)
}

fn entry(path: &str) -> FileEntry {
    FileEntry { path: path.to_owned(), size: 0, base: false, parts: Vec::new() }
}

impl Copy<'_> {
    /// Writes a pack, durably.
    fn write(
        &self,
        number: usize,
        fill: impl FnOnce(&mut crate::seal::Sealer<Upload>) -> io::Result<()>,
    ) -> Result<(Pack, Upload), CopyError> {
        let name = format!("{number:06}");
        let path = self.folder.join(&name);
        let failed = |source| CopyError::Write { path: path.clone(), source };
        let mut sealer = self.archive.begin_object(&path)?;
        fill(&mut sealer).map_err(failed)?;
        let content = sealer.content();
        let sealed = sealer.finish().map_err(failed)?;
        let mut upload = sealed.inner;
        upload.sync()?;
        if upload.place()? == Linked::Taken {
            return Err(CopyError::Taken(path));
        }
        Ok((Pack { name, content, stored: sealed.stored }, upload))
    }

    fn pack(&self, number: usize, pieces: &[Piece]) -> Result<Packed, CopyError> {
        let (mut parts, mut damaged, mut failed) = (Vec::new(), Vec::new(), None);
        let written = self.write(number, |sealer| {
            let mut buffer = vec![0; CHUNK];
            for piece in pieces {
                let here = Place { pack: number as u32, offset: sealer.content() };
                match self.piece(piece, &mut buffer, here, sealer, &mut damaged) {
                    Ok(done) => parts.push((piece.file, done)),
                    Err(PieceError::Seal(error)) => return Err(error),
                    Err(PieceError::Copy(error)) => {
                        failed = Some(error);
                        return Err(io::ErrorKind::Interrupted.into());
                    }
                }
            }
            Ok(())
        });
        if let Some(error) = failed {
            return Err(error);
        }
        let (pack, upload) = written?;
        Ok(Packed { pack, upload, parts, damaged })
    }

    /// Copies a piece to where `to` is; None: the file is gone.
    fn piece(
        &self,
        piece: &Piece,
        buffer: &mut [u8],
        here: Place,
        to: &mut dyn Write,
        damaged: &mut Vec<DamagedPage>,
    ) -> Result<Option<Done>, PieceError> {
        let path = &self.files[piece.file].path;
        let (file, stat) = match self.source.data.file_at(path) {
            Ok(found) => found,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) if error.is_link() => {
                return Err(CopyError::Link(self.source.data.path().join(path)).into());
            }
            Err(error) => return Err(CopyError::from(error).into()),
        };
        let mut length = piece.length.unwrap_or_else(|| u64::try_from(stat.st_size).unwrap_or(0));
        let pages = page::first_block(path).filter(|_| self.source.checksums);
        let known = self.source.base.as_ref().and_then(|base| Some((base.start, base.files.get(path)?)));
        let since = known.filter(|_| pages.is_some() && page::tells_changes(path));
        let since = since.map(|(start, file)| (start, file.size));
        if since.is_some() {
            // A page that is just being added is in the WAL.
            length -= length % PAGE as u64;
        }
        let read_failed = |source| CopyError::Read { path: path.clone(), source };
        let mut hash = Sha256::new();
        let (mut at, mut stored, mut blocks) = (0, 0, Vec::new());
        // The databases that every cluster begins with are the same files thrice.
        let small = piece.length.is_none() && since.is_none() && (1..=CHUNK as u64).contains(&length);
        let mut digest: Option<[u8; 32]> = None;
        let mut store = |bytes: &[u8]| {
            if !small {
                hash.update(bytes);
            }
            stored += bytes.len() as u64;
            to.write_all(bytes).map_err(PieceError::Seal)
        };
        while at < length {
            let chunk = &mut buffer[..usize::try_from(length - at).unwrap_or(usize::MAX).min(CHUNK)];
            let place = piece.at + at;
            read_at(&file, chunk, place).map_err(read_failed)?;
            if let Some(first) = pages {
                for (index, bytes) in chunk.chunks_exact_mut(PAGE).enumerate() {
                    let place = place + (index * PAGE) as u64;
                    let block = place / PAGE as u64;
                    let whole = self.settle_page(&file, bytes, first + block, place).map_err(read_failed)?;
                    if !whole {
                        damaged.push(DamagedPage { path: path.clone(), at: place });
                    }
                    if let Some((start, known)) = since
                        && (!whole || place >= known || page::is_new(bytes) || page::lsn(bytes) >= start)
                    {
                        add(&mut blocks, block as u32);
                        store(bytes)?;
                    }
                }
            }
            if small {
                // The chunk is all of the file.
                let new = Sha256::digest(&*chunk).into();
                if let Some(done) = self.there(&new, length, here, known.map(|(_, file)| file)) {
                    self.tell(length);
                    return Ok(Some(done));
                }
                digest = Some(new);
            }
            if since.is_none() {
                store(chunk)?;
            }
            at += chunk.len() as u64;
            self.tell(chunk.len() as u64);
        }
        if let Some(digest) = digest {
            self.stored.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, here);
        }
        let sha256 = hex::encode(digest.unwrap_or_else(|| hash.finalize().into()));
        let Place { pack, offset } = here;
        let part = Part { pack, offset, length: stored, at: piece.at, sha256, blocks };
        Ok(Some(Done { part, covers: length, base: since.is_some() }))
    }

    /// Whether the bytes of a whole file need not be stored: the base has it as
    /// it is, or another file of this backup is equal.
    fn there(&self, digest: &[u8; 32], covers: u64, here: Place, known: Option<&Known>) -> Option<Done> {
        let sha256 = hex::encode(digest);
        let part = |Place { pack, offset }, length, sha256| Part {
            pack,
            offset,
            length,
            at: 0,
            sha256,
            blocks: Vec::new(),
        };
        if known.is_some_and(|known| known.size == covers && known.sha256.as_ref() == Some(&sha256)) {
            return Some(Done { part: part(here, 0, sha256), covers, base: true });
        }
        let place = *self.stored.lock().unwrap_or_else(PoisonError::into_inner).get(digest)?;
        Some(Done { part: part(place, covers, sha256), covers, base: false })
    }

    /// Whether a page is whole, or will be by replay; it is read again while it
    /// does not look so.
    fn settle_page(&self, file: &std::fs::File, bytes: &mut [u8], block: u64, at: u64) -> io::Result<bool> {
        for look in 0.. {
            if page::look(bytes, block, self.source.start) != Page::Broken {
                return Ok(true);
            }
            if look == LOOKS {
                break;
            }
            thread::sleep(PAUSE);
            read_at(file, bytes, at)?;
        }
        Ok(false)
    }

    fn tell(&self, count: u64) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        *done += count;
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress(*done, self.expected.max(*done));
    }
}

/// Adds a block to the runs of them.
fn add(blocks: &mut Vec<(u32, u32)>, block: u32) {
    match blocks.last_mut() {
        Some((first, count)) if *first + *count == block => *count += 1,
        _ => blocks.push((block, 1)),
    }
}

/// Fills the buffer from a file; with zeros where the file does not reach any
/// more, which replay puts right.
fn read_at(file: &std::fs::File, buffer: &mut [u8], at: u64) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], at + filled as u64) {
            Ok(0) => {
                buffer[filled..].fill(0);
                break;
            }
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

enum PieceError {
    Seal(io::Error),
    Copy(CopyError),
}

impl From<CopyError> for PieceError {
    fn from(error: CopyError) -> Self {
        Self::Copy(error)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_file_that_shrank_is_filled_up() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abc").unwrap();
        let mut read = [7; 6];
        read_at(&file, &mut read, 0).unwrap();
        assert_eq!(&read, b"abc\0\0\0");
        read_at(&file, &mut read, 9).unwrap();
        assert_eq!(read, [0; 6]);
    }
}

//! Putting WAL where a recovery looks for it, several segments at once and
//! ahead of need, instead of one by one when it asks.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown, fchown};
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use model::lsn::Segment;
use model::program::Identity;
use model::restore::Plan;

use super::fetch::{FetchError, WalChain};
use crate::disk::{self, FileError, failed};
use crate::pace::give_way;
use crate::repository::TenantArchive;

/// More than this is left to be asked for: it would fill the disk of a cell
/// whose backup is old. PostgreSQL removes what it has replayed, and only that.
const MOST: u64 = 4 << 30;

/// What was put in place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlacedWal {
    pub segments: u64,
    pub bytes: u64,
    /// Segments that the recovery will ask for.
    pub left: u64,
}

impl TenantArchive {
    /// Puts the segments that `plan` may read into the stopped cluster's
    /// `pg_wal`, as if PostgreSQL had fetched and archived them. Each is checked
    /// as when it is fetched. Durable on return; may be repeated.
    pub async fn place_wal(
        &self,
        plan: &Plan,
        data_dir: &Path,
        identity: Option<Identity>,
    ) -> Result<PlacedWal, FetchError> {
        let chain = self.chain(plan.clone()).await?;
        let data_dir = data_dir.to_owned();
        self.blocking(move |archive| archive.place_chain(&chain, &data_dir, identity)).await
    }

    fn place_chain(
        &self,
        chain: &WalChain,
        data_dir: &Path,
        identity: Option<Identity>,
    ) -> Result<PlacedWal, FetchError> {
        let pg_wal = data_dir.join("pg_wal");
        let status = pg_wal.join("archive_status");
        match DirBuilder::new().mode(0o700).create(&status) {
            Ok(()) => give(&status, identity)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed("create folder", &status)(error).into()),
        }
        let (mut segments, size) = chain.segments();
        let whole = segments.len();
        segments.truncate(usize::try_from(MOST / u64::from(size.0)).unwrap_or(usize::MAX));
        let (next, bytes) = (AtomicUsize::new(0), AtomicU64::new(0));
        let place = |segment: &Segment| -> Result<(), FetchError> {
            let name = segment.file_name(size);
            let found =
                self.fetch(chain, &name)?.ok_or_else(|| FetchError::Missing { name: name.clone() })?;
            write(&pg_wal.join(&name), &found, identity)?;
            // Or it would be archived again, into the new lineage. Also what
            // tells the recovery that the segment itself is there.
            write(&status.join(format!("{name}.done")), b"", identity)?;
            bytes.fetch_add(found.len() as u64, Ordering::Relaxed);
            Ok(())
        };
        let work = || {
            give_way();
            while let Some(segment) = segments.get(next.fetch_add(1, Ordering::Relaxed)) {
                place(segment).inspect_err(|_| next.store(segments.len(), Ordering::Relaxed))?;
            }
            Ok::<_, FetchError>(())
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..self.inner.store.width()).map(|_| scope.spawn(work)).collect();
            let ended =
                threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
            ended.collect::<Vec<_>>().into_iter().collect::<Result<(), _>>()
        })?;
        disk::sync_file_system(&pg_wal)?;
        let placed = segments.len() as u64;
        Ok(PlacedWal { segments: placed, bytes: bytes.into_inner(), left: whole as u64 - placed })
    }
}

fn write(path: &Path, bytes: &[u8], identity: Option<Identity>) -> Result<(), FileError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options.open(path).and_then(|mut file: File| {
        if let Some(Identity { uid, gid }) = identity {
            fchown(&file, Some(uid), Some(gid))?;
        }
        file.write_all(bytes)
    });
    written.map_err(failed("write", path))
}

fn give(path: &Path, identity: Option<Identity>) -> Result<(), FileError> {
    match identity {
        Some(Identity { uid, gid }) => {
            chown(path, Some(uid), Some(gid)).map_err(failed("change the owner of", path))
        }
        None => Ok(()),
    }
}

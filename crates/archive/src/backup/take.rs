//! Taking a base backup of a running cell.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use daemon::fault;
use jiff::Timestamp;
use model::archive::{Backup, Lineage};
use model::{BackupId, LineageId};
use postgres::{BackupStop, OnlineBackup};
use tokio::time::Instant;
use tokio_postgres::Client;

use super::copy::{self, Copied, CopyError};
use super::extract::ExtractError;
use super::manifest::Manifest;
use crate::WaitError;
use crate::disk::FileError;
use crate::record::{PutError, RecordError};
use crate::repository::{FORMAT, TenantArchive};
use crate::store::Store;
use crate::tree::{Folder, TreeError};

/// Restoring takes one after the other: after so many, all is copied again.
const LONGEST_ROW: usize = 6;

/// What is to be backed up.
pub struct BackupRequest {
    pub lineage: LineageId,
    pub data_dir: PathBuf,
    /// A superuser's session with the running cell; used up.
    pub client: Client,
    /// How long the WAL that the backup needs may take to arrive once the copy
    /// is made.
    pub wal_timeout: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("lineage {0} is not in the repository")]
    UnknownLineage(LineageId),
    #[error("start the backup")]
    Start(#[source] tokio_postgres::Error),
    #[error("end the backup")]
    Stop(#[source] tokio_postgres::Error),
    #[error("open the data directory")]
    DataDir(#[source] TreeError),
    #[error("copy the data directory")]
    Copy(#[from] CopyError),
    #[error(
        "the cell is on another timeline than its lineage ({expected}); its backup label says: {label:?}"
    )]
    WrongTimeline { expected: u32, label: String },
    #[error("the cell has tablespaces, which are not backed up")]
    Tablespaces,
    #[error("ask the cell whether its pages have checksums")]
    Checksums(#[source] tokio_postgres::Error),
    #[error("read the backup that this one goes on from")]
    Base(#[source] Box<ExtractError>),
    #[error("wait for the backup's WAL")]
    Wal(#[from] WaitError),
    #[error("record the backup")]
    Put(#[from] PutError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    File(#[from] FileError),
}

impl TenantArchive {
    /// Takes a base backup of a running cell, which must be archiving into its
    /// lineage. On return the backup, and all WAL that it needs, is durable.
    /// If it fails, or is dropped, nothing of it can be seen. `progress` gets
    /// the bytes copied and the bytes expected.
    pub async fn backup(
        &self,
        request: BackupRequest,
        progress: impl Fn(u64, u64) + Send + 'static,
    ) -> Result<Backup, BackupError> {
        self.backup_since(request, None, progress).await
    }

    /// The backup that the next one of a lineage can hold the changes since: its
    /// newest, unless that comes at the end of a long row of such.
    pub async fn newest_base(&self, lineage: LineageId) -> Result<Option<BackupId>, ExtractError> {
        self.blocking(move |archive| {
            let newest = archive.backups_of(lineage)?.into_iter().max_by_key(|backup| backup.stop);
            let Some(newest) = newest else { return Ok(None) };
            let row = archive.read_row(lineage, newest.id)?;
            let fits = row.len() <= LONGEST_ROW && row.iter().all(|manifest| manifest.checksums);
            Ok(fits.then_some(newest.id))
        })
        .await
    }

    /// Takes a backup that holds only what changed since `base`, an earlier one
    /// of the same lineage; everything if `base` is None, or if the cell's pages
    /// do not tell when they changed.
    pub async fn backup_since(
        &self,
        request: BackupRequest,
        base: Option<BackupId>,
        progress: impl Fn(u64, u64) + Send + 'static,
    ) -> Result<Backup, BackupError> {
        self.backup_as(BackupId::new(), request, base, progress).await
    }

    /// The same, under an id of the caller's, who has listed its files.
    pub async fn backup_as(
        &self,
        backup: BackupId,
        request: BackupRequest,
        base: Option<BackupId>,
        progress: impl Fn(u64, u64) + Send + 'static,
    ) -> Result<Backup, BackupError> {
        let BackupRequest { lineage: id, data_dir, client, wal_timeout } = request;
        let lineage = self
            .blocking(move |archive| archive.lineage(id))
            .await?
            .ok_or(BackupError::UnknownLineage(id))?;
        let setting = client.query_one("SELECT current_setting('data_checksums') = 'on'", &[]).await;
        let checksums: bool = setting.map_err(BackupError::Checksums)?.get(0);
        let base = match base.filter(|_| checksums) {
            Some(base) => Some(self.blocking(move |archive| archive.read_base(id, base)).await?),
            None => None,
        };
        let online =
            OnlineBackup::start(client, &format!("heddle {backup}")).await.map_err(BackupError::Start)?;
        let (system_identifier, start) = (lineage.system_identifier, online.start_lsn());
        let copied = self
            .blocking(move |archive| -> Result<(Copied, Option<BackupId>, Unfinished), BackupError> {
                let data = Folder::open(&data_dir).map_err(BackupError::DataDir)?;
                let since = base.as_ref().map(|base| base.id);
                let source = copy::Source { data: &data, system_identifier, start, checksums, base };
                let unfinished = Unfinished { archive: Some(archive.clone()), lineage: id, backup };
                let folder = archive.backup_folder(id, backup);
                let copied = copy::copy(archive, &folder, &source, &mut move |done, of| progress(done, of))?;
                Ok((copied, since, unfinished))
            })
            .await?;
        fault::reach("archive.backup.copied").await;
        let stop = online.stop().await.map_err(BackupError::Stop)?;
        let stopped_at = Timestamp::now();
        check(&lineage, &stop)?;

        self.wait_for_range(id, stop.start, stop.stop, Instant::now() + wal_timeout).await?;
        self.blocking(move |archive| {
            let (copied, since, unfinished) = copied;
            let backup = archive.finish(backup, &lineage, copied, since, stop, stopped_at, checksums)?;
            unfinished.keep();
            Ok(backup)
        })
        .await
    }

    /// Removes what there is of a backup without a manifest.
    fn drop_packs(&self, lineage: LineageId, backup: BackupId) -> Result<(), FileError> {
        let folder = self.backup_folder(lineage, backup);
        for name in self.inner.store.names(&folder)? {
            self.inner.store.remove(&folder.join(name))?;
        }
        if let Store::Local(_) = self.inner.store {
            // Not made, or not empty: somebody else's.
            let _ = std::fs::remove_dir(&folder);
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "each is in the manifest")]
    fn finish(
        &self,
        id: BackupId,
        lineage: &Lineage,
        copied: Copied,
        base: Option<BackupId>,
        stop: BackupStop,
        stopped_at: Timestamp,
        checksums: bool,
    ) -> Result<Backup, BackupError> {
        let Copied { packs, directories, files, damaged, size, stored, postgres, held } = copied;
        fault::point("archive.backup.data");
        let backup =
            Backup { id, lineage: lineage.id, start: stop.start, stop: stop.stop, stopped_at, size, stored };
        let manifest = Manifest {
            format: FORMAT,
            backup: backup.clone(),
            tenant: self.tenant,
            system_identifier: lineage.system_identifier,
            timeline: lineage.timeline,
            postgres,
            checksums,
            base,
            backup_label: stop.label,
            packs,
            directories,
            files,
            damaged_pages: damaged,
        };
        self.put_record(&self.backup_folder(lineage.id, id).join("manifest"), &manifest)?;
        fault::point("archive.backup.manifest");
        // Their locks told others until now that the packs are no leftovers.
        drop(held);
        Ok(backup)
    }

    fn read_base(&self, lineage: LineageId, base: BackupId) -> Result<copy::Base, BackupError> {
        let row = self.read_row(lineage, base).map_err(|error| BackupError::Base(Box::new(error)))?;
        let manifest = row.last().ok_or(BackupError::UnknownLineage(lineage))?;
        Ok(copy::Base { id: base, start: manifest.backup.start, files: known(&row) })
    }

    /// The lineage's backups that are whole.
    pub(crate) fn backups_of(&self, lineage: LineageId) -> Result<Vec<Backup>, FileError> {
        let mut backups = Vec::new();
        let folder = self.lineage_folder(lineage).join("backups");
        for name in self.inner.store.names(&folder)? {
            if let Ok(Some(manifest)) = self.read_record::<Manifest>(&folder.join(name).join("manifest")) {
                backups.push(manifest.backup);
            }
        }
        Ok(backups)
    }
}

/// The files that a row of backups makes.
fn known(row: &[Manifest]) -> HashMap<String, copy::Known> {
    let mut files: HashMap<String, copy::Known> = HashMap::new();
    for manifest in row {
        let mut next = HashMap::with_capacity(manifest.files.len());
        for file in &manifest.files {
            let sha256 = match (&file.parts[..], file.base) {
                ([part], false) if part.length == file.size => Some(part.sha256.clone()),
                // As it was, unless it was cut or grew.
                ([], true) => {
                    let before = files.remove(&file.path).filter(|before| before.size == file.size);
                    before.and_then(|before| before.sha256)
                }
                _ => None,
            };
            next.insert(file.path.clone(), copy::Known { size: file.size, sha256 });
        }
        files = next;
    }
    files
}

/// A backup without its manifest: dropped, also because whoever waited for it
/// gave up, its packs are removed.
struct Unfinished {
    archive: Option<TenantArchive>,
    lineage: LineageId,
    backup: BackupId,
}

impl Unfinished {
    fn keep(mut self) {
        self.archive = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let Some(archive) = self.archive.take() else { return };
        let (lineage, backup) = (self.lineage, self.backup);
        let remove = move || {
            if let Err(error) = archive.drop_packs(lineage, backup) {
                tracing::warn!(%backup, %error, "an unfinished backup was not removed");
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

fn check(lineage: &Lineage, stop: &BackupStop) -> Result<(), BackupError> {
    if !stop.tablespace_map.trim().is_empty() {
        return Err(BackupError::Tablespaces);
    }
    let expected = lineage.timeline.0;
    let on_timeline =
        |line: &str| line.strip_prefix("START TIMELINE: ").is_some_and(|n| n.trim() == expected.to_string());
    if !stop.label.lines().any(on_timeline) {
        return Err(BackupError::WrongTimeline { expected, label: stop.label.clone() });
    }
    Ok(())
}

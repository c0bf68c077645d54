//! Names that stand where nothing of that name belongs.

use std::path::Path;

use model::archive::History;
use model::{BackupId, LineageId, SnapshotId, TenantId};
use uuid::Uuid;

use super::{Check, FlawKind, named};
use crate::Finding;
use crate::disk::FileError;
use crate::repository::TenantArchive;

impl Check<'_> {
    pub(super) fn look_at_root(&self) -> Result<(), FileError> {
        self.known(self.root, |name| {
            matches!(name, "heddle.json" | "expiry.json" | "tmp" | "tenants" | "lost+found")
        })?;
        self.known(&self.root.join("tenants"), is_id::<TenantId>)
    }

    pub(super) fn look_at_layout(&self, archive: &TenantArchive, history: &History) -> Result<(), FileError> {
        let folder = archive.folder();
        self.known(&folder, |name| {
            matches!(
                name,
                "condemned" | "files" | "journal" | "key.json" | "lineages" | "lists" | "marks" | "snapshots"
            )
        })?;
        self.known(&folder.join("snapshots"), is_id::<SnapshotId>)?;
        self.known(&folder.join("marks"), is_id::<SnapshotId>)?;
        self.known(&folder.join("lists"), is_id::<Uuid>)?;
        self.known(&folder.join("journal"), |name| {
            is_id::<Uuid>(name.strip_suffix(".done").unwrap_or(name))
        })?;
        self.look_at_records(archive)?;
        // Names among the lineages are looked at where the history is read.
        for name in self.store.names(&folder.join("lineages"))? {
            let Ok(id) = name.parse::<LineageId>() else { continue };
            let backups = archive.lineage_folder(id).join("backups");
            let record = archive.lineage_folder(id).join("lineage");
            let wal = self.store.names(&archive.wal_folder(id))?;
            if history.lineage(id).is_none() && !self.store.exists(&record)? && !wal.is_empty() {
                let what =
                    format!("the record of {} is gone, and its {} WAL files remain", named(id), wal.len());
                self.find(FlawKind::MissingRecord, &record, what);
            }
            self.known(&backups, is_id::<BackupId>)?;
            for backup in self.store.names(&backups)? {
                self.known(&backups.join(backup), |name| {
                    name == "manifest" || name.len() == 6 && name.bytes().all(|byte| byte.is_ascii_digit())
                })?;
            }
        }
        Ok(())
    }

    /// The records that say what is kept, and what was removed.
    fn look_at_records(&self, archive: &TenantArchive) -> Result<(), FileError> {
        let read = [
            archive.read_marks().map(drop),
            archive.read_lists().map(drop),
            archive.read_journal().map(drop),
            archive.read_condemned().map(drop),
        ];
        for error in read.into_iter().filter_map(Result::err) {
            let flaw = self.of_history(Finding::Record(error));
            self.find(flaw.kind, &flaw.path, flaw.what);
        }
        Ok(())
    }

    fn known(&self, folder: &Path, known: impl Fn(&str) -> bool) -> Result<(), FileError> {
        if self.store.exists(folder)? {
            return Ok(());
        }
        for name in self.store.names(folder)? {
            if !known(&name) {
                self.find(FlawKind::Unknown, &folder.join(name), "is not part of a repository");
            }
        }
        Ok(())
    }
}

/// Whether a name is an id as it is written.
fn is_id<T: std::str::FromStr + ToString>(name: &str) -> bool {
    name.parse::<T>().is_ok_and(|id| id.to_string() == name)
}

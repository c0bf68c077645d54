//! Names that stand where nothing of that name belongs.

use std::path::Path;

use model::archive::History;
use model::{BackupId, LineageId, SnapshotId, TenantId};

use super::{Check, FlawKind, named};
use crate::disk::FileError;
use crate::repository::TenantArchive;

impl Check<'_> {
    pub(super) fn look_at_root(&self) -> Result<(), FileError> {
        self.known(self.root, |name| matches!(name, "heddle.json" | "tmp" | "tenants" | "lost+found"))?;
        self.known(&self.root.join("tenants"), is_id::<TenantId>)
    }

    pub(super) fn look_at_layout(&self, archive: &TenantArchive, history: &History) -> Result<(), FileError> {
        let folder = archive.folder();
        self.known(&folder, |name| matches!(name, "key.json" | "lineages" | "files" | "snapshots"))?;
        self.known(&folder.join("snapshots"), is_id::<SnapshotId>)?;
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

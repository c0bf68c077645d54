//! Base backups: the manifest against the lineage, the data against the manifest.

use std::sync::{Mutex, PoisonError};

use daemon::telemetry::causes;
use model::archive::{Backup, Lineage};
use model::lsn::Segment;

use super::{Check, FlawKind};
use crate::backup::{ExtractError, Manifest, check_packs};
use crate::repository::TenantArchive;

impl Check<'_> {
    pub(super) fn check_backup(&self, archive: &TenantArchive, lineage: &Lineage, backup: &Backup) {
        let folder = archive.backup_folder(lineage.id, backup.id);
        let path = folder.join("manifest");
        self.count(|found| found.backups += 1);
        let manifest = match archive.read_manifest(lineage.id, backup.id) {
            Ok(manifest) => manifest,
            Err(_) if archive.was_removed(&path) => return self.read_bytes(backup.stored),
            // The record itself was read a moment ago.
            Err(error) => {
                self.find(FlawKind::DamagedBackup, &path, causes(&error));
                return self.read_bytes(backup.stored);
            }
        };
        if let Some(why) = contradiction(lineage, &manifest) {
            self.find(FlawKind::DamagedBackup, &path, why);
        }
        self.count(|found| found.backup_files += manifest.files.len() as u64);
        for page in &manifest.damaged_pages {
            let what = format!(
                "the page at byte {} of {} did not match its checksum in the cell",
                page.at, page.path
            );
            self.find(FlawKind::DamagedPage, &path, what);
        }
        // Told in stored bytes, as far as the files read so far go.
        let counted = Mutex::new(0);
        let mut progress = |done: u64, of: u64| {
            let share = (u128::from(backup.stored) * u128::from(done) / u128::from(of.max(1))) as u64;
            let share = share.min(backup.stored);
            let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
            self.read_bytes(share.saturating_sub(*counted));
            *counted = share.max(*counted);
        };
        match check_packs(archive, &manifest, &mut progress) {
            Ok(()) => {}
            Err(_) if archive.was_removed(&path) => {}
            Err(ExtractError::File(error)) => self.unreadable(&error),
            Err(error) => {
                let pack = match &error {
                    ExtractError::Data { pack, .. } | ExtractError::Damaged { pack, .. } => pack,
                    _ => "manifest",
                };
                self.find(FlawKind::DamagedBackup, &folder.join(pack), causes(&error));
            }
        }
        self.read_bytes(backup.stored - *counted.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn contradiction(lineage: &Lineage, manifest: &Manifest) -> Option<String> {
    let backup = &manifest.backup;
    let label = format!(
        "START WAL LOCATION: {} (file {})",
        backup.start,
        Segment::at(lineage.timeline, backup.start, lineage.segment_size).file_name(lineage.segment_size)
    );
    let faults = [
        (manifest.system_identifier != lineage.system_identifier, "is of another cluster than its lineage"),
        (manifest.timeline != lineage.timeline, "is on another timeline than its lineage"),
        (backup.start > backup.stop, "stops before it starts"),
        (lineage.parent.is_some_and(|fork| backup.start < fork.lsn), "starts before its lineage does"),
        (
            backup.stored != manifest.packs.iter().map(|pack| pack.stored).sum::<u64>(),
            "tells two sizes of its data",
        ),
        (!manifest.backup_label.starts_with(&label), "has a label that starts elsewhere"),
    ];
    faults.into_iter().find(|(wrong, _)| *wrong).map(|(_, why)| format!("the backup {why}"))
}

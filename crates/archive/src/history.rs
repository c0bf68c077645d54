//! Reading a tenant's history back.

use std::collections::BTreeMap;

use model::archive::{Activation, Backup, History, LineageHistory, SnapshotPoint};
use model::lsn::{Lsn, WalFile};
use model::{BackupId, LineageId};

use crate::Finding;
use crate::backup::{Manifest, Pack};
use crate::disk::FileError;
use crate::record::RecordError;
use crate::repository::{Reached, TenantArchive};
use crate::wal::file_name;
use crate::wal::piece::Chain;

/// What a repository holds of a tenant.
#[derive(Debug, Default)]
pub struct Inventory {
    pub history: History,
    /// The backups that hold the changes since another, and which.
    pub bases: BTreeMap<BackupId, BackupId>,
    /// Damaged and unknown things; the history is without them.
    pub findings: Vec<Finding>,
}

impl TenantArchive {
    /// Everything that restores are planned from, read from the disk. The
    /// contents of records are checked, those of WAL and data when they are
    /// used.
    pub async fn history(&self) -> Result<Inventory, FileError> {
        self.blocking(Self::read_history).await
    }

    pub(crate) fn read_history(&self) -> Result<Inventory, FileError> {
        let mut found = Inventory::default();
        let lineages = self.folder().join("lineages");
        let names = self.inner.store.names(&lineages)?;
        if names.is_empty() && self.shredded()?.is_some() {
            // Nothing is left of it, which is not the same as nothing yet.
            self.key()?;
        }
        for name in names {
            match name.parse::<LineageId>() {
                Ok(id) if id.to_string() == name => self.read_lineage(id, &mut found)?,
                _ => found.findings.push(Finding::Unknown(lineages.join(name))),
            }
        }
        self.read_snapshots(&mut found)?;
        let history = &mut found.history;
        history.activations.sort_by_key(|activation| activation.at);
        history.backups.sort_by_key(|backup| (backup.stopped_at, backup.id));
        history.snapshots.sort_by_key(|snapshot| (snapshot.at, snapshot.id));
        Ok(found)
    }

    fn read_lineage(&self, id: LineageId, found: &mut Inventory) -> Result<(), FileError> {
        let folder = self.lineage_folder(id);
        for name in self.inner.store.names(&folder)? {
            if !matches!(&*name, "lineage" | "activated" | "reached" | "wal" | "backups") {
                found.findings.push(Finding::Unknown(folder.join(name)));
            }
        }
        // A folder without a record is what a start that was broken off leaves.
        let lineage = match self.lineage(id) {
            Ok(Some(lineage)) => lineage,
            Ok(None) => return Ok(()),
            Err(error) => return note(found, error),
        };

        let path = folder.join("activated");
        match self.read_record::<Activation>(&path) {
            Ok(Some(activation)) if activation.lineage == id => found.history.activations.push(activation),
            Ok(Some(_)) => note(found, RecordError::Misplaced(path))?,
            Ok(None) => {}
            Err(error) => note(found, error)?,
        }

        let path = folder.join("reached");
        let mut reaches = None;
        match self.read_record::<Reached>(&path) {
            Ok(Some(reached)) if reached.lineage == id => reaches = Some(reached.lsn),
            Ok(Some(_)) => note(found, RecordError::Misplaced(path))?,
            Ok(None) => {}
            Err(error) => note(found, error)?,
        }

        let (mut segments, mut partial) = (Vec::new(), None);
        let wal = self.wal_folder(id);
        let mut names = self.inner.store.names(&wal)?;
        let broken = |names: &[String]| {
            Self::pieces_in(&lineage, names).values().any(|pieces| Chain::of(pieces).is_broken())
        };
        if broken(&names) {
            // Pieces go while they are listed, once their segment is whole.
            names = self.inner.store.names(&wal)?;
        }
        for name in &names {
            let file = WalFile::parse(name, lineage.segment_size).ok();
            match file.filter(|file| file.timeline() == lineage.timeline) {
                Some(WalFile::Segment(segment)) => segments.push(segment),
                Some(WalFile::Partial(segment)) => partial = partial.max(Some(segment)),
                Some(WalFile::Piece(..) | WalFile::History(_) | WalFile::BackupLabel(..)) => {}
                None => found.findings.push(Finding::Unknown(wal.join(name))),
            }
        }
        segments.sort_unstable();
        for (segment, pieces) in Self::pieces_in(&lineage, &names) {
            let (chain, size) = (Chain::of(&pieces), lineage.segment_size);
            let Err(place) = segments.binary_search(&segment) else { continue };
            if chain.is_broken() {
                let gap = WalFile::Piece(segment, chain.end, chain.furthest);
                found.findings.push(Finding::Gap(wal.join(file_name(&gap, size))));
            }
            match chain.end {
                end if end == size.0 => segments.insert(place, segment),
                0 => {}
                end => {
                    partial = partial.max(Some(segment));
                    reaches = reaches.max(Some(Lsn(segment.start(size).0 + u64::from(end))));
                }
            }
        }
        // A whole segment of the same name or a later one supersedes it.
        let partial = partial.filter(|partial| segments.last().is_none_or(|last| partial > last));
        let lineage = (*lineage).clone();
        found.history.lineages.push(LineageHistory { lineage, segments, partial, reaches });
        self.read_backups(id, found)
    }

    fn read_backups(&self, lineage: LineageId, found: &mut Inventory) -> Result<(), FileError> {
        let backups = self.lineage_folder(lineage).join("backups");
        let mut whole: Vec<(Backup, Option<BackupId>)> = Vec::new();
        for name in self.inner.store.names(&backups)? {
            let folder = backups.join(&name);
            let path = folder.join("manifest");
            match self.read_record::<Manifest>(&path) {
                Ok(Some(manifest)) => {
                    let fits = manifest.backup.id.to_string() == name
                        && manifest.backup.lineage == lineage
                        && manifest.tenant == self.tenant;
                    if !fits {
                        note(found, RecordError::Misplaced(path))?;
                        continue;
                    }
                    let there = self.inner.store.names(&folder)?;
                    let missing = |pack: &&Pack| there.binary_search(&pack.name).is_err();
                    match manifest.packs.iter().find(missing) {
                        None => whole.push((manifest.backup, manifest.base)),
                        Some(pack) => note(found, RecordError::WithoutData(folder.join(&pack.name)))?,
                    }
                }
                // Under way, or swept when the repository is next opened.
                Ok(None) => {}
                Err(error) => note(found, error)?,
            }
        }
        // One that holds changes is of use with all that it goes on from only.
        loop {
            let lost = whole.iter().find(|(_, base)| {
                base.is_some_and(|base| !whole.iter().any(|(backup, _)| backup.id == base))
            });
            let Some((backup, Some(base))) = lost else { break };
            note(found, RecordError::WithoutData(backups.join(base.to_string()).join("manifest")))?;
            let lost = backup.id;
            whole.retain(|(backup, _)| backup.id != lost);
        }
        found.bases.extend(whole.iter().filter_map(|(backup, base)| Some((backup.id, (*base)?))));
        found.history.backups.extend(whole.into_iter().map(|(backup, _)| backup));
        Ok(())
    }

    fn read_snapshots(&self, found: &mut Inventory) -> Result<(), FileError> {
        let snapshots = self.folder().join("snapshots");
        for name in self.inner.store.names(&snapshots)? {
            let path = snapshots.join(&name);
            match self.read_record::<SnapshotPoint>(&path) {
                Ok(Some(point)) if point.id.to_string() == name => found.history.snapshots.push(point),
                Ok(Some(_)) => note(found, RecordError::Misplaced(path))?,
                Ok(None) => {}
                Err(error) => note(found, error)?,
            }
        }
        Ok(())
    }
}

/// A damaged record is a finding; a disk that cannot be read is an error.
fn note(found: &mut Inventory, error: RecordError) -> Result<(), FileError> {
    match error {
        RecordError::File(error) => Err(error),
        error => {
            found.findings.push(Finding::Record(error));
            Ok(())
        }
    }
}

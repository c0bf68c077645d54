//! What a repository holds of a tenant, and what of that nothing needs.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use model::archive::{History, Lineage};
use model::lsn::WalFile;
use model::retention::{Holdings, Kept, keep};
use model::{BackupId, LineageId, SnapshotId};
use uuid::Uuid;

use super::{Expire, KeptBackup, KeptSnapshot, LeftAlone, TenantExpired, grace};
use crate::FileId;
use crate::filestore::FileList;
use crate::mark::for_retention;
use crate::repository::TenantArchive;
use crate::store::Stored;

/// Clocks of the store and of workers differ by less than this.
const SKEW: SignedDuration = SignedDuration::from_hours(1);

/// What an object that is not needed is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Snapshot,
    Backup,
    Wal,
    File,
    /// What belongs to a snapshot or a backup, or was a lineage's.
    Record,
    /// What a backup that was broken off left.
    Leftover,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshots",
            Self::Backup => "backups",
            Self::Wal => "wal",
            Self::File => "attachments",
            Self::Record => "records",
            Self::Leftover => "leftovers",
        }
    }
}

/// Something that may be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unneeded {
    /// Below the tenant's folder.
    pub name: String,
    pub path: PathBuf,
    pub size: u64,
    pub kind: Kind,
    /// What is removed first has the lowest: whatever is removed, what is left
    /// is a sound repository.
    pub turn: u64,
}

pub(super) struct Look {
    pub history: History,
    pub kept: Kept,
    pub objects: Vec<Stored>,
    /// In the order in which it is to be removed.
    pub unneeded: Vec<Unneeded>,
    lists: Vec<FileList>,
}

/// Turns, in their order.
mod turn {
    pub const SNAPSHOT: u64 = 0;
    /// The newest first, since later ones hold changes since earlier ones.
    pub const MANIFEST: u64 = 1_000_000;
    pub const PACK: u64 = 2_000_000;
    /// What says how far a lineage's WAL went.
    pub const REACHED: u64 = 3_000_000;
    pub const WAL: u64 = 4_000_000;
    pub const FILE: u64 = 5_000_000;
    pub const BESIDE: u64 = 6_000_000;
    pub const ACTIVATION: u64 = 7_000_000;
    /// Children first: they have the higher timelines.
    pub const LINEAGE: u64 = 8_000_000;
    pub const WITHIN: u64 = 999_999;
}

impl Look {
    pub fn at(archive: &TenantArchive, how: &Expire) -> Result<Self, LeftAlone> {
        let now = how.clock.now;
        // Listed first: what comes in later is new, and needed.
        let objects = archive.inner.store.objects(&archive.folder())?;
        let inventory = archive.read_history()?;
        if let Some(finding) = inventory.findings.first() {
            return Err(LeftAlone::Finding(finding.to_string()));
        }
        let marks = archive.read_marks()?;
        let lists = archive.read_lists()?;
        let holdings =
            Holdings { history: inventory.history, bases: inventory.bases, marks: for_retention(&marks) };
        let kept = keep(&holdings, &how.retention, now)?;
        kept.prove(&holdings.history, &how.retention, now)?;
        let mut look = Self { history: holdings.history, kept, objects, unneeded: Vec::new(), lists };
        look.is_plausible(archive, how)?;
        look.find(archive, how)?;
        look.unneeded.sort_by(|one, other| (one.turn, &one.name).cmp(&(other.turn, &other.name)));
        Ok(look)
    }

    /// The latest time that something was written at.
    pub fn newest(&self) -> Option<Timestamp> {
        let backups = self.history.backups.iter().map(|backup| backup.stopped_at);
        let snapshots = self.history.snapshots.iter().map(|snapshot| snapshot.at);
        let lists = self.lists.iter().map(|list| list.at);
        let activations = self.history.activations.iter().map(|activation| activation.at);
        let wal = self.objects.iter().filter(|object| object.path.iter().any(|part| part == "wal"));
        let wal = wal.map(|object| object.at);
        backups.chain(snapshots).chain(lists).chain(activations).chain(wal).max()
    }

    /// A record that is missing from a listing must not look like a lineage that
    /// nobody was ever served from.
    fn is_plausible(&self, archive: &TenantArchive, how: &Expire) -> Result<(), LeftAlone> {
        let found = |what: String| Err(LeftAlone::Finding(what));
        if self.history.activations.is_empty() && !self.history.lineages.is_empty() {
            return found("nothing says from which of its lineages it was served".to_owned());
        }
        let start = how.retention.start(how.clock.now);
        for held in &self.history.lineages {
            let id = held.lineage.id;
            let wal = archive.wal_folder(id);
            let late = |object: &&Stored| object.at >= start && object.path.starts_with(&wal);
            if !self.kept.lineages.contains(&id) && self.objects.iter().any(|object| late(&object)) {
                return found(format!(
                    "lineage {id} has WAL from within the window, and was not served in it"
                ));
            }
        }
        for object in &self.objects {
            let Ok(below) = object.path.strip_prefix(archive.folder()) else { continue };
            let parts: Vec<_> = below.iter().filter_map(|part| part.to_str()).collect();
            if let ["lineages", id, "wal" | "backups", ..] = parts[..]
                && id.parse().ok().and_then(|id| self.history.lineage(id)).is_none()
            {
                return found(format!("lineage {id} has no record"));
            }
        }
        Ok(())
    }

    pub fn tell(&self, told: &mut TenantExpired) {
        let databases: BTreeSet<_> =
            self.history.lineages.iter().map(|held| held.lineage.database.clone()).collect();
        told.databases = databases.into_iter().collect();
        let backups = self.history.backups.iter();
        told.backups = backups
            .filter_map(|backup| {
                let why = *self.kept.backups.get(&backup.id)?;
                let (stopped_at, stored) = (backup.stopped_at, backup.stored);
                Some(KeptBackup { id: backup.id, stopped_at, stored, why })
            })
            .collect();
        let snapshots = self.history.snapshots.iter();
        told.snapshots = snapshots
            .filter_map(|snapshot| {
                let why = *self.kept.snapshots.get(&snapshot.id)?;
                let name = snapshot.name.clone();
                Some(KeptSnapshot { id: snapshot.id, name, taken_at: snapshot.at, why })
            })
            .collect();
    }

    fn find(&mut self, archive: &TenantArchive, how: &Expire) -> Result<(), LeftAlone> {
        let folder = archive.folder();
        let since = self.lists_since(how);
        let files = since.and_then(|since| self.needed_files(since));
        let lists: HashMap<Uuid, &FileList> = self.lists.iter().map(|list| (list.id, list)).collect();
        let unfinished = self.unfinished(&folder, how);
        let mut unneeded = Vec::new();
        for object in &self.objects {
            let Ok(below) = object.path.strip_prefix(&folder) else { continue };
            let name = below.display().to_string();
            let parts: Vec<&str> = name.split('/').collect();
            let found = match parts[..] {
                ["key.json" | "shredded.json" | "condemned"] | ["journal", _] => None,
                ["lineages", lineage, ref rest @ ..] => {
                    self.of_lineage(lineage, rest, &object.path, &unfinished)
                }
                ["snapshots", id] => self.of_snapshot(id),
                ["marks", id] => self.beside_snapshot(id, object, how),
                ["lists", id] => id
                    .parse()
                    .ok()
                    .and_then(|id: Uuid| lists.get(&id))
                    .and_then(|list| self.of_list(list, since, object, how)),
                ["files", _, sha1] => self.of_file(sha1, object, files.as_ref()),
                _ => return Err(LeftAlone::Finding(format!("{name} is unknown"))),
            };
            if let Some((kind, turn)) = found {
                let (path, size) = (object.path.clone(), object.size);
                unneeded.push(Unneeded { name, path, size, kind, turn });
            }
        }
        self.unneeded = unneeded;
        Ok(())
    }

    fn of_lineage(
        &self,
        id: &str,
        rest: &[&str],
        path: &Path,
        unfinished: &HashSet<String>,
    ) -> Option<(Kind, u64)> {
        let id: LineageId = id.parse().ok()?;
        // Without its record nothing is known of it: `verify` says so.
        let lineage = &self.history.lineage(id)?.lineage;
        let dropped = !self.kept.lineages.contains(&id);
        let younger = |turn| turn + turn::WITHIN - u64::from(lineage.timeline.0).min(turn::WITHIN);
        match *rest {
            ["lineage"] => dropped.then(|| (Kind::Record, younger(turn::LINEAGE))),
            ["activated"] => dropped.then_some((Kind::Record, turn::ACTIVATION)),
            ["reached"] => dropped.then_some((Kind::Record, turn::REACHED)),
            ["wal", name] => self.of_wal(lineage, name, dropped, path.parent()?),
            ["backups", backup, name] => {
                let backup: BackupId = backup.parse().ok()?;
                let place = self.history.backups.iter().position(|held| held.id == backup);
                match place {
                    Some(_) if self.kept.backups.contains_key(&backup) => None,
                    Some(place) if name == "manifest" => {
                        let later = turn::WITHIN.saturating_sub(place as u64);
                        Some((Kind::Backup, turn::MANIFEST + later))
                    }
                    Some(_) => Some((Kind::Backup, turn::PACK)),
                    None => unfinished.contains(&backup.to_string()).then_some((Kind::Leftover, turn::PACK)),
                }
            }
            _ => None,
        }
    }

    fn of_wal(&self, lineage: &Lineage, name: &str, dropped: bool, folder: &Path) -> Option<(Kind, u64)> {
        let keeps = match WalFile::parse(name, lineage.segment_size).ok()? {
            // Of a piece all is said by the whole segment, once that is there.
            WalFile::Piece(segment, ..) if self.kept.keeps(lineage.id, segment) => {
                let whole = folder.join(segment.file_name(lineage.segment_size));
                let there = self.objects.binary_search_by(|object| object.path.cmp(&whole)).is_ok();
                return there.then_some((Kind::Record, turn::WAL));
            }
            WalFile::Piece(..) => false,
            WalFile::Segment(segment) | WalFile::Partial(segment) | WalFile::BackupLabel(segment, _) => {
                self.kept.keeps(lineage.id, segment)
            }
            WalFile::History(_) => !dropped,
        };
        (!keeps).then_some((Kind::Wal, turn::WAL))
    }

    fn of_snapshot(&self, id: &str) -> Option<(Kind, u64)> {
        let id: SnapshotId = id.parse().ok()?;
        let known = self.history.snapshots.iter().any(|snapshot| snapshot.id == id);
        (known && !self.kept.snapshots.contains_key(&id)).then_some((Kind::Snapshot, turn::SNAPSHOT))
    }

    /// A mark comes before its snapshot; one whose snapshot never came goes
    /// after a while.
    fn beside_snapshot(&self, id: &str, object: &Stored, how: &Expire) -> Option<(Kind, u64)> {
        let id: SnapshotId = id.parse().ok()?;
        let known = self.history.snapshots.iter().any(|snapshot| snapshot.id == id);
        let goes = match known {
            true => !self.kept.snapshots.contains_key(&id),
            false => is_old(object.at, how),
        };
        goes.then_some((Kind::Record, turn::BESIDE))
    }

    fn of_list(
        &self,
        list: &FileList,
        since: Option<Timestamp>,
        object: &Stored,
        how: &Expire,
    ) -> Option<(Kind, u64)> {
        let before = since.is_some_and(|since| list.at < since);
        let goes = before && !self.is_of_kept(list.id) && is_old(object.at, how);
        goes.then_some((Kind::Record, turn::BESIDE))
    }

    fn of_file(
        &self,
        sha1: &str,
        object: &Stored,
        needed: Option<&(HashSet<FileId>, Timestamp)>,
    ) -> Option<(Kind, u64)> {
        let (named, stored_before) = needed?;
        let file: FileId = sha1.parse().ok()?;
        (!named.contains(&file) && object.at < *stored_before).then_some((Kind::File, turn::FILE))
    }

    fn is_of_kept(&self, id: Uuid) -> bool {
        self.kept.backups.contains_key(&BackupId(id)) || self.kept.snapshots.contains_key(&SnapshotId(id))
    }

    /// The last whole list before the window: what it names, and what later
    /// ones do, are the files of each moment since. None: there is no such list.
    fn lists_since(&self, how: &Expire) -> Option<Timestamp> {
        let start = how.retention.start(how.clock.now);
        let before = self.lists.iter().filter(|list| list.whole && list.at <= start);
        before.map(|list| list.at).max()
    }

    /// The files that something needs, where lists tell of them `since` then,
    /// and the time since which whatever was stored is needed as well. None:
    /// what is older and needed is not known, and all are kept.
    fn needed_files(&self, since: Timestamp) -> Option<(HashSet<FileId>, Timestamp)> {
        let mut named = HashSet::new();
        for list in &self.lists {
            if list.at >= since || self.is_of_kept(list.id) {
                named.extend(list.files.iter().copied());
            }
        }
        // What a point that is kept needs is not known without its list: all
        // that there was then is.
        let listed: HashSet<Uuid> = self.lists.iter().map(|list| list.id).collect();
        let backups = self.history.backups.iter().filter(|it| self.kept.backups.contains_key(&it.id));
        let snapshots = self.history.snapshots.iter().filter(|it| self.kept.snapshots.contains_key(&it.id));
        let points = backups.map(|backup| (backup.id.0, backup.stopped_at));
        let points = points.chain(snapshots.map(|snapshot| (snapshot.id.0, snapshot.at)));
        if points.into_iter().any(|(id, at)| at < since && !listed.contains(&id)) {
            return None;
        }
        Some((named, since.saturating_sub(SKEW).unwrap_or(Timestamp::MIN)))
    }

    /// Backups without a manifest to which nothing was added for the grace.
    fn unfinished(&self, folder: &Path, how: &Expire) -> HashSet<String> {
        let mut newest: BTreeMap<String, (bool, Timestamp)> = BTreeMap::new();
        for object in &self.objects {
            let Ok(below) = object.path.strip_prefix(folder) else { continue };
            let parts: Vec<_> = below.iter().filter_map(|part| part.to_str()).collect();
            if let ["lineages", _, "backups", backup, name] = parts[..] {
                let (manifest, at) = newest.entry(backup.to_owned()).or_insert((false, object.at));
                *manifest |= name == "manifest";
                *at = (*at).max(object.at);
            }
        }
        newest
            .into_iter()
            .filter(|(_, (manifest, at))| !manifest && is_old(*at, how))
            .map(|(backup, _)| backup)
            .collect()
    }
}

/// Whether something was written at least the grace ago.
pub(super) fn is_old(at: Timestamp, how: &Expire) -> bool {
    how.clock.now.duration_since(at) >= grace(how)
}

//! What a backup says about itself.

use std::path::{Component, Path};

use model::TenantId;
use model::archive::Backup;
use model::lsn::Timeline;
use serde::{Deserialize, Serialize};

use crate::repository::FORMAT;

/// `manifest`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    pub backup: Backup,
    pub tenant: TenantId,
    pub system_identifier: u64,
    pub timeline: Timeline,
    /// PostgreSQL's major version, as `PG_VERSION` says it.
    pub postgres: String,
    /// Whether the cluster's pages have checksums, and each was checked.
    pub checksums: bool,
    /// To be written into the data directory as `backup_label`.
    pub backup_label: String,
    pub packs: Vec<Pack>,
    /// Parents first, relative to the data directory.
    pub directories: Vec<String>,
    /// By path; the control file last.
    pub files: Vec<FileEntry>,
    /// Pages that did not match their checksums, however often they were read:
    /// damaged in the cell, and copied as they were. The first thousand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged_pages: Vec<DamagedPage>,
}

/// An object that holds pieces of files, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pack {
    pub name: String,
    /// Bytes of the pieces, and as they are stored.
    pub content: u64,
    pub stored: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    pub path: String,
    pub size: u64,
    /// Together they are the file, in order.
    pub parts: Vec<Part>,
}

/// A piece of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The pack's place in [`Manifest::packs`].
    pub pack: u32,
    /// Where it begins in the pack's content.
    pub offset: u64,
    pub length: u64,
    /// Where it belongs in the file.
    pub at: u64,
    pub sha256: String,
}

/// A page that is damaged in the cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamagedPage {
    pub path: String,
    /// Where it begins in the file.
    pub at: u64,
}

impl Manifest {
    /// Whether this program can read the backup, no path in it leaves the data
    /// directory, and its pieces make up its files.
    pub fn is_sound(&self) -> bool {
        let paths = self.directories.iter().chain(self.files.iter().map(|file| &file.path));
        self.format == FORMAT
            && self.packs.iter().all(|pack| is_name(&pack.name))
            && paths.into_iter().all(|path| is_inside(path))
            && self.files.iter().all(|file| self.is_whole(file))
    }

    fn is_whole(&self, file: &FileEntry) -> bool {
        let mut reached = 0_u64;
        for part in &file.parts {
            let pack = usize::try_from(part.pack).ok().and_then(|pack| self.packs.get(pack));
            let end = part.offset.checked_add(part.length);
            let fits = pack.zip(end).is_some_and(|(pack, end)| end <= pack.content);
            let Some(next) = reached.checked_add(part.length).filter(|_| fits && part.at == reached) else {
                return false;
            };
            reached = next;
        }
        reached == file.size
    }

    /// What each pack holds, in the order of its content.
    pub(super) fn by_pack(&self) -> Vec<Vec<(&FileEntry, &Part)>> {
        let mut packs = vec![Vec::new(); self.packs.len()];
        for file in &self.files {
            for part in &file.parts {
                if let Some(pack) = packs.get_mut(part.pack as usize) {
                    pack.push((file, part));
                }
            }
        }
        for pack in &mut packs {
            pack.sort_by_key(|(_, part)| part.offset);
        }
        packs
    }
}

fn is_name(name: &str) -> bool {
    is_inside(name) && !name.contains('/')
}

/// A relative path of plain names.
fn is_inside(path: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
    path.split('/').all(plain)
        && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        for good in ["PG_VERSION", "base/1/1259", "global", "a..b/.c"] {
            assert!(is_inside(good), "{good}");
        }
        for bad in ["", "/etc/passwd", "../x", "base/../../x", "a//b", "./a", "a/", "a/.", "a\0b"] {
            assert!(!is_inside(bad), "{bad}");
        }
        assert!(!is_name("base/1"));
    }

    #[test]
    fn pieces_make_up_files() {
        let part = |pack, offset, length, at| Part { pack, offset, length, at, sha256: String::new() };
        let file = |size, parts: &[Part]| FileEntry { path: "a".into(), size, parts: parts.to_vec() };
        let pack = |content| Pack { name: "000000".into(), content, stored: 9 };
        let at = jiff::Timestamp::UNIX_EPOCH;
        let (id, lineage) = (model::BackupId::new(), model::LineageId::new());
        let lsn = model::lsn::Lsn(9);
        let mut manifest = Manifest {
            format: FORMAT,
            backup: Backup { id, lineage, start: lsn, stop: lsn, stopped_at: at, size: 0, stored: 0 },
            tenant: TenantId::new(),
            system_identifier: 1,
            timeline: Timeline(1),
            postgres: "15".into(),
            checksums: true,
            backup_label: String::new(),
            packs: vec![pack(100), pack(50)],
            directories: Vec::new(),
            files: Vec::new(),
            damaged_pages: Vec::new(),
        };
        let mut sound = |entry| {
            manifest.files = vec![entry];
            manifest.is_sound()
        };
        assert!(sound(file(0, &[])));
        assert!(sound(file(150, &[part(0, 0, 100, 0), part(1, 0, 50, 100)])));
        let huge = u64::MAX;
        for bad in [
            file(1, &[]),
            file(100, &[part(0, 1, 100, 0)]),
            file(10, &[part(2, 0, 10, 0)]),
            file(20, &[part(0, 0, 10, 0), part(0, 10, 10, 11)]),
            file(20, &[part(0, 0, 10, 10), part(0, 10, 10, 0)]),
            file(9, &[part(0, huge, 10, 0)]),
            file(9, &[part(0, 0, huge, 0), part(0, 0, 10, huge)]),
        ] {
            assert!(!sound(bad.clone()), "{bad:?}");
        }
    }
}

//! What a backup says about itself.

use std::path::{Component, Path};

use model::archive::Backup;
use model::lsn::Timeline;
use model::{BackupId, TenantId};
use serde::{Deserialize, Serialize};

use super::CHUNK;
use super::page::PAGE;
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
    /// The backup of the same lineage that this one holds the changes since; None:
    /// it holds everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BackupId>,
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
    /// Whether the file is the base's, cut or filled with zeros to this size,
    /// with the parts' blocks in it. Otherwise the parts are the file, in order.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub base: bool,
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
    /// Of a file that is its base's: the runs of blocks of 8192 bytes that the
    /// part holds, each the first one's number in the file, and how many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<(u32, u32)>,
}

impl Part {
    /// Whether another file's part is the same bytes of the pack: small ones that
    /// are read at once, and come with the same checksum.
    pub(super) fn is_shared_by(&self, other: &Self) -> bool {
        let whole = self.blocks.is_empty() && other.blocks.is_empty();
        let same = (self.offset, self.length, &self.sha256) == (other.offset, other.length, &other.sha256);
        same && whole && self.length <= CHUNK as u64
    }

    /// Where in the file its bytes go, one run after the other.
    pub(super) fn runs(&self) -> Vec<(u64, u64)> {
        let page = PAGE as u64;
        match self.blocks.is_empty() {
            true => vec![(self.at, self.length)],
            false => self
                .blocks
                .iter()
                .map(|(first, count)| (u64::from(*first) * page, u64::from(*count) * page))
                .collect(),
        }
    }
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
            && self.files.iter().all(|file| self.is_whole(file) && (self.base.is_some() || !file.base))
    }

    fn is_whole(&self, file: &FileEntry) -> bool {
        let mut reached = 0_u64;
        for part in &file.parts {
            let pack = usize::try_from(part.pack).ok().and_then(|pack| self.packs.get(pack));
            let end = part.offset.checked_add(part.length);
            let fits = pack.zip(end).is_some_and(|(pack, end)| end <= pack.content);
            if file.base {
                let runs = part.runs();
                let length: u64 = runs.iter().map(|(_, length)| length).sum();
                if !fits
                    || part.blocks.is_empty()
                    || length != part.length
                    || runs.iter().any(|(at, length)| at + length > file.size)
                {
                    return false;
                }
                continue;
            }
            let in_order = fits && part.at == reached && part.blocks.is_empty();
            let Some(next) = reached.checked_add(part.length).filter(|_| in_order) else { return false };
            reached = next;
        }
        file.base || reached == file.size
    }

    /// Bytes that its parts hold.
    pub(super) fn content(&self) -> u64 {
        self.files.iter().flat_map(|file| &file.parts).map(|part| part.length).sum()
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
        let part = |pack, offset, length, at| Part {
            pack,
            offset,
            length,
            at,
            sha256: String::new(),
            blocks: Vec::new(),
        };
        let file =
            |size, parts: &[Part]| FileEntry { path: "a".into(), size, base: false, parts: parts.to_vec() };
        let pack = |content| Pack { name: "000000".into(), content, stored: 9 };
        let at = jiff::Timestamp::UNIX_EPOCH;
        let (id, lineage) = (BackupId::new(), model::LineageId::new());
        let lsn = model::lsn::Lsn(9);
        let mut manifest = Manifest {
            format: FORMAT,
            backup: Backup { id, lineage, start: lsn, stop: lsn, stopped_at: at, size: 0, stored: 0 },
            tenant: TenantId::new(),
            system_identifier: 1,
            timeline: Timeline(1),
            postgres: "15".into(),
            checksums: true,
            base: None,
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
        let page = PAGE as u64;
        manifest.packs = vec![pack(10 * page)];
        let blocks =
            |length, blocks: &[(u32, u32)]| Part { blocks: blocks.to_vec(), ..part(0, 0, length, 0) };
        let changed = |size, parts: &[Part]| FileEntry { base: true, ..file(size, parts) };
        let mut sound = |base, entry| {
            manifest.base = base;
            manifest.files = vec![entry];
            manifest.is_sound()
        };
        let good = changed(9 * page, &[blocks(3 * page, &[(0, 1), (7, 2)])]);
        assert!(sound(Some(id), good.clone()) && sound(Some(id), changed(page, &[])));
        assert!(!sound(None, good));
        for bad in [
            changed(9 * page, &[blocks(3 * page, &[(0, 1), (8, 2)])]),
            changed(9 * page, &[blocks(2 * page, &[(0, 1), (7, 2)])]),
            changed(9 * page, &[blocks(11 * page, &[(0, 9), (0, 2)])]),
            changed(9 * page, &[part(0, 0, page, 0)]),
            changed(huge, &[blocks(page, &[(u32::MAX, u32::MAX)])]),
        ] {
            assert!(!sound(Some(id), bad.clone()), "{bad:?}");
        }
    }
}

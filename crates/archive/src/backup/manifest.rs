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
    /// To be written into the data directory as `backup_label`.
    pub backup_label: String,
    pub data: Stored,
    /// Parents first, relative to the data directory.
    pub directories: Vec<String>,
    /// In the order of the data.
    pub files: Vec<FileEntry>,
}

/// An object of the backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    pub name: String,
    /// As it is stored.
    pub size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    pub path: String,
    pub size: u64,
    pub sha256: String,
}

impl Manifest {
    /// Whether this program can read the backup, and no path in it leaves the
    /// data directory.
    pub fn is_sound(&self) -> bool {
        let paths = self.directories.iter().chain(self.files.iter().map(|file| &file.path));
        self.format == FORMAT && is_name(&self.data.name) && paths.into_iter().all(|path| is_inside(path))
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
}

//! Filestore objects against their names.

use std::fs::File;

use super::{Check, FlawKind};
use crate::disk::{self, FileError, failed};
use crate::filestore::{CopyFault, FileId, LIMIT, hash};
use crate::repository::TenantArchive;

impl Check<'_> {
    /// The folders of a tenant's filestore; others are findings.
    pub(super) fn file_folders(&self, archive: &TenantArchive) -> Result<Vec<String>, FileError> {
        let folder = archive.files_folder();
        let mut folders = disk::names(&folder)?;
        folders.retain(|name| {
            let good = name.len() == 2 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            if !good {
                self.find(FlawKind::Unknown, &folder.join(name), "is no folder of the filestore");
            }
            good
        });
        Ok(folders)
    }

    pub(super) fn check_files(&self, archive: &TenantArchive, prefix: &str) {
        let folder = archive.files_folder().join(prefix);
        let names = match disk::names(&folder) {
            Ok(names) => names,
            Err(error) => return self.unreadable(&error),
        };
        for name in names {
            let path = folder.join(&name);
            let Some(id) = name.parse::<FileId>().ok().filter(|_| name.starts_with(prefix)) else {
                self.find(FlawKind::Unknown, &path, "is no name of a filestore's file in this folder");
                continue;
            };
            self.count(|found| found.files += 1);
            let file = match File::open(&path).map_err(failed("open", &path)) {
                Ok(file) => file,
                Err(error) => {
                    self.unreadable(&error);
                    continue;
                }
            };
            let size = file.metadata().map_or(0, |data| data.len());
            match hash(&file, LIMIT) {
                Ok(found) if found == id => {}
                Ok(found) => {
                    self.find(FlawKind::WrongFile, &path, format!("its bytes have the SHA-1 {found}"))
                }
                Err(CopyFault::TooLarge) => {
                    self.find(FlawKind::WrongFile, &path, "is larger than what is kept");
                }
                Err(CopyFault::Read(error) | CopyFault::Write(error)) => {
                    self.unreadable(&failed("read", &path)(error));
                }
            }
            self.read_bytes(size);
        }
    }
}

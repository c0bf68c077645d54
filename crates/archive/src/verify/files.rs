//! Filestore objects against their names.

use std::io;

use super::{Check, FlawKind};
use crate::disk::{FileError, failed};
use crate::filestore::{CopyFault, FileId, LIMIT, hash};
use crate::object::is_damage;
use crate::repository::TenantArchive;
use daemon::telemetry::causes;

impl Check<'_> {
    /// The folders of a tenant's filestore; others are findings.
    pub(super) fn file_folders(&self, archive: &TenantArchive) -> Result<Vec<String>, FileError> {
        let folder = archive.files_folder();
        let mut folders = self.store.names(&folder)?;
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
        let objects = match self.store.walk(&folder) {
            Ok(objects) => objects,
            Err(error) => return self.unreadable(&error),
        };
        for (path, size) in objects {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Some(id) = name.parse::<FileId>().ok().filter(|_| name.starts_with(prefix)) else {
                self.find(FlawKind::Unknown, &path, "is no name of a filestore's file in this folder");
                continue;
            };
            self.count(|found| found.files += 1);
            let mut object = match archive.open_object(&path) {
                Ok(Some(object)) => object,
                Ok(None) if archive.was_removed(&path) => continue,
                Ok(None) => {
                    self.find(FlawKind::WrongFile, &path, "went away while it was to be read");
                    continue;
                }
                Err(error) if is_damage(&error) => {
                    self.find(FlawKind::WrongFile, &path, causes(&error));
                    continue;
                }
                Err(error) => {
                    self.unreadable(&error);
                    continue;
                }
            };
            match hash(&mut object, LIMIT) {
                Ok(found) if found == id => {}
                Ok(found) => {
                    self.find(FlawKind::WrongFile, &path, format!("its bytes have the SHA-1 {found}"))
                }
                Err(CopyFault::TooLarge) => {
                    self.find(FlawKind::WrongFile, &path, "is larger than what is kept");
                }
                Err(CopyFault::Read(error)) if error.kind() == io::ErrorKind::InvalidData => {
                    self.find(FlawKind::WrongFile, &path, error.to_string());
                }
                Err(CopyFault::Read(error) | CopyFault::Write(error)) => {
                    self.unreadable(&failed("read", &path)(error));
                }
            }
            self.read_bytes(size);
        }
    }
}

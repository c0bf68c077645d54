//! Reading a tree that belongs to somebody else, who may change it meanwhile:
//! links are not followed, pipes and devices are not opened for long, nothing
//! is read past what was asked for.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use model::program::Identity;
use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid, fchown, fstat, mkdirat, openat, statat, unlinkat,
};
use rustix::io::Errno;

#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    #[error("{action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is not a plain file", .0.display())]
    NotAFile(PathBuf),
    #[error("{} is larger than the {limit} bytes it may have", path.display())]
    TooLarge { path: PathBuf, limit: u64 },
}

impl TreeError {
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Whether a link stands where a file or a folder was meant.
    pub fn is_link(&self) -> bool {
        let Self::Io { source, .. } = self else { return false };
        let number = source.raw_os_error().map(Errno::from_raw_os_error);
        matches!(number, Some(Errno::LOOP | Errno::NOTDIR))
    }
}

/// An open directory.
pub struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

/// What stands under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    File,
    Folder,
    Link,
    /// A socket, a pipe, a device.
    Other,
}

#[derive(Debug)]
pub struct Entry {
    /// None if it is not UTF-8.
    pub name: Option<String>,
    pub kind: Kind,
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const NEW_FILE: OFlags =
    OFlags::RDWR.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Folder {
    /// Opens a directory by a path that is trusted down to its last component.
    pub fn open(path: &Path) -> Result<Self, TreeError> {
        match rustix::fs::open(path, FOLDER, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, path: path.to_owned() }),
            Err(error) => {
                Err(TreeError::Io { action: "open folder", path: path.to_owned(), source: error.into() })
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn error(&self, action: &'static str, name: &str) -> impl FnOnce(io::Error) -> TreeError {
        let path = if name.is_empty() { self.path.clone() } else { self.path.join(name) };
        move |source| TreeError::Io { action, path, source }
    }

    /// The directory `name` in this one.
    pub fn folder(&self, name: &str) -> Result<Self, TreeError> {
        let fd = openat(&self.fd, name, FOLDER, Mode::empty())
            .map_err(|error| self.error("open folder", name)(error.into()))?;
        Ok(Self { fd, path: self.path.join(name) })
    }

    /// The plain file `name` in this directory, with its size.
    pub fn file(&self, name: &str) -> Result<(File, rustix::fs::Stat), TreeError> {
        let fd = openat(&self.fd, name, FILE, Mode::empty())
            .map_err(|error| self.error("open", name)(error.into()))?;
        let stat = fstat(&fd).map_err(|error| self.error("look at", name)(error.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(TreeError::NotAFile(self.path.join(name)));
        }
        Ok((File::from(fd), stat))
    }

    /// A file some folders down: `base/1/1259`.
    pub fn file_at(&self, path: &str) -> Result<(File, rustix::fs::Stat), TreeError> {
        match path.split_once('/') {
            Some((folder, rest)) => self.folder(folder)?.file_at(rest),
            None => self.file(path),
        }
    }

    /// A whole file of at most `limit` bytes.
    pub fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, TreeError> {
        let bytes = self.read_start(name, limit as usize + 1)?;
        if bytes.len() as u64 > limit {
            return Err(TreeError::TooLarge { path: self.path.join(name), limit });
        }
        Ok(bytes)
    }

    /// The first `length` bytes of a file, or fewer if it is shorter.
    pub fn read_start(&self, name: &str, length: usize) -> Result<Vec<u8>, TreeError> {
        let (file, _) = self.file(name)?;
        let mut bytes = Vec::new();
        file.take(length as u64).read_to_end(&mut bytes).map_err(self.error("read", name))?;
        Ok(bytes)
    }

    /// The directory `name` in this one, made with mode 0700 if it is missing.
    pub fn make_folder(&self, name: &str, identity: Option<Identity>) -> Result<Self, TreeError> {
        match mkdirat(&self.fd, name, Mode::RWXU) {
            Err(Errno::EXIST) => return self.folder(name),
            made => made.map_err(|error| self.error("create folder", name)(error.into()))?,
        }
        let folder = self.folder(name)?;
        self.give(&folder.fd, name, identity)?;
        Ok(folder)
    }

    /// A new file of mode 0600.
    pub fn create_file(&self, name: &str, identity: Option<Identity>) -> Result<File, TreeError> {
        let fd = openat(&self.fd, name, NEW_FILE, Mode::RUSR | Mode::WUSR)
            .map_err(|error| self.error("create", name)(error.into()))?;
        self.give(&fd, name, identity)?;
        Ok(File::from(fd))
    }

    /// Removes a file or a link, if there is one.
    pub fn remove_file(&self, name: &str) -> Result<(), TreeError> {
        match unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(self.error("remove", name)(error.into())),
        }
    }

    fn give(&self, fd: &OwnedFd, name: &str, identity: Option<Identity>) -> Result<(), TreeError> {
        let Some(Identity { uid, gid }) = identity else { return Ok(()) };
        fchown(fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .map_err(|error| self.error("change the owner of", name)(error.into()))
    }

    /// What is in the directory, in no order. An entry whose kind cannot be told
    /// any more is left out.
    pub fn entries(&self) -> Result<Vec<Entry>, TreeError> {
        let failed = |error: Errno| self.error("list", "")(error.into());
        let mut entries = Vec::new();
        for entry in Dir::read_from(&self.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let mut file_type = entry.file_type();
            if file_type == FileType::Unknown {
                match statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => file_type = FileType::from_raw_mode(stat.st_mode),
                    Err(_) => continue,
                }
            }
            let kind = match file_type {
                FileType::RegularFile => Kind::File,
                FileType::Directory => Kind::Folder,
                FileType::Symlink => Kind::Link,
                _ => Kind::Other,
            };
            entries.push(Entry { name: name.to_str().ok().map(str::to_owned), kind });
        }
        Ok(entries)
    }

    /// The names of what is in the directory, as far as they are UTF-8.
    pub fn names(&self) -> Result<Vec<String>, TreeError> {
        Ok(self.entries()?.into_iter().filter_map(|entry| entry.name).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_pipes_are_not_followed() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("tree");
        std::fs::create_dir_all(root.join("real")).unwrap();
        std::fs::write(outer.path().join("secret"), "s").unwrap();
        std::fs::write(root.join("real/file"), "good").unwrap();
        std::os::unix::fs::symlink(outer.path(), root.join("up")).unwrap();
        std::os::unix::fs::symlink("../secret", root.join("link")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, root.join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .unwrap();
        let folder = Folder::open(&root).unwrap();
        let mut read = String::new();
        folder.file_at("real/file").unwrap().0.read_to_string(&mut read).unwrap();
        assert_eq!(read, "good");
        assert!(folder.file("link").unwrap_err().is_link());
        assert!(folder.file_at("up/secret").unwrap_err().is_link());
        assert!(matches!(folder.file("pipe"), Err(TreeError::NotAFile(_))));
        assert!(matches!(folder.file("real"), Err(TreeError::NotAFile(_))));
        assert!(folder.file("absent").unwrap_err().is_missing());
        let kinds = |name: &str| {
            folder
                .entries()
                .unwrap()
                .into_iter()
                .find(|entry| entry.name.as_deref() == Some(name))
                .unwrap()
                .kind
        };
        assert_eq!(
            ["real", "link", "pipe", "up"].map(kinds),
            [Kind::Folder, Kind::Link, Kind::Other, Kind::Link]
        );
        assert!(matches!(folder.folder("real").unwrap().read("file", 3), Err(TreeError::TooLarge { .. })));
    }
}

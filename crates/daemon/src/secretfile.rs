//! Files that hold a secret: for their owner alone, whole or not there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Longer than any secret; a file beyond it is something else.
const LONGEST: u64 = 64 << 10;

#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("write secret file {path:?}")]
    Write { path: PathBuf, source: io::Error },
    #[error("read secret file {path:?}")]
    Read { path: PathBuf, source: io::Error },
    #[error("others may read secret file {path:?} (its mode is {mode:04o}); run `chmod 600` on it")]
    Exposed { path: PathBuf, mode: u32 },
    #[error("{path:?} is no secret file: it is no plain file, no text, or longer than 64 KiB")]
    NoSecret { path: PathBuf },
}

/// Writes the file with mode 0600, replacing one that is there. Readers see
/// the old or the new, and the new survives a power cut.
pub fn write(path: &Path, secret: &[u8]) -> Result<(), SecretError> {
    write_file(path, secret).map_err(|source| SecretError::Write { path: path.to_owned(), source })
}

fn write_file(path: &Path, secret: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Never readable by others, not even before a chmod.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let written = file.write_all(secret).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Reads the secret, without the newline at its end; refuses a file that its
/// group or everybody may read or write, and a symbolic link.
pub fn read(path: &Path) -> Result<String, SecretError> {
    let failed = |source| SecretError::Read { path: path.to_owned(), source };
    let no_secret = || SecretError::NoSecret { path: path.to_owned() };
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() || metadata.len() > LONGEST {
        return Err(no_secret());
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SecretError::Exposed { path: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes).map_err(failed)?;
    let mut text = String::from_utf8(bytes).map_err(|_| no_secret())?;
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_the_owners_alone_and_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        // What is there already, and too open, does not show through.
        fs::write(&path, "old and longer than the new one").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        write(&path, b"new\n").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(read(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write(&path, b"secret").unwrap();
        for mode in [0o640, 0o604, 0o620, 0o644] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = read(&path).unwrap_err();
            assert!(matches!(error, SecretError::Exposed { .. }), "{mode:o}");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert_eq!(read(&path).unwrap(), "secret");
    }

    #[test]
    fn links_folders_and_big_files_are_no_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write(&path, b"secret").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(read(&link), Err(SecretError::Read { .. })));
        assert!(matches!(read(folder.path()), Err(SecretError::NoSecret { .. })));
        write(&path, &vec![b'x'; 1 << 17]).unwrap();
        assert!(matches!(read(&path), Err(SecretError::NoSecret { .. })));
        write(&path, b"\xff").unwrap();
        assert!(matches!(read(&path), Err(SecretError::NoSecret { .. })));
        assert!(matches!(read(&folder.path().join("none")), Err(SecretError::Read { .. })));
        assert!(matches!(write(Path::new("/no/such/key"), b""), Err(SecretError::Write { .. })));
    }
}

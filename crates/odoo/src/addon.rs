//! Heddle's own addon: the guards that every Odoo it hosts is loaded with.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const FILES: &[(&str, &str)] = &[
    ("__manifest__.py", include_str!("../addon/heddle/__manifest__.py")),
    ("router.py", include_str!("../addon/heddle/router.py")),
    ("files.py", include_str!("../addon/heddle/files.py")),
    ("identity/sitecustomize.py", include_str!("../addon/heddle/identity/sitecustomize.py")),
    // last: Odoo imports it
    ("__init__.py", include_str!("../addon/heddle/__init__.py")),
];

#[derive(Debug, thiserror::Error)]
#[error("write Heddle's addon {path}")]
pub struct InstallError {
    path: PathBuf,
    source: io::Error,
}

/// What Python has to import before Odoo does, for users without a passwd entry.
pub(crate) fn python_path(addons: &Path) -> PathBuf {
    addons.join("heddle/identity")
}

/// Writes the addon as `<addons>/heddle`, for everybody to read. Each file is
/// replaced in one step, so that an Odoo starting meanwhile reads whole files.
pub fn install(addons: &Path) -> Result<(), InstallError> {
    let root = addons.join("heddle");
    // Odoo up to 11 looks for controllers only in addons with a static folder
    for folder in [addons, &root, &root.join("static"), &python_path(addons)] {
        let made = fs::create_dir_all(folder)
            .and_then(|()| fs::set_permissions(folder, Permissions::from_mode(0o755)));
        made.map_err(|source| InstallError { path: folder.into(), source })?;
    }
    for (name, text) in FILES {
        let path = root.join(name);
        replace(&path, text).map_err(|source| InstallError { path, source })?;
    }
    Ok(())
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    if fs::read(path).is_ok_and(|found| found == text.as_bytes()) {
        return fs::set_permissions(path, Permissions::from_mode(0o644));
    }
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_readable_by_all_and_can_be_written_again() {
        let scratch = tempfile::tempdir().unwrap();
        let addons = scratch.path().join("addons");
        install(&addons).unwrap();
        fs::write(addons.join("heddle/router.py"), "tampered").unwrap();
        install(&addons).unwrap();
        for (name, text) in FILES {
            let path = addons.join("heddle").join(name);
            assert_eq!(fs::read_to_string(&path).unwrap(), *text);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        }
        assert_eq!(fs::metadata(addons.join("heddle")).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(fs::read_dir(addons.join("heddle")).unwrap().count(), FILES.len() + 1);
    }
}

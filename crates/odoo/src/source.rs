//! Finding an Odoo at a path: a source tree or a virtual environment.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::release::{Series, version_info};

/// An Odoo that can be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The folder that was given, absolute.
    pub root: PathBuf,
    pub series: Series,
    /// The script to run: `odoo-bin`, or a virtual environment's `odoo`.
    pub program: PathBuf,
    /// The interpreter to run it with.
    pub python: PathBuf,
    /// Where Odoo's own modules are.
    pub addons: Vec<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("there is nothing at {0}: give the folder of an Odoo source tree or of a virtual environment")]
    Missing(PathBuf),
    #[error(
        "there is no Odoo in {root}: looked for {}. Give a source tree (the folder that holds odoo-bin) or \
         a virtual environment with Odoo in it",
        looked_for.join(", ")
    )]
    NotOdoo { root: PathBuf, looked_for: Vec<String> },
    #[error("read {0}")]
    Read(PathBuf, #[source] io::Error),
    #[error("{0} does not say which version of Odoo it is (no version_info)")]
    NoVersion(PathBuf),
    #[error("{root} is Odoo {found}: supported are the series 11.0 to 19.0")]
    Unsupported { root: PathBuf, found: String },
    #[error("there is no Python at {0}: give the interpreter that has Odoo's requirements installed")]
    NoPython(PathBuf),
    #[error(
        "tenants' Odoos run as users of their own, which {path} is closed to: {denied} lets no others \
         in (chmod o+{mode} {denied})",
        path = path.display(), denied = denied.display()
    )]
    Unreadable { path: PathBuf, denied: PathBuf, mode: &'static str },
    #[error("the path {0} holds a character that Odoo's configuration cannot (a comma, quote or line end)")]
    UnusablePath(PathBuf),
    #[error("run {0}")]
    RunPython(PathBuf, #[source] io::Error),
    #[error("{python} lacks what Odoo needs: {}", missing.join(", "))]
    MissingRequirements { python: PathBuf, missing: Vec<String> },
}

impl Source {
    /// Finds the Odoo at `path`. `python` is the interpreter of a source tree
    /// (default: the tree's `.venv` or `venv`, else /usr/bin/python3); a
    /// virtual environment brings its own.
    ///
    /// Nothing of Odoo is run. As root it is also checked that others may read
    /// it all, since tenants' Odoos run as unprivileged users.
    pub fn detect(path: &Path, python: Option<&Path>) -> Result<Self, SourceError> {
        let root = std::path::absolute(path).map_err(|error| SourceError::Read(path.into(), error))?;
        if !root.is_dir() {
            return Err(SourceError::Missing(root));
        }
        let (program, package, addons, own_python) = layout(&root)?;
        let release = package.join("release.py");
        let text = fs::read_to_string(&release).map_err(|error| SourceError::Read(release.clone(), error))?;
        let (major, minor) = version_info(&text).ok_or_else(|| SourceError::NoVersion(release.clone()))?;
        let series = major.parse().ok().and_then(Series::new).filter(|_| minor == "0").ok_or_else(|| {
            SourceError::Unsupported { root: root.clone(), found: format!("{major}.{minor}") }
        })?;
        let python = match python {
            Some(python) => {
                std::path::absolute(python).map_err(|error| SourceError::Read(python.into(), error))?
            }
            None => own_python,
        };
        if !is_executable(&python) {
            return Err(SourceError::NoPython(python));
        }
        let source = Self { root, series, program, python, addons };
        source.usable()?;
        if rustix::process::geteuid().is_root() {
            for path in [&source.program, &release, &source.python].into_iter().chain(&source.addons) {
                readable_by_others(path)?;
            }
        }
        Ok(source)
    }

    /// Asks the interpreter which of Odoo's requirements it lacks (the ones
    /// that every series needs to start). Takes a fraction of a second.
    pub fn check_requirements(&self) -> Result<(), SourceError> {
        const REQUIRED: &str = "babel dateutil decorator docutils lxml passlib PIL psutil psycopg2 pytz \
                                reportlab requests werkzeug";
        let script = "import importlib.util, sys\n\
                      print(*[name for name in sys.argv[1:] if not importlib.util.find_spec(name)])";
        let output = Command::new(&self.python)
            .args(["-c", script])
            .args(REQUIRED.split_whitespace())
            .env_clear()
            .env("PATH", self.path_variable())
            .output()
            .map_err(|error| SourceError::RunPython(self.python.clone(), error))?;
        if !output.status.success() {
            let error = io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned());
            return Err(SourceError::RunPython(self.python.clone(), error));
        }
        let missing: Vec<String> =
            String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(SourceError::MissingRequirements { python: self.python.clone(), missing })
    }

    /// `PATH` for Odoo: the interpreter's own folder first, since Odoo looks
    /// there for helpers (lessc, rtlcss) and re-executes a bare `python`.
    pub(crate) fn path_variable(&self) -> String {
        let bin = self.python.parent().unwrap_or(Path::new("/usr/bin"));
        format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display())
    }

    fn usable(&self) -> Result<(), SourceError> {
        for path in self.addons.iter().chain([&self.program, &self.python]) {
            if !crate::config::holds_path(path) {
                return Err(SourceError::UnusablePath(path.clone()));
            }
        }
        Ok(())
    }
}

type Layout = (PathBuf, PathBuf, Vec<PathBuf>, PathBuf);

/// (program, odoo package, addons, default interpreter)
fn layout(root: &Path) -> Result<Layout, SourceError> {
    let package = root.join("odoo");
    let program = root.join("odoo-bin");
    if program.is_file() && package.join("release.py").is_file() {
        let python = [".venv", "venv"].map(|venv| root.join(venv).join("bin/python3"));
        let python = python.into_iter().find(|path| is_executable(path));
        let addons = vec![package.join("addons"), root.join("addons")];
        let addons = addons.into_iter().filter(|folder| folder.is_dir()).collect();
        return Ok((program, package, addons, python.unwrap_or_else(|| "/usr/bin/python3".into())));
    }
    let program = ["bin/odoo-bin", "bin/odoo"].map(|name| root.join(name));
    let program = program.into_iter().find(|path| path.is_file());
    let package = site_packages(root).into_iter().map(|folder| folder.join("odoo"));
    let package = package.into_iter().find(|package| package.join("release.py").is_file());
    if let (Some(program), Some(package)) = (program, package) {
        let addons = vec![package.join("addons")];
        return Ok((program, package, addons, root.join("bin/python3")));
    }
    let looked_for = [
        "odoo-bin with odoo/release.py",
        "bin/odoo-bin or bin/odoo with lib/python3.*/site-packages/odoo/release.py",
    ];
    Err(SourceError::NotOdoo { root: root.into(), looked_for: looked_for.map(str::to_owned).into() })
}

fn site_packages(root: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root.join("lib")) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("python3"))
        .map(|entry| entry.path().join("site-packages"))
        .collect();
    found.sort();
    found
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Whether somebody who is neither owner nor of the group can get at `path`,
/// by its own name and by the one its symbolic links lead to.
pub(crate) fn readable_by_others(path: &Path) -> Result<(), SourceError> {
    let real = path.canonicalize().map_err(|error| SourceError::Read(path.into(), error))?;
    for path in [path, real.as_path()] {
        for folder in path.ancestors().skip(1) {
            let found = fs::metadata(folder).map_err(|error| SourceError::Read(folder.into(), error))?;
            if found.mode() & 0o001 == 0 {
                return Err(SourceError::Unreadable { path: path.into(), denied: folder.into(), mode: "x" });
            }
        }
    }
    let found = fs::metadata(&real).map_err(|error| SourceError::Read(real.clone(), error))?;
    let (needed, mode) = if found.is_dir() { (0o005, "rx") } else { (0o004, "r") };
    if found.mode() & needed != needed {
        return Err(SourceError::Unreadable { path: path.into(), denied: real, mode });
    }
    Ok(())
}

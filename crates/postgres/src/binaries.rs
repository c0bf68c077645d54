//! Finding PostgreSQL's programs on this machine.

use std::env;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `15.14`; ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
}

impl Version {
    /// What the rest of this crate is written for.
    pub const OLDEST: Self = Self { major: 15, minor: 0 };
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A folder with the programs of one PostgreSQL version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    dir: PathBuf,
    version: Version,
}

#[derive(Debug, thiserror::Error)]
pub enum BinariesError {
    #[error("PostgreSQL was not found in {}", list(looked))]
    NotFound { looked: Vec<PathBuf> },
    /// Found, but nothing new enough; the newest one.
    #[error("PostgreSQL {version} in {} is too old: version {} or newer is needed", dir.display(), Version::OLDEST.major)]
    TooOld { version: Version, dir: PathBuf },
    #[error("{} holds postgres but not {missing}", dir.display())]
    Incomplete { dir: PathBuf, missing: &'static str },
    #[error("run {} --version", path.display())]
    Run { path: PathBuf, source: io::Error },
    #[error("{} --version says no version: {output:?}", path.display())]
    NoVersion { path: PathBuf, output: String },
}

impl BinariesError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotFound { .. } | Self::TooOld { .. } => {
                "install PostgreSQL 15 or newer. On Debian and Ubuntu: first put \
                 `create_main_cluster = false` into /etc/postgresql-common/createcluster.conf, so that the \
                 package starts no cluster of its own, then `apt-get install postgresql`. If it is installed \
                 elsewhere, name its folder of programs with HEDDLE_POSTGRES_BIN"
            }
            Self::Incomplete { .. } => {
                "install PostgreSQL's server package, not only its client. On Debian and Ubuntu: \
                 `apt-get install postgresql`"
            }
            Self::Run { .. } | Self::NoVersion { .. } => {
                "check that the folder that HEDDLE_POSTGRES_BIN names holds PostgreSQL's own programs for this machine"
            }
        }
    }
}

/// What this crate runs besides `postgres`.
const NEEDED: [&str; 3] = ["initdb", "pg_controldata", "pg_resetwal"];

impl Binaries {
    /// With a hint, only there. Else the newest in Debian's folders that is new
    /// enough, then the search path.
    pub fn find(hint: Option<&Path>) -> Result<Self, BinariesError> {
        if let Some(dir) = hint {
            let dirs = vec![dir.to_owned(), dir.join("bin")];
            return Self::first(dirs);
        }
        let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let entry = entry.ok()?;
                Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
            })
            .collect();
        versions.sort_by(|a, b| b.cmp(a));
        let mut dirs: Vec<PathBuf> = versions.into_iter().map(|(_, dir)| dir).collect();
        dirs.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        Self::first(dirs)
    }

    fn first(dirs: Vec<PathBuf>) -> Result<Self, BinariesError> {
        let mut fault = None;
        for dir in &dirs {
            // On the search path `postgres` may be a link out of its own folder.
            let Ok(postgres) = fs::canonicalize(dir.join("postgres")) else { continue };
            let Some(dir) = postgres.parent() else { continue };
            match Self::in_dir(dir) {
                Ok(found) => return Ok(found),
                Err(error) => drop(fault.get_or_insert(error)),
            }
        }
        Err(fault.unwrap_or(BinariesError::NotFound { looked: dirs }))
    }

    fn in_dir(dir: &Path) -> Result<Self, BinariesError> {
        let path = dir.join("postgres");
        let output = Command::new(&path)
            .arg("--version")
            .output()
            .map_err(|source| BinariesError::Run { path: path.clone(), source })?;
        let output = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let Some(version) = parse_version(&output) else {
            return Err(BinariesError::NoVersion { path, output });
        };
        if version < Version::OLDEST {
            return Err(BinariesError::TooOld { version, dir: dir.to_owned() });
        }
        if let Some(missing) = NEEDED.into_iter().find(|program| !dir.join(program).exists()) {
            return Err(BinariesError::Incomplete { dir: dir.to_owned(), missing });
        }
        Ok(Self { dir: dir.to_owned(), version })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn version(&self) -> Version {
        self.version
    }

    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// Out of `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`, or `17beta1`.
fn parse_version(output: &str) -> Option<Version> {
    let text = output.split_once("(PostgreSQL) ")?.1;
    let end = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (major, rest) = text.split_at(end(text));
    let minor = rest.strip_prefix('.').map_or("0", |minor| &minor[..end(minor)]);
    Some(Version { major: major.parse().ok()?, minor: minor.parse().ok()? })
}

fn list(paths: &[PathBuf]) -> String {
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        let version = |text| parse_version(text).map(|version| version.to_string());
        assert_eq!(version("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)").as_deref(), Some("15.14"));
        assert_eq!(version("postgres (PostgreSQL) 17beta1").as_deref(), Some("17.0"));
        assert_eq!(version("postgres (PostgreSQL) 9.6.24").as_deref(), Some("9.6"));
        assert_eq!(version("mysqld 8.0"), None);
    }

    fn fake(version: &str) -> tempfile::TempDir {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("postgres");
        fs::write(&path, format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        dir
    }

    #[test]
    fn faults_say_where_and_what() {
        let empty = tempfile::tempdir().unwrap();
        let error = Binaries::find(Some(empty.path())).unwrap_err();
        assert!(error.to_string().contains(empty.path().to_str().unwrap()), "{error}");
        assert!(error.hint().contains("apt-get install postgresql"), "{}", error.hint());
        assert!(error.hint().contains("create_main_cluster = false"), "{}", error.hint());

        let old = fake("13.9");
        let error = Binaries::find(Some(old.path())).unwrap_err();
        assert!(matches!(error, BinariesError::TooOld { version: Version { major: 13, minor: 9 }, .. }));
        assert!(error.to_string().contains("13.9") && error.to_string().contains("too old"), "{error}");

        let error = Binaries::find(Some(fake("15.1").path())).unwrap_err();
        assert!(matches!(error, BinariesError::Incomplete { missing: "initdb", .. }), "{error}");
    }

    #[test]
    fn the_machines_own_is_found() {
        let found = Binaries::find(None).unwrap();
        assert!(found.version() >= Version::OLDEST);
        assert_eq!(Binaries::find(Some(found.dir())).unwrap(), found);
    }
}

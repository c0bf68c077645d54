//! Clocks that jump: libfaketime tells a process another time, and looks every
//! second which. Monotonic clocks are left alone, as by a real jump.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A clock of its own for whoever is started with its environment.
pub struct Clock {
    file: PathBuf,
    library: PathBuf,
}

impl Clock {
    /// Shows the true time; `file` is made.
    pub fn new(file: PathBuf) -> Result<Self> {
        let clock = Self { file, library: library()? };
        clock.jump(0)?;
        Ok(clock)
    }

    /// So many seconds off the true time from now on.
    pub fn jump(&self, seconds: i64) -> Result<()> {
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{seconds:+}\n")).context("set a clock")?;
        fs::set_permissions(&new, Permissions::from_mode(0o644))?;
        fs::rename(&new, &self.file).context("set a clock")
    }

    pub fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("FAKETIME_DISABLE_SHM", "1".to_owned()),
        ]
    }

    /// A folder with PostgreSQL's programs whose server goes by this clock: what
    /// a cluster is started with in its environment is Heddle's to say.
    pub fn postgres(&self, folder: &Path) -> Result<PathBuf> {
        let real = programs()?;
        fs::create_dir(folder).context("make a folder for PostgreSQL's programs")?;
        for entry in fs::read_dir(&real)? {
            let program = entry?;
            if program.file_name() != "postgres" {
                symlink(program.path(), folder.join(program.file_name()))?;
            }
        }
        let set: Vec<_> =
            self.environment().iter().map(|(name, value)| format!("export {name}='{value}'\n")).collect();
        let script =
            format!("#!/bin/sh\n{}exec '{}' \"$@\"\n", set.concat(), real.join("postgres").display());
        let wrapped = folder.join("postgres");
        fs::write(&wrapped, script)?;
        fs::set_permissions(&wrapped, Permissions::from_mode(0o755))?;
        fs::set_permissions(folder, Permissions::from_mode(0o755))?;
        Ok(folder.to_owned())
    }
}

/// The one for processes with threads; Debian's package `libfaketime`.
fn library() -> Result<PathBuf> {
    let folders = fs::read_dir("/usr/lib").context("list /usr/lib")?.flatten();
    let mut found = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    found.find(|path| path.exists()).context("libfaketime is not installed; `scripts/prepare.sh test` does")
}

/// Where Heddle would find PostgreSQL: the newest of Debian's, unless it is named.
fn programs() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("HEDDLE_POSTGRES_BIN") {
        return Ok(named.into());
    }
    let folders = fs::read_dir("/usr/lib/postgresql").context("find PostgreSQL")?.flatten();
    let version =
        |path: &PathBuf| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()).unwrap_or(0);
    let newest = folders.map(|folder| folder.path()).filter(|path| path.join("bin/initdb").exists());
    Ok(newest.max_by_key(version).context("find PostgreSQL")?.join("bin"))
}

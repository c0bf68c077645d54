//! What the machine as a whole has.

use std::path::Path;
use std::process::Command;

use jiff::Timestamp;
use postgres::{Binaries, OsUser};
use rustix::process::{Resource, getrlimit};

use super::Check;

pub fn postgresql(hint: Option<&Path>) -> Check {
    match Binaries::find(hint) {
        Ok(found) => Check::ok("PostgreSQL", format!("{} in {}", found.version(), found.dir().display())),
        Err(error) => Check::problem("PostgreSQL", error.to_string(), error.hint()),
    }
}

pub fn python() -> Check {
    const NAME: &str = "Python";
    let version = Command::new("/usr/bin/python3").arg("--version").output();
    match version {
        Ok(output) if output.status.success() => {
            let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            Check::ok(NAME, format!("{version} in /usr/bin"))
        }
        _ => Check::warning(
            NAME,
            "there is no /usr/bin/python3",
            "`apt-get install python3`; builds that name a Python of their own do without",
        ),
    }
}

/// Root needs somebody to make clusters as.
pub fn user(name: Option<&str>) -> Check {
    const NAME: &str = "service user";
    if !rustix::process::geteuid().is_root() {
        return match OsUser::current() {
            Ok(user) => Check::ok(NAME, format!("all runs as you, {}", user.name)),
            Err(error) => Check::problem(
                NAME,
                error.to_string(),
                "PostgreSQL's initdb needs a user with a name: add yours to /etc/passwd",
            ),
        };
    }
    let found = match name {
        Some(name) => OsUser::find(name).map(Some),
        None => OsUser::for_initdb(),
    };
    match found {
        Ok(Some(user)) if user.uid != 0 => Check::ok(NAME, format!("clusters are made as {}", user.name)),
        Ok(_) => Check::problem(
            NAME,
            "PostgreSQL refuses to be made as root",
            "set HEDDLE_SERVICE_USER to an unprivileged user",
        ),
        Err(error) => Check::problem(
            NAME,
            error.to_string(),
            "PostgreSQL's package brings `postgres`; or set HEDDLE_SERVICE_USER to an unprivileged user",
        ),
    }
}

pub fn isolation() -> Check {
    const NAME: &str = "isolation";
    if rustix::process::geteuid().is_root() {
        return Check::ok(NAME, "each tenant's Odoo and cluster run as users of their own");
    }
    Check::warning(
        NAME,
        "off: without root, all tenants run as one user and can read each other's files",
        "run `heddle up` as root wherever tenants do not trust each other",
    )
}

pub fn open_files() -> Check {
    const NAME: &str = "open files";
    /// A tenant needs about 200: its Odoo, its cluster, their connections.
    const ENOUGH: u64 = 8192;
    match getrlimit(Resource::Nofile).maximum {
        Some(limit) if limit < ENOUGH => Check::warning(
            NAME,
            format!("at most {limit} a process"),
            "raise the hard limit: LimitNOFILE=65536 in systemd, or /etc/security/limits.conf",
        ),
        Some(limit) => Check::ok(NAME, format!("up to {limit} a process")),
        None => Check::ok(NAME, "no limit"),
    }
}

/// Restores to a time are as exact as the clock. What can be seen without
/// asking a time server: whether it is absurd, and whether something keeps it.
pub fn clock() -> Check {
    const NAME: &str = "clock";
    /// When this check was written: an earlier date means a dead battery.
    const WRITTEN: i64 = 1_763_683_200;
    let now = Timestamp::now();
    if now.as_second() < WRITTEN {
        return Check::problem(NAME, format!("it says {now}"), "set it: `timedatectl set-ntp true`");
    }
    let keepers = [
        ("/run/systemd/timesync/synchronized", "systemd-timesyncd"),
        ("/run/chrony/chronyd.pid", "chrony"),
        ("/run/ntpd.pid", "ntpd"),
        ("/run/ntpsec/ntpd.pid", "ntpsec"),
    ];
    match keepers.iter().find(|(path, _)| Path::new(path).exists()) {
        Some((_, keeper)) => Check::ok(NAME, format!("kept by {keeper}")),
        None => Check::warning(
            NAME,
            "nothing seems to synchronise it (or the host does, unseen)",
            "`apt-get install systemd-timesyncd`: restores to a time are as exact as the clock",
        ),
    }
}

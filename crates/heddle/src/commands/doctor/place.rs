//! What the data folder's place, the run folder and the ports are like.

use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use archive::Location;

use super::Check;
use crate::data::Data;
use crate::failure::Failure;
use crate::output::bytes;
use crate::ports;
use crate::repository;
use crate::settings::{LONGEST_RUN_DIR, Settings};

pub fn checks(settings: &Settings) -> Vec<Check> {
    let data = Data::new(&settings.data);
    let owner = data.lock_holder();
    vec![
        running(settings, &data, owner),
        reachable(&settings.data),
        space(&settings.data),
        reflink(&settings.data),
        sockets(&settings.run_dir),
        repository_key(settings),
        port("console port", "listen_console", settings.listen_console, owner.is_some()),
        port("router port", "listen_router", settings.listen_router, owner.is_some()),
    ]
}

/// The path itself, or the nearest folder above it that exists.
fn nearest(path: &Path) -> PathBuf {
    path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_owned()
}

fn running(settings: &Settings, data: &Data, owner: Option<u32>) -> Check {
    const NAME: &str = "data folder";
    let place = settings.data.display();
    match owner {
        Some(pid) => Check::ok(NAME, format!("{place}, in use by `heddle up` (pid {pid})")),
        None if data.was_killed() => Check::ok(
            NAME,
            format!("{place}; `heddle up` was killed, and the next takes over what it left running"),
        ),
        None if settings.data.join("lock").exists() => Check::ok(NAME, format!("{place}, stopped")),
        None => Check::ok(NAME, format!("{place}, new")),
    }
}

/// Whoever loses it loses every backup.
fn repository_key(settings: &Settings) -> Check {
    const NAME: &str = "repository key";
    let keys = repository::keys(settings);
    let path = keys.path().display();
    let made = match &settings.repository {
        Location::Folder(root) => root.join("heddle.json").exists(),
        Location::S3(_) => false,
    };
    match (keys.path().exists(), keys.count()) {
        (true, Ok(1)) => {
            Check::ok(NAME, format!("{path}; keep a copy elsewhere: no backup can be read without it"))
        }
        (true, Ok(_)) => Check::warning(
            NAME,
            format!("{path}; a rotation was broken off"),
            "run `heddle archive rotate` again",
        ),
        (true, Err(error)) => {
            Check::problem(NAME, error.to_string(), "put the right key file there, for its owner alone")
        }
        (false, _) if made => Check::problem(
            NAME,
            format!("{path} is missing, and the repository is there"),
            "put it back from your copy, or name it with HEDDLE_REPOSITORY_KEY",
        ),
        (false, _) => Check::ok(NAME, format!("{path}, made by the first `heddle up`")),
    }
}

/// Tenants' programs run as users that only pass through.
fn reachable(data: &Path) -> Check {
    const NAME: &str = "way to it";
    if !rustix::process::geteuid().is_root() {
        let place = nearest(data);
        return match rustix::fs::access(&place, rustix::fs::Access::WRITE_OK) {
            Ok(()) => Check::ok(NAME, "you may write there"),
            Err(_) => Check::problem(
                NAME,
                format!("you may not write in {}", place.display()),
                "name a folder of yours with --data or HEDDLE_DATA",
            ),
        };
    }
    match closed_ancestor(data) {
        None => Check::ok(NAME, "other users may pass through"),
        Some(folder) => Check::problem(
            NAME,
            format!("other users cannot pass {}: tenants run as users of their own", folder.display()),
            format!("`chmod o+x {}`, or choose another folder with --data", folder.display()),
        ),
    }
}

/// The first folder above `data` that users other than its owner cannot pass.
pub fn closed_ancestor(data: &Path) -> Option<PathBuf> {
    let above = data.ancestors().skip(1).collect::<Vec<_>>();
    above.into_iter().rev().find(|folder| closed(folder)).map(Path::to_owned)
}

fn closed(folder: &Path) -> bool {
    folder.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o001 == 0)
}

fn space(data: &Path) -> Check {
    const NAME: &str = "disk space";
    const GIB: u64 = 1 << 30;
    let place = nearest(data);
    match rustix::fs::statvfs(&place) {
        Ok(status) => {
            let free = status.f_bavail.saturating_mul(status.f_frsize);
            let detail = format!("{} free", bytes(free));
            let fix = "make room, or choose another folder with --data";
            match free {
                0..GIB => Check::problem(NAME, detail, fix),
                _ if free < 10 * GIB => Check::warning(NAME, detail, fix),
                _ => Check::ok(NAME, detail),
            }
        }
        Err(error) => Check::warning(NAME, format!("cannot be read: {error}"), "look at `df`"),
    }
}

/// Tried out, in the folder itself or as near to it as can be written.
fn reflink(data: &Path) -> Check {
    const NAME: &str = "reflink";
    let place = nearest(data);
    let clone = || -> std::io::Result<()> {
        let from = tempfile::tempfile_in(&place)?;
        std::io::Write::write_all(&mut &from, &[7; 4096])?;
        let to: File = tempfile::tempfile_in(&place)?;
        Ok(rustix::fs::ioctl_ficlone(&to, &from)?)
    };
    match clone() {
        Ok(()) => Check::ok(NAME, "copies of clusters take no time and no space"),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Check::warning(NAME, "not tried: you may not write there", "run this as the user of `heddle up`")
        }
        Err(_) => Check::warning(
            NAME,
            "the file system has none: each new tenant is copied byte by byte, about 50 MB",
            "fine for a few tenants; XFS and Btrfs have it",
        ),
    }
}

fn sockets(run_dir: &Path) -> Check {
    const NAME: &str = "run folder";
    let length = run_dir.as_os_str().as_bytes().len();
    if length > LONGEST_RUN_DIR {
        return Check::problem(
            NAME,
            format!("{} is {length} bytes long: sockets in it would have too long a path", run_dir.display()),
            format!("set HEDDLE_RUN_DIR to a path of at most {LONGEST_RUN_DIR} bytes"),
        );
    }
    if rustix::process::geteuid().is_root()
        && let Some(folder) = closed_ancestor(run_dir)
    {
        return Check::problem(
            NAME,
            format!("other users cannot pass {}", folder.display()),
            format!("`chmod o+x {}`, or choose another with HEDDLE_RUN_DIR", folder.display()),
        );
    }
    Check::ok(NAME, run_dir.display().to_string())
}

fn port(name: &'static str, setting: &str, address: std::net::SocketAddr, running: bool) -> Check {
    match ports::check(setting, address) {
        Ok(()) => Check::ok(name, format!("{address} is free")),
        Err(_) if running => Check::ok(name, format!("{address}, by the running Heddle")),
        Err(Failure { detail, hint, .. }) => Check::problem(name, detail, hint.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_closed_folder_on_the_way_is_named() {
        let top = tempfile::tempdir().unwrap();
        let data = top.path().join("a/b/data");
        std::fs::create_dir_all(&data).unwrap();
        let set = |path: &str, mode| {
            std::fs::set_permissions(top.path().join(path), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        set("", 0o711);
        set("a", 0o700);
        assert_eq!(closed_ancestor(&data), Some(top.path().join("a")));
        set("a", 0o711);
        assert_eq!(closed_ancestor(&data), None);
    }

    #[test]
    fn a_long_run_folder_is_a_problem() {
        let long = PathBuf::from(format!("/tmp/{}", "x".repeat(80)));
        let check = sockets(&long);
        assert_eq!(check.state, State::Problem);
        assert!(check.fix.unwrap().contains("79 bytes"));
    }

    #[test]
    fn the_disk_is_read() {
        assert!(space(Path::new("/nonexistent/heddle")).detail.ends_with("free"));
    }
}

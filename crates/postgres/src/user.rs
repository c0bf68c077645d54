//! Users of the operating system that have a name.

use std::fs;
use std::io;
use std::process::Command;

use model::program::Identity;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OsUser {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

#[derive(Debug, thiserror::Error)]
pub enum UserError {
    #[error("read /etc/passwd")]
    Read(#[source] io::Error),
    #[error("there is no operating system user {0}")]
    Unknown(String),
}

impl OsUser {
    pub fn find(name: &str) -> Result<Self, UserError> {
        Self::look_up(name, |user| user.name == name)
    }

    /// The user this process runs as.
    pub fn current() -> Result<Self, UserError> {
        let uid = rustix::process::geteuid().as_raw();
        Self::look_up(&uid.to_string(), |user| user.uid == uid)
    }

    /// Who makes new clusters: `initdb` refuses root, and users without a name.
    /// None: this process may do it itself. Else `postgres`, or `nobody` where
    /// PostgreSQL came without a user of its own.
    pub fn for_initdb() -> Result<Option<Self>, UserError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        Self::find("postgres").or_else(|_| Self::find("nobody")).map(Some)
    }

    pub fn identity(&self) -> Identity {
        Identity { uid: self.uid, gid: self.gid }
    }

    fn look_up(key: &str, wanted: impl Fn(&Self) -> bool) -> Result<Self, UserError> {
        let file = fs::read_to_string("/etc/passwd").map_err(UserError::Read)?;
        if let Some(user) = file.lines().filter_map(parse).find(|user| wanted(user)) {
            return Ok(user);
        }
        // The user may be kept in a directory service.
        let asked = Command::new("getent").args(["passwd", key]).output().ok();
        asked
            .and_then(|output| String::from_utf8(output.stdout).ok()?.lines().find_map(parse))
            .filter(wanted)
            .ok_or_else(|| UserError::Unknown(key.to_owned()))
    }
}

/// `name:password:uid:gid:comment:home:shell`
fn parse(line: &str) -> Option<OsUser> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let (uid, gid) = (fields.nth(1)?, fields.next()?);
    Some(OsUser { name: name.to_owned(), uid: uid.parse().ok()?, gid: gid.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_passwd_are_read() {
        let user =
            parse("postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash").unwrap();
        assert_eq!(user, OsUser { name: "postgres".into(), uid: 101, gid: 104 });
        for bad in ["", "+", "name:x:one:2", ":x:1:2:::"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn root_is_found_and_strangers_are_not() {
        assert_eq!(OsUser::find("root").unwrap().uid, 0);
        OsUser::current().unwrap();
        assert!(matches!(OsUser::find("no-such-user"), Err(UserError::Unknown(_))));
    }
}

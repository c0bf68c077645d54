//! The text of a cluster's configuration files.

use std::fmt::Write;

use crate::shell::{list_entry, setting};
use crate::{Archive, SUPERUSER};

/// What is the same in every cluster.
const COMMON: &str = include_str!("cluster.conf");

/// Settings that only the management cluster has.
pub(crate) const MANAGEMENT_FILE: &str = "heddle-management.conf";
pub(crate) const MANAGEMENT: &str = include_str!("management.conf");

/// Settings that only a cluster in recovery has; empty otherwise.
pub(crate) const RECOVERY_FILE: &str = "heddle-recovery.conf";

/// Settings that only a peek has.
pub(crate) const PEEK_FILE: &str = "heddle-peek.conf";

/// The map of operating system users to the superuser.
const MAP: &str = "heddle";

/// How long a committed change waits at most before its segment is archived,
/// even if the segment is not full.
const ARCHIVE_TIMEOUT_SECONDS: u32 = 60;

/// initdb's own file is replaced, so that a cluster's settings do not depend on
/// the machine and the version that made it.
pub(crate) const POSTGRESQL_CONF: &str = "\
# Written by Heddle. Every setting is in heddle.conf.
include 'heddle.conf'
include_if_exists 'heddle-management.conf'
include_if_exists 'heddle-recovery.conf'
include_if_exists 'heddle-peek.conf'
";

pub(crate) fn heddle_conf(port: u16, socket_dir: &str, archive: Option<&Archive>) -> String {
    let mut text = COMMON.to_owned();
    let sockets = setting(&list_entry(socket_dir));
    // Writing to a String cannot fail.
    let _ = write!(text, "\n# This cluster's own.\nport = {port}\nunix_socket_directories = {sockets}\n");
    match archive {
        Some(archive) => {
            let push = setting(archive.push.as_str());
            let _ = write!(
                text,
                "archive_mode = on\narchive_command = {push}\narchive_timeout = {ARCHIVE_TIMEOUT_SECONDS}\n"
            );
        }
        None => text.push_str("archive_mode = off\n"),
    }
    text
}

/// First match decides; what matches nothing is refused as well.
pub(crate) fn pg_hba_conf() -> String {
    format!(
        "\
# Written by Heddle.
# TYPE  DATABASE  USER      ADDRESS         METHOD
local   all       {SUPERUSER}                    peer map={MAP}
local   all       all                       scram-sha-256
host    all       {SUPERUSER}    all             reject
host    all       all       127.0.0.1/32    scram-sha-256
host    all       all       all             reject
local   replication {SUPERUSER}                    peer map={MAP}
local   replication all                     reject
host    replication all     all             reject
"
    )
}

pub(crate) fn pg_ident_conf(os_user: &str) -> String {
    let quoted = os_user.replace('"', "");
    format!("# Written by Heddle.\n# MAP   OS-USER   ROLE\n{MAP}  \"{quoted}\"  {SUPERUSER}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_given_user_becomes_superuser() {
        let ident = pg_ident_conf("root");
        let lines: Vec<&str> = ident.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(lines, ["heddle  \"root\"  heddle"]);
    }

    #[test]
    fn a_cluster_without_an_archive_archives_nothing() {
        let text = heddle_conf(5000, "/run/x", None);
        assert!(text.ends_with("unix_socket_directories = '\"/run/x\"'\narchive_mode = off\n"), "{text}");
    }
}

//! Recovery to a point: asking for it, and what it left behind.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use model::lsn::{Lsn, Timeline};
use model::program::Identity;
use model::restore::Stop;

use crate::ShellCommand;
use crate::disk::{self, FileError, fault};
use crate::settings::RECOVERY_FILE;
use crate::shell::setting;

const SIGNAL_FILE: &str = "recovery.signal";

/// PostgreSQL keeps this many bytes of a restore point's name.
const POINT_NAME_LIMIT: usize = 63;

#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    #[error(
        "the restore point's name {0:?} must have 1 to {POINT_NAME_LIMIT} bytes without control characters"
    )]
    PointName(String),
    #[error("the cluster in {} has not ended its recovery", .0.display())]
    Pending(PathBuf),
    #[error("{} does not say where the timeline began", .0.display())]
    History(PathBuf),
    #[error(transparent)]
    File(#[from] FileError),
}

/// Asks the stopped cluster in `data_dir` to recover along `timeline` (never
/// further: a later timeline of the parent is another lineage) to `stop` when it
/// is next started, and then to accept writes.
///
/// `Stop::Time` keeps every commit stamped at or before it, in the order of the
/// WAL, and stops before the first one stamped later. If there is none,
/// PostgreSQL ends with [`crate::RecoveryFault::EndedBeforeTarget`]; then ask
/// again with `Stop::End`. `Stop::Lsn` likewise ends there if no record begins at
/// or after it.
///
/// May be repeated, also with another `stop`, as long as it has not been
/// promoted.
pub fn write_recovery(
    data_dir: &Path,
    identity: Option<Identity>,
    stop: &Stop,
    timeline: Timeline,
    fetch: &ShellCommand,
) -> Result<(), RecoveryError> {
    let text = recovery_conf(stop, timeline, fetch)?;
    disk::place(&data_dir.join(RECOVERY_FILE), text.as_bytes(), identity)?;
    // Last: with the signal but without its settings it would recover too far.
    disk::sync_folder(data_dir)?;
    disk::place(&data_dir.join(SIGNAL_FILE), b"", identity)?;
    Ok(disk::sync_folder(data_dir)?)
}

fn recovery_conf(stop: &Stop, timeline: Timeline, fetch: &ShellCommand) -> Result<String, RecoveryError> {
    let mut text = "# Written by Heddle; emptied once the recovery has ended.\n".to_owned();
    let mut set = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name} = {}", setting(value));
    };
    set("restore_command", fetch.as_str());
    set("recovery_target_timeline", &timeline.0.to_string());
    set("recovery_target_action", "promote");
    // A position is where the first record begins that is not wanted.
    set("recovery_target_inclusive", if matches!(stop, Stop::Lsn(_)) { "off" } else { "on" });
    match stop {
        Stop::Name { name, .. } => {
            let good = (1..=POINT_NAME_LIMIT).contains(&name.len()) && !name.contains(char::is_control);
            if !good {
                return Err(RecoveryError::PointName(name.clone()));
            }
            set("recovery_target_name", name);
        }
        Stop::Time(time) => set("recovery_target_time", &written(*time)),
        Stop::Lsn(lsn) => set("recovery_target_lsn", &lsn.to_string()),
        Stop::Consistent => set("recovery_target", "immediate"),
        Stop::End => {}
    }
    Ok(text)
}

/// Commits are stamped with whole microseconds, so those at or before `time` are
/// those at or before it rounded down.
fn written(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S.%6f+00").to_string()
}

/// Whether the cluster has still to recover, or is at it. PostgreSQL takes the
/// signal away, durably, once it is on its new timeline.
pub fn is_recovery_pending(data_dir: &Path) -> Result<bool, RecoveryError> {
    Ok(disk::exists(&data_dir.join(SIGNAL_FILE))?)
}

/// Takes away the settings of a recovery that has ended. May be repeated.
pub fn finish_recovery(data_dir: &Path, identity: Option<Identity>) -> Result<(), RecoveryError> {
    if is_recovery_pending(data_dir)? {
        return Err(RecoveryError::Pending(data_dir.to_owned()));
    }
    disk::place(&data_dir.join(RECOVERY_FILE), b"", identity)?;
    Ok(disk::sync_folder(data_dir)?)
}

/// Where the promoted cluster's `timeline` left its parent: the end of the last
/// record that was replayed. A switch record ends where its segment does; a
/// segment that is simply full may end in a part of a record, which does not count.
pub fn fork_of(data_dir: &Path, timeline: Timeline) -> Result<(Timeline, Lsn), RecoveryError> {
    let path = data_dir.join(format!("pg_wal/{:08X}.history", timeline.0));
    let text = fs::read_to_string(&path).map_err(fault("read", &path))?;
    history_fork(&text).ok_or(RecoveryError::History(path))
}

/// The parent timeline, and the end of its WAL that is shared, out of a
/// `.history` file's last line. None: no line of it can be read.
pub fn history_fork(text: &str) -> Option<(Timeline, Lsn)> {
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty() && !line.starts_with('#'))?;
    let mut fields = last.split_whitespace();
    let timeline = fields.next()?.parse().ok()?;
    Some((Timeline(timeline), fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(stop: &Stop) -> Result<String, RecoveryError> {
        recovery_conf(stop, Timeline(3), &ShellCommand::new("fetch").wal_name().wal_path())
    }

    #[test]
    fn times_are_exact_and_in_utc() {
        for (time, expected) in [
            ("2026-11-21T10:00:00.123456Z", "2026-11-21 10:00:00.123456+00"),
            ("2026-11-21T12:00:00.000001+02:00", "2026-11-21 10:00:00.000001+00"),
            ("2026-11-21T10:00:00.9999999Z", "2026-11-21 10:00:00.999999+00"),
            ("2026-11-21T10:00:00Z", "2026-11-21 10:00:00.000000+00"),
        ] {
            assert_eq!(written(time.parse().unwrap()), expected);
        }
    }

    #[test]
    fn only_the_wanted_target_is_set() {
        let named = conf(&Stop::Name { name: "heddle-1".into(), lsn: Lsn(1) }).unwrap();
        assert!(named.contains("recovery_target_name = 'heddle-1'\n"), "{named}");
        assert!(named.contains("recovery_target_timeline = '3'\n"), "{named}");
        assert!(named.contains("restore_command = '''fetch'' ''%f'' ''%p'''\n"), "{named}");
        let before = conf(&Stop::Lsn(Lsn(0x500_00A0))).unwrap();
        assert!(before.contains("recovery_target_lsn = '0/50000A0'\n"), "{before}");
        assert!(before.contains("recovery_target_inclusive = 'off'\n"), "{before}");
        let end = conf(&Stop::End).unwrap();
        assert!(!end.contains("recovery_target_name") && !end.contains("recovery_target_time "), "{end}");
        for bad in [String::new(), "x".repeat(64), "a\nb".into()] {
            conf(&Stop::Name { name: bad, lsn: Lsn(1) }).unwrap_err();
        }
    }

    #[test]
    fn the_last_line_of_a_history_counts() {
        let text = "1\t0/3000148\tno recovery target specified\n\n2\t0/50000A0\tat restore point \"x\"\n\n";
        assert_eq!(history_fork(text), Some((Timeline(2), Lsn(0x500_00A0))));
        assert_eq!(history_fork("# nothing\n"), None);
        assert_eq!(history_fork("one two"), None);
    }
}

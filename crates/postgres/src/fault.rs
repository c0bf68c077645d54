//! Reading in a cluster's log why its recovery did not come to its target.

/// Why a recovery ended, or cannot go on. The line of the log is the evidence,
/// without its time and process id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryFault {
    /// All WAL was replayed and nothing lies after the target: for a time, there
    /// was no later commit.
    #[error("recovery came to the end of the WAL before its target")]
    EndedBeforeTarget,
    /// PostgreSQL refused WAL of another cluster.
    #[error("the WAL belongs to another cluster: {0}")]
    ForeignWal(String),
    /// The asked timeline is not a continuation of the backup, or is unknown.
    #[error("the timeline cannot be reached: {0}")]
    WrongTimeline(String),
    /// The WAL ended, or the target lies, before the backup was consistent.
    #[error("the backup cannot become consistent: {0}")]
    Inconsistent(String),
    /// WAL that the backup starts from is missing.
    #[error("WAL is missing: {0}")]
    Missing(String),
    /// restore_command failed, other than by saying that there is no such file.
    #[error("a WAL file could not be fetched: {0}")]
    Fetch(String),
    /// Any other line of FATAL or PANIC.
    #[error("PostgreSQL gave up: {0}")]
    Other(String),
}

impl RecoveryFault {
    /// The fault that the log of one start shows, if any. A cause that is logged
    /// before the end it leads to goes before it: foreign WAL ends replay, and
    /// only the end is fatal.
    pub fn in_log(log: &str) -> Option<Self> {
        let mut foreign = None;
        for line in log.lines() {
            let Some((severity, message)) = split(line) else { continue };
            if message.contains("WAL file is from different database system") {
                foreign.get_or_insert_with(|| message.to_owned());
            }
            if matches!(severity, "FATAL" | "PANIC") && !is_of_a_client(message) {
                return Some(foreign.map_or_else(|| Self::of(message), Self::ForeignWal));
            }
        }
        None
    }

    fn of(message: &str) -> Self {
        let has = |text: &str| message.contains(text);
        let line = || message.to_owned();
        if has("recovery ended before configured recovery target was reached") {
            Self::EndedBeforeTarget
        } else if has("requested timeline") || has("recovery target timeline") {
            Self::WrongTimeline(line())
        } else if has("before consistent recovery point")
            || has("WAL ends before")
            || has("WAL was generated with")
        {
            Self::Inconsistent(line())
        } else if has("could not restore file") {
            Self::Fetch(line())
        } else if has("could not locate") || has("could not find") || has("could not read checkpoint record")
        {
            Self::Missing(line())
        } else {
            Self::Other(line())
        }
    }
}

/// Whoever connects too early is refused with a FATAL line of its own.
fn is_of_a_client(message: &str) -> bool {
    [
        "the database system is ",
        "no pg_hba.conf entry",
        "pg_hba.conf rejects",
        "password authentication failed",
        "Peer authentication failed",
        "terminating connection",
        "sorry, too many clients",
        "remaining connection slots",
        "role \"",
        "database \"",
    ]
    .iter()
    .any(|text| message.starts_with(text))
}

/// The part of a log that belongs to the cluster's last start.
pub fn since_last_start(log: &str) -> &str {
    log.rfind("LOG:  starting PostgreSQL").map_or(log, |at| {
        let line = log[..at].rfind('\n').map_or(0, |end| end + 1);
        &log[line..]
    })
}

/// `2026-11-21 10:00:00.123 UTC [77] FATAL:  message` → `("FATAL", "message")`
fn split(line: &str) -> Option<(&str, &str)> {
    let (head, message) = line.split_once(":  ")?;
    Some((head.rsplit(' ').next()?, message.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(message: &str) -> Option<RecoveryFault> {
        RecoveryFault::in_log(&format!(
            "2026-11-21 10:00:00.123 UTC [77] LOG:  starting archive recovery\n\
             2026-11-21 10:00:00.124 UTC [78] FATAL:  the database system is starting up\n\
             2026-11-21 10:00:00.125 UTC [77] {message}\n\
             2026-11-21 10:00:00.126 UTC [76] LOG:  startup process (PID 77) exited with exit code 1\n"
        ))
    }

    #[test]
    fn each_fault_is_told_apart() {
        use RecoveryFault::*;
        let of = |message: &str| fault(&format!("FATAL:  {message}"));
        assert_eq!(
            of("recovery ended before configured recovery target was reached"),
            Some(EndedBeforeTarget)
        );
        for (message, expected) in [
            (
                "requested timeline 4 is not a child of this server's history",
                WrongTimeline as fn(String) -> _,
            ),
            ("recovery target timeline 4 does not exist", WrongTimeline),
            ("WAL ends before end of online backup", Inconsistent),
            ("requested recovery stop point is before consistent recovery point", Inconsistent),
            ("could not locate required checkpoint record", Missing),
            ("could not find redo location referenced by checkpoint record", Missing),
            (
                "could not restore file \"000000010000000000000003\" from archive: child process exited with exit code 126",
                Fetch,
            ),
            ("could not open file \"global/pg_control\": Permission denied", Other),
        ] {
            assert_eq!(of(message), Some(expected(message.to_owned())));
        }
        assert_eq!(fault("LOG:  archive recovery complete"), None);
    }

    #[test]
    fn foreign_wal_is_the_cause_of_the_end_it_leads_to() {
        let message = "WAL file is from different database system: WAL file database system identifier is 1, \
                       pg_control database system identifier is 2";
        let log = format!(
            "x [7] LOG:  {message}\nx [7] FATAL:  recovery ended before configured recovery target was reached"
        );
        assert_eq!(RecoveryFault::in_log(&log), Some(RecoveryFault::ForeignWal(message.to_owned())));
    }

    #[test]
    fn only_the_last_start_counts() {
        let log = "a [1] LOG:  starting PostgreSQL 15.14\na [2] FATAL:  one\nb [3] LOG:  starting PostgreSQL 15.14\nb [3] LOG:  fine\n";
        assert_eq!(RecoveryFault::in_log(log), Some(RecoveryFault::Other("one".into())));
        assert_eq!(RecoveryFault::in_log(since_last_start(log)), None);
        assert_eq!(since_last_start("no start"), "no start");
    }
}

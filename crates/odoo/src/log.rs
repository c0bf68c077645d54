//! Odoo's log, and what it tells about how a program of Odoo's really ended.

use model::program::Exit;

/// One record of the log: its first line's parts, and the lines that belong to
/// it (a traceback, usually).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// `2026-11-21 09:30:00,123`, UTC as Odoo writes it.
    pub time: &'a str,
    pub pid: u32,
    /// DEBUG, INFO, WARNING, ERROR or CRITICAL (11 to 13 also: TEST).
    pub level: &'a str,
    /// None where Odoo writes `?`.
    pub database: Option<&'a str>,
    pub logger: &'a str,
    pub message: &'a str,
    pub more: Vec<&'a str>,
}

/// Reads `asctime pid LEVEL dbname logger: message`; None if the line is not
/// the first of a record.
fn first_line(line: &str) -> Option<Record<'_>> {
    let time = line.get(..23)?;
    let shape = time.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        10 => byte == b' ',
        13 | 16 => byte == b':',
        19 => byte == b',',
        _ => byte.is_ascii_digit(),
    });
    if !shape {
        return None;
    }
    let mut parts = line[23..].strip_prefix(' ')?.splitn(4, ' ');
    let pid = parts.next()?.parse().ok()?;
    let level = parts.next().filter(|level| level.bytes().all(|byte| byte.is_ascii_uppercase()))?;
    let database = parts.next()?;
    let (logger, message) = parts.next()?.split_once(": ")?;
    let database = (database != "?").then_some(database);
    Some(Record { time, pid, level, database, logger, message: message.trim_end(), more: Vec::new() })
}

/// The records of a log, and the lines before the first or between (what
/// Python itself prints), each as a record of its own with an empty level.
pub fn records(log: &str) -> Vec<Record<'_>> {
    let mut records: Vec<Record> = Vec::new();
    for line in log.lines() {
        match first_line(line) {
            Some(record) => records.push(record),
            None if records.is_empty() => records.push(Record {
                time: "",
                pid: 0,
                level: "",
                database: None,
                logger: "",
                message: line,
                more: Vec::new(),
            }),
            None => records.last_mut().expect("there is one").more.push(line),
        }
    }
    records
}

/// How a one-shot Odoo really ended. It exits with 0 when modules were
/// ignored or left half installed, so its log is judged as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Good,
    Failed {
        /// One line for people.
        reason: String,
        /// The log's lines that tell, at most [`TELLING`] of them.
        lines: Vec<String>,
    },
}

/// How many lines of log a verdict carries.
pub const TELLING: usize = 40;

/// Messages with which Odoo says, at any level, that it did not do what it was
/// asked to.
const FATAL: &[&str] = &[
    "invalid module names, ignored",
    "Some modules are not loaded",
    "Some modules have inconsistent states",
    "not installable, skipped",
    "Unmet dependencies",
    "Failed to load server-wide module",
    "Failed to initialize database",
    "Failed to load registry",
];

impl Verdict {
    /// Judges a program that has ended by its exit and the whole of its log.
    pub fn of(exit: Exit, log: &str) -> Self {
        let records = records(log);
        let mut telling: Vec<&Record> = records.iter().filter(|record| tells(record)).collect();
        if telling.is_empty() && !exit.success() {
            // what Python prints as it dies follows whatever record was the last
            telling = records.iter().rev().filter(|record| has_traceback(record)).take(1).collect();
        }
        let reason = match telling.first() {
            Some(record) => reason(record),
            None if exit.success() => return Self::Good,
            None => format!("Odoo ended with {exit}"),
        };
        let mut lines: Vec<String> = telling
            .iter()
            .flat_map(|record| {
                let first = match record.logger {
                    "" => record.message.to_owned(),
                    logger => format!("{} {logger}: {}", record.level, record.message),
                };
                std::iter::once(first).chain(record.more.iter().map(|&line| line.to_owned()))
            })
            .collect();
        if lines.is_empty() {
            lines = log.lines().map(str::to_owned).collect();
        }
        // the end of a traceback says more than its beginning
        let skipped = lines.len().saturating_sub(TELLING);
        lines.drain(..skipped);
        Self::Failed { reason, lines }
    }
}

fn has_traceback(record: &Record) -> bool {
    std::iter::once(&record.message).chain(&record.more).any(|line| line.starts_with("Traceback ("))
}

fn tells(record: &Record) -> bool {
    let serious = matches!(record.level, "CRITICAL" | "ERROR" | "");
    record.level == "CRITICAL"
        || serious && has_traceback(record)
        || record.level != "DEBUG" && FATAL.iter().any(|text| record.message.contains(text))
        || record.logger.starts_with("odoo.modules") && record.level == "ERROR"
}

/// The message, and the exception that the last traceback ends with.
fn reason(record: &Record) -> String {
    let lines: Vec<&str> = std::iter::once(record.message).chain(record.more.iter().copied()).collect();
    let exception = lines.iter().rposition(|line| line.starts_with("Traceback (")).and_then(|at| {
        let after = &lines[at + 1..];
        after.iter().find(|line| !line.trim().is_empty() && !line.starts_with([' ', '\t'])).copied()
    });
    match exception {
        Some(exception) if record.logger.is_empty() => exception.to_owned(),
        Some(exception) => format!("{} {exception}", record.message),
        None => record.message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "2026-11-21 09:30:00,123 4711 INFO acme odoo.modules.loading: Modules loaded. \n";

    #[test]
    fn lines_are_taken_apart() {
        let log = "2026-11-21 09:30:00,123 4711 INFO ? werkzeug: 127.0.0.1 - - \"GET / HTTP/1.1\" 200 - 4 0.003 0.010";
        let read = records(log);
        assert_eq!(read[0].pid, 4711);
        assert_eq!((read[0].level, read[0].database, read[0].logger), ("INFO", None, "werkzeug"));
        assert!(read[0].message.starts_with("127.0.0.1 - - \"GET"));
    }

    #[test]
    fn zero_is_not_enough() {
        assert_eq!(Verdict::of(Exit::Code(0), INFO), Verdict::Good);
        let log = format!(
            "{INFO}2026-11-21 09:30:00,124 4711 WARNING acme odoo.modules.loading: invalid module names, ignored: nonsuch \n{INFO}"
        );
        let Verdict::Failed { reason, lines } = Verdict::of(Exit::Code(0), &log) else { panic!() };
        assert_eq!(reason, "invalid module names, ignored: nonsuch");
        assert_eq!(lines.len(), 1);
    }

    #[test]
    fn tracebacks_name_their_exception() {
        let log = format!(
            "{INFO}2026-11-21 09:30:00,124 4711 CRITICAL acme odoo.service.server: Failed to initialize database `acme`. \n\
             Traceback (most recent call last):\n  File \"server.py\", line 1, in x\nodoo.exceptions.ParseError: bad view\n\nView name: x\n  y\n"
        );
        let Verdict::Failed { reason, lines } = Verdict::of(Exit::Code(255), &log) else { panic!() };
        assert_eq!(reason, "Failed to initialize database `acme`. odoo.exceptions.ParseError: bad view");
        assert_eq!(lines[1], "Traceback (most recent call last):");
        // Odoo logs what it got over with at INFO, traceback and all
        let log = "2026-11-21 09:30:00,124 1 INFO acme odoo.addons.base: _file_gc could not unlink x\nTraceback (most recent call last):\nOSError: x\n";
        assert_eq!(Verdict::of(Exit::Code(0), log), Verdict::Good);
    }

    #[test]
    fn an_end_without_a_log_is_told() {
        let Verdict::Failed { reason, .. } = Verdict::of(Exit::Signal(9), INFO) else { panic!() };
        assert_eq!(reason, "Odoo ended with signal 9");
        let python = "Traceback (most recent call last):\n  File \"odoo-bin\", line 5\nModuleNotFoundError: No module named 'lxml'\n";
        let Verdict::Failed { reason, .. } = Verdict::of(Exit::Code(1), python) else { panic!() };
        assert_eq!(reason, "ModuleNotFoundError: No module named 'lxml'");
    }
}

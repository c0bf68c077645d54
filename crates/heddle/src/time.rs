//! Times as people write them on the command line, and as they read them.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

use crate::failure::Failure;

/// A time on the command line; relative ones are counted from when the
/// command runs.
#[derive(Debug, Clone, PartialEq)]
pub enum When {
    At(Timestamp),
    /// In the time zone of whoever runs the command.
    Local(DateTime),
    Ago(SignedDuration),
}

impl std::str::FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "now" {
            return Ok(Self::Ago(SignedDuration::ZERO));
        }
        if let Some(back) = text.strip_prefix('-').or_else(|| text.strip_suffix("ago")) {
            return duration(back.trim()).map(Self::Ago).ok_or_else(|| explain(text));
        }
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Self::At(at));
        }
        // A date alone could mean its first or its last second: not guessed at.
        if text.contains(':')
            && !text.contains(['+', '['])
            && let Ok(at) = text.parse::<DateTime>()
        {
            return Ok(Self::Local(at));
        }
        Err(explain(text))
    }
}

fn explain(text: &str) -> String {
    format!(
        "{text:?} is not a time; write one of\n  \
         2026-11-21T11:35:51Z      a time with its offset (RFC 3339)\n  \
         2026-11-21 11:35:51       your local time\n  \
         -90s, 5m ago, -1h30m      so long before now"
    )
}

/// `90s`, `1h30m`, `2 days`, `1.5h`: positive, at least one unit.
fn duration(text: &str) -> Option<SignedDuration> {
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if let Ok(exact) = text.parse::<SignedDuration>() {
        return Some(exact);
    }
    // Days and weeks are 24 and 168 hours long here, whatever clocks do.
    let span = text.parse::<Span>().ok()?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return None;
    }
    span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()
}

/// As a command line argument.
pub fn duration_argument(text: &str) -> Result<SignedDuration, String> {
    duration(text.trim()).ok_or_else(|| format!("{text:?} is not a duration; write 90s, 5m, 12h or 30d"))
}

impl When {
    /// The instant that is meant, `now` being when the command was given.
    pub fn resolve(&self, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, Failure> {
        match self {
            Self::At(at) => Ok(*at),
            Self::Local(local) => {
                let ambiguous = zone.to_ambiguous_timestamp(*local);
                ambiguous.unambiguous().map_err(|error| {
                    Failure::usage(format!("{local} is no single moment in your time zone"))
                        .because(&error)
                        .hint("write it with its offset, such as 2026-10-25T02:30:00+02:00")
                })
            }
            Self::Ago(back) => now
                .checked_sub(*back)
                .map_err(|error| Failure::usage("that time is too long ago").because(&error)),
        }
    }
}

/// `2026-11-21 11:35:51` in local time.
pub fn local(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// With fractions of a second, for points that a restore is asked for by.
pub fn local_exact(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S%.f %:z").to_string()
}

/// `3 s`, `4 min`, `2 h`, `5 d`: how long something took or is past.
pub fn rough(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    match seconds {
        0..10 => format!("{:.1} s", duration.as_secs_f64().max(0.0)),
        10..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, now: &str, zone: &str) -> Result<String, Failure> {
        let zone = TimeZone::get(zone).unwrap();
        text.parse::<When>()
            .map_err(Failure::usage)?
            .resolve(now.parse().unwrap(), &zone)
            .map(|at| at.to_string())
    }

    #[test]
    fn times_are_understood() {
        let now = "2026-11-21T12:00:00Z";
        for (text, meant) in [
            ("2026-11-21T11:35:51Z", "2026-11-21T11:35:51Z"),
            ("2026-11-21T11:35:51.25+02:00", "2026-11-21T09:35:51.25Z"),
            ("2026-11-21 11:35:51", "2026-11-21T10:35:51Z"),
            ("2026-11-21T11:35:51.5", "2026-11-21T10:35:51.5Z"),
            ("-1s", "2026-11-21T11:59:59Z"),
            ("1s ago", "2026-11-21T11:59:59Z"),
            ("5m ago", "2026-11-21T11:55:00Z"),
            ("5 minutes ago", "2026-11-21T11:55:00Z"),
            ("-1h30m", "2026-11-21T10:30:00Z"),
            ("2 days ago", "2026-11-19T12:00:00Z"),
            ("now", "2026-11-21T12:00:00Z"),
        ] {
            assert_eq!(at(text, now, "Europe/Paris").unwrap(), meant, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_explained() {
        for text in ["", "yesterday", "2026-11-21", "-", "ago", "5", "-5", "+1h", "1 month ago", "--1s"] {
            let error = text.parse::<When>().unwrap_err();
            assert!(error.contains("RFC 3339") && error.contains("5m ago"), "{text}: {error}");
        }
    }

    #[test]
    fn an_hour_that_comes_twice_is_asked_about() {
        let failure = at("2026-10-25 02:30:00", "2026-11-21T12:00:00Z", "Europe/Paris").unwrap_err();
        assert!(failure.hint.unwrap().contains("offset"));
    }
}

//! Whether the clock can be believed: nothing is removed because of one that
//! jumped.

use std::fs;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Expire;
use crate::disk::{FileError, failed};
use crate::repository::Repository;

/// `expiry.json`: the clock of the last time that something was to be dropped.
const LAST: &str = "expiry.json";

/// Clocks of two machines, and one that is set right by hand, differ so much.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// While a machine runs, its clock is moved by no more than this.
const DRIFT: SignedDuration = SignedDuration::from_hours(1);

/// A repository that is in use gets something new more often than this.
const IDLE: SignedDuration = SignedDuration::from_hours(3 * 24);

/// The time, and a clock that nobody can set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    pub now: Timestamp,
    /// Which boot of which machine, and how long ago it was.
    pub boot: Option<(String, Duration)>,
}

impl Clock {
    pub fn system() -> Self {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        let up = fs::read_to_string("/proc/uptime").ok();
        let up = up.and_then(|text| text.split(['.', ' ']).next()?.parse().ok().map(Duration::from_secs));
        Self { now: Timestamp::now(), boot: id.map(|id| id.trim().to_owned()).zip(up) }
    }
}

/// Why the clock is not believed.
#[derive(Debug, thiserror::Error)]
pub enum ClockError {
    #[error("the repository holds something from {newest}, and the clock says {now}: it went back")]
    WentBack { newest: Timestamp, now: Timestamp },
    #[error("since {last} the clock moved by {moved}, and the machine ran for {ran}: it was set")]
    WasSet { last: Timestamp, moved: String, ran: String },
    #[error("the store's clock says {theirs}, and this machine's {now}")]
    Differs { theirs: Timestamp, now: Timestamp },
    #[error(
        "the newest that the repository holds is from {newest}, and the clock says {now}: it may have jumped"
    )]
    LongIdle { newest: Timestamp, now: Timestamp },
    #[error("understand {LAST}")]
    Malformed(#[source] serde_json::Error),
    #[error(transparent)]
    File(#[from] FileError),
}

#[derive(Serialize, Deserialize)]
struct Last {
    at: Timestamp,
    boot: Option<String>,
    seconds: u64,
}

impl Repository {
    /// Refuses a clock that may have jumped since the repository's newest
    /// record, or since it was last asked. Notes it otherwise.
    pub(super) fn check_clock(&self, how: &Expire, newest: Option<Timestamp>) -> Result<(), ClockError> {
        let (store, path) = (&self.inner.store, self.root().join(LAST));
        let now = how.clock.now;
        if !how.clock_is_right {
            let last: Option<Last> = match store.read(&path, 4096)? {
                Some(bytes) => Some(serde_json::from_slice(&bytes).map_err(ClockError::Malformed)?),
                None => None,
            };
            match compare(&how.clock, last.as_ref(), newest) {
                // Of one tenant, or of one that nobody uses: others may be newer.
                Err(ClockError::LongIdle { .. }) => {
                    let objects = store.objects(&self.root().join("tenants"))?;
                    let written = objects.into_iter().map(|object| object.at).max();
                    compare(&how.clock, last.as_ref(), newest.max(written))?;
                }
                compared => compared?,
            }
            if !how.plan_only {
                self.compare_store(now)?;
            }
        }
        if how.plan_only {
            return Ok(());
        }
        let (boot, since) = how.clock.boot.clone().unzip();
        let last = Last { at: now, boot, seconds: since.unwrap_or_default().as_secs() };
        let mut text = serde_json::to_vec(&last).map_err(ClockError::Malformed)?;
        text.push(b'\n');
        Ok(store.replace(&path, &text)?)
    }

    /// A bucket's server has a clock of its own.
    fn compare_store(&self, now: Timestamp) -> Result<(), ClockError> {
        let (store, folder) = (&self.inner.store, self.root().join("tmp"));
        let name = folder.join(format!("clock-{}", Uuid::now_v7()));
        store.create(&name, b"now\n")?;
        let listed = store.objects(&folder)?;
        store.remove(&name)?;
        let Some(theirs) = listed.into_iter().find(|object| object.path == name).map(|object| object.at)
        else {
            let missing = std::io::Error::other("what was just written is not listed");
            return Err(failed("list", &folder)(missing).into());
        };
        match theirs.duration_since(now).abs() > TOLERANCE * 2 {
            true => Err(ClockError::Differs { theirs, now }),
            false => Ok(()),
        }
    }
}

fn compare(clock: &Clock, last: Option<&Last>, newest: Option<Timestamp>) -> Result<(), ClockError> {
    let now = clock.now;
    let newest = newest.max(last.map(|last| last.at));
    if let Some(newest) = newest
        && newest.duration_since(now) > TOLERANCE
    {
        return Err(ClockError::WentBack { newest, now });
    }
    if let (Some(Last { at, boot: Some(boot), seconds }), Some((id, since))) = (last, &clock.boot)
        && boot == id
    {
        let moved = now.duration_since(*at);
        let ran = SignedDuration::from_secs((since.as_secs().saturating_sub(*seconds)).cast_signed());
        if (moved - ran).abs() > DRIFT {
            let (moved, ran) = (format!("{moved:#}"), format!("{ran:#}"));
            return Err(ClockError::WasSet { last: *at, moved, ran });
        }
    }
    match newest {
        Some(newest) if now.duration_since(newest) > IDLE => Err(ClockError::LongIdle { newest, now }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(now: &str, boot: &str, seconds: u64) -> Clock {
        let boot = Some((boot.to_owned(), Duration::from_secs(seconds)));
        Clock { now: now.parse().unwrap(), boot }
    }

    fn last(at: &str, boot: &str, seconds: u64) -> Last {
        Last { at: at.parse().unwrap(), boot: Some(boot.to_owned()), seconds }
    }

    #[test]
    fn a_clock_that_jumped_is_not_believed() {
        let morning = "2026-11-21T06:00:00Z";
        let newest = Some("2026-11-21T05:59:00Z".parse().unwrap());
        let now = clock(morning, "a", 90_000);
        compare(&now, None, newest).unwrap();
        compare(&now, None, None).unwrap();
        compare(&now, Some(&last("2026-11-20T06:00:00Z", "a", 3_600)), newest).unwrap();
        // Another boot says nothing.
        compare(&now, Some(&last("2026-11-20T06:00:00Z", "b", 3_600)), newest).unwrap();

        // Set ahead by a month while the machine ran for a day.
        let ahead = clock("2026-12-21T06:00:00Z", "a", 90_000);
        let error = compare(&ahead, Some(&last("2026-11-20T06:00:00Z", "a", 3_600)), None).unwrap_err();
        assert!(matches!(error, ClockError::WasSet { .. }), "{error}");
        // Ahead, and something was written since: the boot tells.
        let error =
            compare(&ahead, Some(&last("2026-11-20T06:00:00Z", "a", 3_600)), Some(ahead.now)).unwrap_err();
        assert!(matches!(error, ClockError::WasSet { .. }), "{error}");
        // After another boot, the repository's newest does.
        let error = compare(&ahead, Some(&last("2026-11-20T06:00:00Z", "b", 3_600)), newest).unwrap_err();
        assert!(matches!(error, ClockError::LongIdle { .. }), "{error}");

        let back = clock("2026-11-20T06:00:00Z", "a", 90_000);
        let error = compare(&back, None, newest).unwrap_err();
        assert!(matches!(error, ClockError::WentBack { .. }), "{error}");
        let error = compare(&back, Some(&last(morning, "b", 1)), None).unwrap_err();
        assert!(matches!(error, ClockError::WentBack { .. }), "{error}");
    }

    #[test]
    fn the_machine_has_such_a_clock() {
        let (one, other) = (Clock::system(), Clock::system());
        assert_eq!(one.boot.unwrap().0, other.boot.unwrap().0);
    }
}

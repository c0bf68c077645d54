use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A series of Odoo that Heddle knows, such as 11.0 or 18.0; what differs
/// between them is asked of it here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Series(u8);

impl Series {
    pub const OLDEST: Self = Self(11);
    pub const NEWEST: Self = Self(19);

    pub fn new(major: u32) -> Option<Self> {
        let major = u8::try_from(major).ok()?;
        (Self::OLDEST.0..=Self::NEWEST.0).contains(&major).then_some(Self(major))
    }

    pub fn major(self) -> u8 {
        self.0
    }

    /// Live updates: `/websocket` (16 and later) or `/longpolling/poll`.
    pub fn has_websocket(self) -> bool {
        self.0 >= 16
    }

    /// The setting of the gevent process's port; it was renamed with the
    /// protocol.
    pub(crate) fn gevent_port_key(self) -> &'static str {
        if self.has_websocket() { "gevent_port" } else { "longpolling_port" }
    }

    /// The server-wide modules of an Odoo by default, then Heddle's: `base`
    /// became one in 12, and XML-RPC moved out into `rpc` in 19.
    pub(crate) fn server_wide_modules(self) -> &'static str {
        match self.0 {
            11 => "web,heddle",
            12..=18 => "base,web,heddle",
            _ => "base,rpc,web,heddle",
        }
    }

    /// Up to 18 demo data comes unasked; since 19 only when asked for.
    pub(crate) fn no_demo(self) -> (&'static str, &'static str) {
        if self.0 <= 18 { ("without_demo", "all") } else { ("with_demo", "False") }
    }

    /// Modules that every database of the series is made with: Odoo 11 hashes
    /// passwords only with `auth_crypt` (and would compare a hash as text).
    pub(crate) fn needs_modules(self) -> &'static [&'static str] {
        if self.0 == 11 { &["auth_crypt"] } else { &[] }
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.0", self.0)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no supported series of Odoo (11.0 to 19.0)")]
pub struct UnknownSeries(String);

impl FromStr for Series {
    type Err = UnknownSeries;

    fn from_str(text: &str) -> Result<Self, UnknownSeries> {
        text.strip_suffix(".0")
            .and_then(|major| major.parse().ok())
            .and_then(Self::new)
            .ok_or_else(|| UnknownSeries(text.to_owned()))
    }
}

impl TryFrom<String> for Series {
    type Error = UnknownSeries;

    fn try_from(text: String) -> Result<Self, UnknownSeries> {
        text.parse()
    }
}

impl From<Series> for String {
    fn from(series: Series) -> String {
        series.to_string()
    }
}

/// What `odoo/release.py` says of itself, read without running it:
/// `("18", "0")`, or `("saas~17", "4")`.
pub(crate) fn version_info(release_py: &str) -> Option<(String, String)> {
    let line = release_py.lines().find(|line| line.starts_with("version_info"))?;
    let (tuple, _) = line.split_once('(')?.1.split_once(')')?;
    let mut parts = tuple.split(',').map(|part| part.trim().trim_matches(['\'', '"']).to_owned());
    Some((parts.next()?, parts.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_files_are_read() {
        let text = "# version_info format: (MAJOR, MINOR)\nRELEASE_LEVELS = [ALPHA]\n\
                    version_info = (18, 0, 0, FINAL, 0, '')\n";
        assert_eq!(version_info(text), Some(("18".into(), "0".into())));
        let saas = "version_info = ('saas~17', 4, 0, FINAL, 0, '')";
        assert_eq!(version_info(saas), Some(("saas~17".into(), "4".into())));
        assert_eq!(version_info("version = '1'"), None);
    }

    #[test]
    fn series_are_written_with_their_minor() {
        assert_eq!("18.0".parse::<Series>().unwrap().to_string(), "18.0");
        for bad in ["10.0", "20.0", "18", "18.1", "saas~17.4", ""] {
            bad.parse::<Series>().unwrap_err();
        }
    }
}

//! Settings: each declared once, read from one file, the environment and the
//! command line, and each value knowing where it came from.
//!
//! A program declares its table and loads it once:
//!
//! ```
//! use daemon::settings::{Setting, Settings, Sources};
//!
//! static TABLE: &[Setting] = &[
//!     Setting::new("data", "HEDDLE_DATA", "Where everything is kept.").default("/var/lib/heddle"),
//!     Setting::new("http.port", "HEDDLE_HTTP_PORT", "The port visitors come to.").default("8080"),
//!     Setting::new("http.key", "HEDDLE_HTTP_KEY", "What they have to know.").secret(),
//! ];
//!
//! let settings = Settings::load(TABLE, Sources::default())?;
//! let port: u16 = settings.get("http.port")?;
//! let key: Option<String> = settings.find("http.key")?;
//! # assert_eq!((port, key), (8080, None));
//! # Ok::<(), daemon::settings::SettingsError>(())
//! ```
//!
//! What is nearer wins: a flag, then the environment, then the file, then the
//! default. An environment variable or flag with nothing in it counts as not
//! given.

mod error;
mod file;
mod load;
mod value;

pub use error::{Expected, SettingsError};
pub use load::{Settings, Sources};
pub use value::Value;

use std::fmt;
use std::path::PathBuf;

/// The declaration of one setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Its name in the file; a dot is a table: `http.port`.
    pub key: &'static str,
    pub env: &'static str,
    /// As it would be written in the environment; None: unset if not given.
    pub default: Option<&'static str>,
    /// What it is for, its unit and its shape, in whole sentences.
    pub doc: &'static str,
    /// Its value is never shown.
    pub secret: bool,
}

impl Setting {
    pub const fn new(key: &'static str, env: &'static str, doc: &'static str) -> Self {
        Self { key, env, default: None, doc, secret: false }
    }

    pub const fn default(self, value: &'static str) -> Self {
        Self { default: Some(value), ..self }
    }

    pub const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Default,
    File(PathBuf),
    Env(&'static str),
    /// Given on the command line.
    Flag,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "env {name}"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// One setting as it stands, to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub setting: Setting,
    /// None: unset. A secret is shown as `(secret)`.
    pub value: Option<String>,
    /// None: unset.
    pub source: Option<Source>,
}

/// What stands in for a secret wherever values are shown.
const REDACTED: &str = "(secret)";

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::Source;

#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("read settings file {path:?}")]
    Read { path: PathBuf, source: io::Error },
    // Without the excerpt of the file that the parser offers: it may hold a secret.
    #[error("settings file {path:?}, line {line}: {message}")]
    Syntax { path: PathBuf, line: usize, message: String },
    #[error("settings file {path:?}: there is no setting `{key}`{}", hint(closest))]
    Unknown { path: PathBuf, key: String, closest: Option<&'static str> },
    #[error("there is no setting `{key}`{}", hint(closest))]
    UnknownFlag { key: String, closest: Option<&'static str> },
    #[error("setting `{key}` ({from}): {value} is not {expected}")]
    Bad { key: &'static str, from: Source, value: String, expected: Expected },
    #[error("setting `{key}` is not set; give it as {env} or in the settings file")]
    Missing { key: &'static str, env: &'static str },
    #[error("environment variable {env} is not valid UTF-8")]
    NotText { env: &'static str },
    #[error("setting `{key}` is not declared")]
    Undeclared { key: String },
}

/// What a value should have been: "a port number from 0 to 65535".
pub type Expected = &'static str;

fn hint(closest: &Option<&'static str>) -> impl fmt::Display {
    closest.map_or_else(String::new, |closest| format!("; did you mean `{closest}`?"))
}

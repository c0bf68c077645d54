//! Logs: to standard error, as text or as JSON, one event a line.

use std::io::IsTerminal;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people; coloured on a terminal.
    #[default]
    Text,
    /// One JSON object a line, the event's fields at its top level.
    Json,
}

impl FromStr for Format {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("`text` or `json`"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("parse log filter {filter:?}")]
    Filter { filter: String, source: tracing_subscriber::filter::ParseError },
    #[error("install the log's subscriber")]
    Install { source: tracing_subscriber::util::TryInitError },
}

/// An error and what led to it, on a line.
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Some say already what led to them.
        let said = error.to_string();
        if !text.ends_with(&said) {
            text += &format!(": {said}");
        }
        cause = error.source();
    }
    text
}

/// Sends this process's events to standard error from now on. `filter` is
/// written as `info,router=debug`. To be called once.
pub fn init(format: Format, filter: &str) -> Result<(), TelemetryError> {
    let env_filter = EnvFilter::try_new(filter)
        .map_err(|source| TelemetryError::Filter { filter: filter.to_owned(), source })?;
    let builder = tracing_subscriber::fmt().with_env_filter(env_filter).with_writer(std::io::stderr);
    let installed = match format {
        Format::Text => builder.with_ansi(std::io::stderr().is_terminal()).finish().try_init(),
        Format::Json => builder.json().flatten_event(true).finish().try_init(),
    };
    installed.map_err(|source| TelemetryError::Install { source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_filter_is_named_and_a_second_call_refused() {
        let error = init(Format::Text, "info,x=loud").unwrap_err();
        assert_eq!(error.to_string(), "parse log filter \"info,x=loud\"");
        init("json".parse().unwrap(), "info").unwrap();
        assert!(matches!(init(Format::Text, "info"), Err(TelemetryError::Install { .. })));
    }
}

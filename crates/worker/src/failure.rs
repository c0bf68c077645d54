//! How a step fails: what it could not do, why, and what to do about it.

use std::error::Error;
use std::fmt;

/// A run's end that somebody will read in the console, without the log at hand.
#[derive(Debug)]
pub struct Failure {
    /// A verb and its object, or a whole sentence.
    what: String,
    hint: Option<String>,
    /// Not a fault: somebody asked for it.
    cancelled: bool,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None, cancelled: false, source: None }
    }

    pub fn cancelled() -> Self {
        Self { cancelled: true, ..Self::new("cancelled") }
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The whole chain in one line.
    pub fn reason(&self) -> String {
        let mut line = self.what.clone();
        let mut next = self.source.as_deref().map(|source| source as &dyn Error);
        while let Some(error) = next {
            line.push_str(": ");
            line.push_str(&error.to_string());
            next = error.source();
        }
        line
    }

    pub fn into_hint(self) -> Option<String> {
        self.hint
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// Says what was being done when something failed.
pub trait Doing<T> {
    fn doing(self, what: impl Into<String>) -> Result<T, Failure>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl Into<String>) -> Result<T, Failure> {
        self.map_err(|source| Failure::new(what).caused_by(source))
    }
}

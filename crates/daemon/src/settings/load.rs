use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::PathBuf;

use super::file::{closest, parse};
use super::{REDACTED, Row, Setting, SettingsError, Source, Value};

/// Where settings are looked for.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// Whether a file that is not there is an error: true if somebody named it.
    pub file_must_exist: bool,
    /// The process's environment; what is in it and not declared is left alone.
    pub env: Vec<(OsString, OsString)>,
    /// Key and value, from the command line.
    pub flags: Vec<(String, String)>,
}

impl Sources {
    /// With the environment of this process.
    pub fn from_env() -> Self {
        Self { env: std::env::vars_os().collect(), ..Self::default() }
    }
}

/// The values of a table's settings.
#[derive(Debug, Clone)]
pub struct Settings {
    table: &'static [Setting],
    given: BTreeMap<&'static str, Given>,
}

#[derive(Clone)]
struct Given {
    text: String,
    source: Source,
    secret: bool,
}

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Given").field("text", &self.shown()).field("source", &self.source).finish()
    }
}

impl Given {
    fn shown(&self) -> &str {
        if self.secret { REDACTED } else { &self.text }
    }
}

impl Settings {
    pub fn load(table: &'static [Setting], sources: Sources) -> Result<Self, SettingsError> {
        let mut settings = Self { table, given: BTreeMap::new() };
        for setting in table {
            if let Some(default) = setting.default {
                settings.put(setting, default.to_owned(), Source::Default);
            }
        }
        if let Some(path) = sources.file {
            match fs::read_to_string(&path) {
                Ok(text) => {
                    for (setting, value) in parse(&path, &text, table)? {
                        settings.put(setting, value, Source::File(path.clone()));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound && !sources.file_must_exist => {}
                Err(source) => return Err(SettingsError::Read { path, source }),
            }
        }
        for (name, value) in sources.env {
            let Some(setting) = table.iter().find(|setting| name == setting.env) else { continue };
            let value = value.into_string().map_err(|_| SettingsError::NotText { env: setting.env })?;
            if !value.is_empty() {
                settings.put(setting, value, Source::Env(setting.env));
            }
        }
        for (key, value) in sources.flags {
            let Some(setting) = table.iter().find(|setting| setting.key == key) else {
                let closest = closest(&key, table.iter().map(|setting| setting.key));
                return Err(SettingsError::UnknownFlag { key, closest });
            };
            if !value.is_empty() {
                settings.put(setting, value, Source::Flag);
            }
        }
        Ok(settings)
    }

    fn put(&mut self, setting: &'static Setting, text: String, source: Source) {
        self.given.insert(setting.key, Given { text, source, secret: setting.secret });
    }

    fn declared(&self, key: &str) -> Result<&'static Setting, SettingsError> {
        let found = self.table.iter().find(|setting| setting.key == key);
        found.ok_or_else(|| SettingsError::Undeclared { key: key.to_owned() })
    }

    /// A setting's value; one without a value is an error that says how to give it.
    pub fn get<T: Value>(&self, key: &str) -> Result<T, SettingsError> {
        let Setting { key, env, .. } = *self.declared(key)?;
        self.find(key)?.ok_or(SettingsError::Missing { key, env })
    }

    /// A setting's value, None if it is unset.
    pub fn find<T: Value>(&self, key: &str) -> Result<Option<T>, SettingsError> {
        let key = self.declared(key)?.key;
        let Some(given) = self.given.get(key) else { return Ok(None) };
        T::parse(&given.text).map(Some).ok_or_else(|| SettingsError::Bad {
            key,
            from: given.source.clone(),
            value: if given.secret { REDACTED.to_owned() } else { format!("{:?}", given.text) },
            expected: T::EXPECTED,
        })
    }

    /// Where a setting's value came from; None if it is unset or not declared.
    pub fn source(&self, key: &str) -> Option<&Source> {
        self.given.get(key).map(|given| &given.source)
    }

    /// All settings as they stand, in the table's order, secrets redacted.
    pub fn rows(&self) -> Vec<Row> {
        let row = |setting: &Setting| {
            let given = self.given.get(setting.key);
            let value = given.map(|given| given.shown().to_owned());
            Row { setting: *setting, value, source: given.map(|given| given.source.clone()) }
        };
        self.table.iter().map(row).collect()
    }
}

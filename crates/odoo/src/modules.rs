//! Checking the modules that a build asks for before Odoo is run: Odoo itself
//! ignores unknown names and exits with 0.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::Source;

#[derive(Debug, thiserror::Error)]
pub enum ModulesError {
    #[error("no module is named; a build needs at least base")]
    None,
    #[error("{0:?} is not a module's name: a to z, 0 to 9 and _")]
    BadName(String),
    #[error("the path {0} holds a character that Odoo's configuration cannot (a comma, quote or line end)")]
    UnusablePath(PathBuf),
    #[error("list the modules in {0}")]
    List(PathBuf, #[source] io::Error),
    #[error("{0} holds no modules: give the folder whose folders are modules (with a __manifest__.py)")]
    NotAddons(PathBuf),
    #[error("tenants' Odoos cannot use {0}")]
    Unreadable(PathBuf, #[source] crate::SourceError),
    #[error("{}", unknown.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Unknown { unknown: Vec<Unknown> },
}

/// A module that is in none of the folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    pub name: String,
    /// Modules that exist and are called nearly so, the nearest first.
    pub close: Vec<String>,
}

impl std::fmt::Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "there is no module {:?}", self.name)?;
        if !self.close.is_empty() {
            write!(f, " (did you mean {}?)", self.close.join(" or "))?;
        }
        Ok(())
    }
}

/// Checks that every one of `modules` is in Odoo's own folders or in `addons`.
pub fn modules_exist(source: &Source, addons: &[PathBuf], modules: &[String]) -> Result<(), ModulesError> {
    if modules.is_empty() {
        return Err(ModulesError::None);
    }
    for name in modules {
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || name.len() > 100 || !name.bytes().all(good) {
            return Err(ModulesError::BadName(name.chars().take(100).collect()));
        }
    }
    let mut known = BTreeSet::new();
    for folder in &source.addons {
        known.extend(modules_in(folder)?);
    }
    for folder in addons {
        if !crate::config::holds_path(folder) {
            return Err(ModulesError::UnusablePath(folder.clone()));
        }
        let found = modules_in(folder)?;
        if found.is_empty() {
            return Err(ModulesError::NotAddons(folder.clone()));
        }
        if rustix::process::geteuid().is_root() {
            crate::source::readable_by_others(folder)
                .map_err(|error| ModulesError::Unreadable(folder.clone(), error))?;
        }
        known.extend(found);
    }
    let unknown: Vec<Unknown> = modules
        .iter()
        .filter(|name| !known.contains(*name))
        .map(|name| Unknown { name: name.clone(), close: close_to(name, &known) })
        .collect();
    if unknown.is_empty() { Ok(()) } else { Err(ModulesError::Unknown { unknown }) }
}

fn modules_in(folder: &Path) -> Result<Vec<String>, ModulesError> {
    let entries = fs::read_dir(folder).map_err(|error| ModulesError::List(folder.into(), error))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| ModulesError::List(folder.into(), error))?;
        let path = entry.path();
        if ["__manifest__.py", "__openerp__.py"].iter().any(|manifest| path.join(manifest).is_file()) {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(found)
}

/// Up to three names that are two letters or a third of them away, or contain it.
fn close_to(name: &str, known: &BTreeSet<String>) -> Vec<String> {
    let mut close: Vec<(usize, &String)> = known
        .iter()
        .filter_map(|other| {
            let distance = distance(name, other);
            let contains = name.len() >= 3 && other.contains(name);
            (distance <= (name.len() / 3).max(2) || contains).then_some((distance, other))
        })
        .collect();
    close.sort();
    close.into_iter().take(3).map(|(_, other)| other.clone()).collect()
}

/// Levenshtein's, in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_names_are_offered_nearest_first() {
        let known = ["sale", "sales_team", "stock", "crm", "contacts"].map(str::to_owned).into();
        assert_eq!(close_to("sales", &known), ["sale", "sales_team"]);
        assert_eq!(close_to("contact", &known), ["contacts"]);
        assert!(close_to("website", &known).is_empty());
    }
}

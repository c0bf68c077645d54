//! A TOML file as a flat list of keys and texts.

use std::path::Path;

use toml::{Table, Value};

use super::{Setting, SettingsError};

/// Reads what is given for the table's settings, refusing everything else.
pub fn parse(
    path: &Path,
    text: &str,
    table: &'static [Setting],
) -> Result<Vec<(&'static Setting, String)>, SettingsError> {
    let values: Table = text.parse().map_err(|error: toml::de::Error| SettingsError::Syntax {
        path: path.to_owned(),
        line: 1 + error.span().map_or(0, |span| newlines(text, span.start)),
        message: error.message().to_owned(),
    })?;
    let mut found = Vec::new();
    flatten(path, "", &values, table, &mut found)?;
    Ok(found)
}

fn newlines(text: &str, until: usize) -> usize {
    text.bytes().take(until).filter(|byte| *byte == b'\n').count()
}

fn flatten(
    path: &Path,
    prefix: &str,
    values: &Table,
    table: &'static [Setting],
    found: &mut Vec<(&'static Setting, String)>,
) -> Result<(), SettingsError> {
    for (name, value) in values {
        let key = format!("{prefix}{name}");
        match (table.iter().find(|setting| setting.key == key), value) {
            (Some(setting), value) => found.push((setting, written(value))),
            // A table named by the beginning of a key.
            (None, Value::Table(inner)) if table.iter().any(|setting| begins(setting.key, &key)) => {
                flatten(path, &format!("{key}."), inner, table, found)?;
            }
            (None, _) => {
                let closest = closest(&key, table.iter().map(|setting| setting.key));
                return Err(SettingsError::Unknown { path: path.to_owned(), key, closest });
            }
        }
    }
    Ok(())
}

fn begins(key: &str, table: &str) -> bool {
    key.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'))
}

/// As it would be written in the environment: a list with commas.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(written).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// The known key that was probably meant.
pub fn closest(key: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let far = (key.len() / 3).max(2);
    known
        .map(|other| (distance(key, other), other))
        .filter(|(apart, _)| *apart <= far)
        .min()
        .map(|(_, other)| other)
}

/// How many characters have to be added, taken away, changed, or swapped with
/// their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let mut best = (rows[i - 1][j] + 1).min(row[j - 1] + 1);
            best = best.min(rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]));
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_is_close() {
        let known = ["port", "data", "http.port"];
        let closest = |key| closest(key, known.into_iter());
        assert_eq!(closest("prot"), Some("port"));
        assert_eq!(closest("http.prot"), Some("http.port"));
        assert_eq!(closest("http_port"), Some("http.port"));
        assert_eq!(closest("something else"), None);
    }
}

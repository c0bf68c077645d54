//! What lists have in common: pieces that go on where the last ended, and the
//! choice of a project.

use std::str::FromStr;

use control::{Control, Slice};
use serde::Deserialize;

use crate::failure::{Answer, Failure};

/// Rows on a page.
const LENGTH: u32 = 50;

/// Of which project a list is, and from where on.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Of {
    /// Nothing: of all.
    #[serde(default)]
    pub project: String,
    pub after: Option<String>,
}

impl Of {
    pub fn project(&self) -> Option<&str> {
        Some(self.project.as_str()).filter(|project| !project.is_empty())
    }
}

/// The piece after a place; None, or nothing: the first.
pub(crate) fn piece<C: FromStr>(after: Option<&str>) -> Answer<Slice<C>> {
    let after = after.filter(|after| !after.is_empty()).map(|after| {
        after.parse().map_err(|_| {
            Failure::invalid("this list has no such place")
                .hint("Begin at its first page, and go on from there.")
        })
    });
    Ok(Slice { after: after.transpose()?, limit: LENGTH })
}

/// The address of a list with these of its filters, for links.
pub(crate) fn address(path: &str, filters: &[(&str, &str)]) -> String {
    let mut address = path.to_owned();
    for (name, value) in filters.iter().filter(|(_, value)| !value.is_empty()) {
        address.push(if address.contains('?') { '&' } else { '?' });
        address.push_str(name);
        address.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b'@' | b':' => {
                    address.push(char::from(byte));
                }
                _ => address.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    address
}

/// The names of all projects that the visitor sees.
pub(crate) async fn projects(control: &Control) -> Answer<Vec<String>> {
    let projects = control.projects(&Slice::first()).await?.items;
    Ok(projects.into_iter().map(|project| project.name).collect())
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn addresses_hold_any_filter() {
        assert_eq!(address("/audit", &[]), "/audit");
        assert_eq!(
            address("/audit", &[("project", "demo"), ("act", ""), ("subject", "a b&c=ü")]),
            "/audit?project=demo&subject=a%20b%26c%3D%C3%BC"
        );
    }
}

use std::fmt;
use std::str::FromStr;

/// A host as a request names it: `Acme.localhost.:8080` is `acme.localhost`
/// with port 8080.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    name: String,
    port: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a hostname with an optional port")]
pub struct InvalidHost;

impl Host {
    /// In lower case, without port and trailing dot; an IPv6 address keeps its brackets.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

/// In normal form.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// Refuses everything that two readers could understand differently: user
/// information, spaces, commas, percent signs, characters outside ASCII.
impl FromStr for Host {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, after) = rest.split_once(']').ok_or(InvalidHost)?;
                address.parse::<std::net::Ipv6Addr>().map_err(|_| InvalidHost)?;
                let port = match after {
                    "" => None,
                    after => Some(after.strip_prefix(':').ok_or(InvalidHost)?),
                };
                (&text[..address.len() + 2], port)
            }
            None => match text.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            },
        };
        let port = match port {
            // `acme:` is allowed by the grammar and means no port.
            None | Some("") => None,
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => {
                Some(port.parse().map_err(|_| InvalidHost)?)
            }
            Some(_) => return Err(InvalidHost),
        };
        let name = normalise(name);
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let well_formed = name.starts_with('[')
            || (name.bytes().all(plain) && name.split('.').all(|label| !label.is_empty()));
        if name.is_empty() || name.len() > 253 || !well_formed {
            return Err(InvalidHost);
        }
        Ok(Self { name, port })
    }
}

pub(super) fn normalise(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_one_normal_form() {
        for (text, normal) in [
            ("acme.localhost", "acme.localhost"),
            ("ACME.Localhost:8080", "acme.localhost:8080"),
            ("acme.localhost.", "acme.localhost"),
            ("acme.localhost.:443", "acme.localhost:443"),
            ("acme.localhost:", "acme.localhost"),
            ("acme.localhost:080", "acme.localhost:80"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("[::1]", "[::1]"),
            ("[::1]:80", "[::1]:80"),
            ("a_b.example", "a_b.example"),
        ] {
            assert_eq!(text.parse::<Host>().unwrap().to_string(), normal, "{text}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_no_host() {
        let long = format!("{}com", "a.".repeat(130));
        for text in [
            "",
            ".",
            ":80",
            "acme..localhost",
            ".acme",
            "acme..",
            "user@acme",
            "acme@evil",
            "acme,globex",
            "acme globex",
            "acme/globex",
            "acme%2eglobex",
            "acme#",
            "acme?db=x",
            "acme\\globex",
            "acme:80:81",
            "acme:+80",
            "acme:99999",
            "acme:8o",
            "ac\u{fc}me",
            "[::1",
            "[::1]x",
            "[acme]",
            "::1",
            &long,
        ] {
            assert_eq!(text.parse::<Host>(), Err(InvalidHost), "{text}");
        }
    }
}

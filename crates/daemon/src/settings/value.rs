use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::Expected;

/// A type a setting can be read as. Implement it for enumerations of your own.
pub trait Value: Sized {
    /// Completes "… is not": "a whole number from 0 to 255".
    const EXPECTED: Expected;

    fn parse(text: &str) -> Option<Self>;
}

macro_rules! values {
    ($($type:ty: $expected:literal)*) => {$(
        impl Value for $type {
            const EXPECTED: Expected = $expected;

            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }
    )*};
}

values! {
    String: "text"
    u16: "a whole number from 0 to 65535"
    u32: "a whole number from 0 to 4294967295"
    u64: "a whole number, 0 or more"
    usize: "a whole number, 0 or more"
    i64: "a whole number"
    IpAddr: "an IP address, such as 127.0.0.1 or ::1"
    SocketAddr: "an IP address and a port, such as 127.0.0.1:8080"
}

impl Value for bool {
    const EXPECTED: Expected = "`true` or `false`";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        }
    }
}

impl Value for PathBuf {
    const EXPECTED: Expected = "a path";

    fn parse(text: &str) -> Option<Self> {
        Some(text.into())
    }
}

/// `250ms`, `30s`, `5m`, `2h`, `7d`; several units follow one another: `1h30m`.
impl Value for Duration {
    const EXPECTED: Expected = "a time with its unit, such as 250ms, 30s, 5m, 2h or 7d";

    fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        let mut sum = Self::ZERO;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit())?;
            let number: u64 = rest[..digits].parse().ok()?;
            rest = &rest[digits..];
            let unit_ends = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
            let part = match &rest[..unit_ends] {
                "ms" => Self::from_millis(number),
                "s" => Self::from_secs(number),
                "m" => Self::from_secs(number.checked_mul(60)?),
                "h" => Self::from_secs(number.checked_mul(3600)?),
                "d" => Self::from_secs(number.checked_mul(86400)?),
                _ => return None,
            };
            sum = sum.checked_add(part)?;
            rest = &rest[unit_ends..];
        }
        (!text.is_empty()).then_some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_need_units() {
        for (text, expected) in [
            ("250ms", Some(250)),
            ("30s", Some(30_000)),
            ("1h30m", Some(5_400_000)),
            ("7d", Some(604_800_000)),
            ("0s", Some(0)),
            ("30", None),
            ("", None),
            ("s", None),
            ("-1s", None),
            ("1.5s", None),
            ("1 s", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
        ] {
            assert_eq!(Duration::parse(text), expected.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn truths_are_written_in_several_ways() {
        assert_eq!(bool::parse("on"), Some(true));
        assert_eq!(bool::parse("no"), Some(false));
        assert_eq!(bool::parse("TRUE"), None);
    }
}

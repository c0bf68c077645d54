//! PostgreSQL's text form of COPY: a line a row, tabs between fields, `\N` for
//! null, backslashes before what would be mistaken.

use std::borrow::Cow;

/// How a null is written.
pub const NULL: &[u8] = b"\\N";

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a field of a COPY stream ends in the middle of an escape")]
pub struct BrokenEscape;

/// The fields of a line (without its end), as they are written.
pub fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&byte| byte == b'\t')
}

/// What a field says; None: null. Borrowed where nothing was escaped.
pub fn decode(field: &[u8]) -> Result<Option<Cow<'_, [u8]>>, BrokenEscape> {
    if field == NULL {
        return Ok(None);
    }
    let Some(first) = field.iter().position(|&byte| byte == b'\\') else {
        return Ok(Some(Cow::Borrowed(field)));
    };
    let mut decoded = Vec::with_capacity(field.len());
    decoded.extend_from_slice(&field[..first]);
    let mut rest = &field[first..];
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            decoded.push(byte);
            continue;
        }
        let (&escaped, after) = rest.split_first().ok_or(BrokenEscape)?;
        rest = after;
        decoded.push(match escaped {
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0b,
            b'0'..=b'7' => number(escaped, &mut rest, 8, 2),
            b'x' if rest.first().is_some_and(u8::is_ascii_hexdigit) => {
                let (&digit, after) = rest.split_first().ok_or(BrokenEscape)?;
                rest = after;
                number(digit, &mut rest, 16, 1)
            }
            other => other,
        });
    }
    Ok(Some(Cow::Owned(decoded)))
}

/// A number that starts with a digit and has up to `more` others.
fn number(first: u8, rest: &mut &[u8], radix: u32, more: usize) -> u8 {
    let mut value = char::from(first).to_digit(radix).unwrap_or(0);
    for _ in 0..more {
        let Some(digit) = rest.first().and_then(|&byte| char::from(byte).to_digit(radix)) else { break };
        value = value * radix + digit;
        *rest = &rest[1..];
    }
    // As PostgreSQL does: \777 is one byte.
    (value & 0xff) as u8
}

/// Writes what a field is to say.
pub fn encode(value: &[u8], out: &mut Vec<u8>) {
    let mut from = 0;
    for (at, &byte) in value.iter().enumerate() {
        let letter = match byte {
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            0x0b => b'v',
            _ => continue,
        };
        out.extend_from_slice(&value[from..at]);
        out.extend_from_slice(&[b'\\', letter]);
        from = at + 1;
    }
    out.extend_from_slice(&value[from..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_are_postgresqls() {
        let decoded = |field: &[u8]| decode(field).unwrap().map(Cow::into_owned);
        assert_eq!(decoded(b"\\N"), None);
        assert_eq!(decoded(b"\\\\N").as_deref(), Some(&b"\\N"[..]));
        assert_eq!(decoded(b"a\\tb\\nc\\\\\\b\\f\\v\\r").as_deref(), Some(&b"a\tb\nc\\\x08\x0c\x0b\r"[..]));
        assert_eq!(decoded(b"\\101\\x42\\x4g\\q\\x").as_deref(), Some(&b"AB\x04gqx"[..]));
        assert_eq!(decode(b"a\\"), Err(BrokenEscape));
        assert!(matches!(decode(b"plain"), Ok(Some(Cow::Borrowed(_)))));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(rows in prop::collection::vec(prop::option::of(any::<Vec<u8>>()), 1..6)) {
            let mut line = Vec::new();
            for (index, value) in rows.iter().enumerate() {
                if index > 0 {
                    line.push(b'\t');
                }
                match value {
                    Some(value) => encode(value, &mut line),
                    None => line.extend_from_slice(NULL),
                }
            }
            prop_assert!(!line.contains(&b'\n'));
            let read: Vec<Option<Vec<u8>>> =
                fields(&line).map(|field| decode(field).unwrap().map(Cow::into_owned)).collect();
            prop_assert_eq!(read, rows);
        }

        #[test]
        fn nothing_makes_it_panic(field in any::<Vec<u8>>()) {
            let _ = decode(&field);
        }
    }
}

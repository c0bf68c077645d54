//! What commands print: JSON or text for people, never a mix of the two on
//! standard output.

use std::io::{IsTerminal, Write};

use comfy_table::{Cell, ContentArrangement, Table, presets};
use serde::Serialize;

use crate::failure::Failure;

#[derive(Debug, Clone, Copy)]
pub struct Output {
    pub json: bool,
}

impl Output {
    /// A result: as JSON, or as `text` puts it into words.
    pub fn result<T: Serialize>(self, value: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        let mut text = if self.json {
            serde_json::to_string_pretty(value)
                .map_err(|error| Failure::while_trying("write the result as JSON", &error))?
        } else {
            text(value)
        };
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        self.print(&text)
    }

    /// A line, or several, of a result that comes while the command goes on.
    pub fn line(self, text: &str) -> Result<(), Failure> {
        self.print(&format!("{}\n", text.trim_end()))
    }

    fn print(self, text: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            // Whoever read it has seen enough, as `head` does.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(|error| Failure::while_trying("write the result", &error)),
        }
    }

    /// A line about what goes on, beside the result.
    pub fn note(self, line: impl AsRef<str>) {
        let _ = writeln!(std::io::stderr(), "{}", line.as_ref());
    }

    /// A heading, bold on a terminal.
    pub fn strong(self, text: &str) -> String {
        if std::io::stdout().is_terminal() { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Whether somebody sits there who can be asked.
    pub fn can_ask(self) -> bool {
        !self.json && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Whether progress may be drawn over.
    pub fn draws(self) -> bool {
        !self.json && std::io::stderr().is_terminal()
    }
}

/// Columns with a heading each; `empty` is said where there are no rows.
pub fn table<const N: usize>(
    heading: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
    empty: &str,
) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(heading.map(|name| Cell::new(name.to_uppercase())));
    for row in rows {
        table.add_row(row);
    }
    if table.row_count() == 0 {
        return format!("{empty}\n");
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = String::new();
    for line in table.lines() {
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// One thing's properties, a line each.
pub fn facts(pairs: impl IntoIterator<Item = (&'static str, String)>) -> String {
    let pairs: Vec<_> = pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    pairs.iter().map(|(name, value)| format!("{name:<width$}  {value}\n")).collect()
}

/// `5.0 GiB`
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// A size on the command line: `500MiB`, `20 GiB`, or a number of bytes.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let bad = || format!("{text:?} is not a size; write it as 500MiB or 20GiB");
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| bad())?;
    let power = match unit.trim() {
        "" | "B" => 0,
        "KiB" => 1,
        "MiB" => 2,
        "GiB" => 3,
        "TiB" => 4,
        _ => return Err(bad()),
    };
    number.checked_mul(1 << (10 * power)).ok_or_else(bad)
}

/// A value that may be absent.
pub fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up() {
        let text =
            table(["name", "state"], [["acme".into(), "active".into()], ["b".into(), "x".into()]], "none");
        assert_eq!(text, "NAME  STATE\nacme  active\nb     x\n");
        assert_eq!(table(["name"], [], "No tenants yet."), "No tenants yet.\n");
    }

    #[test]
    fn sizes_are_read_with_their_unit() {
        assert_eq!(parse_bytes("512"), Ok(512));
        assert_eq!(parse_bytes("20GiB"), Ok(20 << 30));
        assert_eq!(parse_bytes("1 MiB"), Ok(1 << 20));
        for bad in ["", "GiB", "-1", "1.5GiB", "20 gigs", "99999999999TiB", "18446744073709551616"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn facts_leave_out_what_is_not_known() {
        let text = facts([("name", "acme".into()), ("lineage", String::new()), ("url", "http://a".into())]);
        assert_eq!(text, "name  acme\nurl   http://a\n");
    }

    #[test]
    fn bytes_are_readable() {
        assert_eq!([bytes(0), bytes(1023), bytes(5 << 30)], ["0 B", "1023 B", "5.0 GiB"]);
    }
}

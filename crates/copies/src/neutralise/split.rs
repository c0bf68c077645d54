/// The statements of a file, without comments. A semicolon in a text, a quoted
/// name or a dollar-quoted body ends none.
pub fn statements(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut statement = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let taken = match next {
            '-' if rest.starts_with("--") => {
                rest = rest.find('\n').map_or("", |end| &rest[end..]);
                continue;
            }
            '/' if rest.starts_with("/*") => {
                rest = rest.find("*/").map_or("", |end| &rest[end + 2..]);
                continue;
            }
            ';' => {
                found.push(std::mem::take(&mut statement));
                rest = &rest[1..];
                continue;
            }
            '\'' => quoted(rest, '\'', statement.ends_with(['E', 'e'])),
            '"' => quoted(rest, '"', false),
            '$' => dollar_quoted(rest),
            other => other.len_utf8(),
        };
        statement.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    found.push(statement);
    found.iter().map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect()
}

/// The length of what a quote starts; two quotes are one that does not end it.
fn quoted(text: &str, quote: char, escapes: bool) -> usize {
    let mut letters = text.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' if escapes => drop(letters.next()),
            letter if letter == quote => match letters.peek() {
                Some((_, next)) if *next == quote => drop(letters.next()),
                _ => return at + 1,
            },
            _ => {}
        }
    }
    text.len()
}

/// `$tag$ … $tag$`; one byte if it is just a dollar.
fn dollar_quoted(text: &str) -> usize {
    let Some(end) = text[1..].find('$') else { return 1 };
    let tag = &text[..end + 2];
    let named = tag[1..=end].bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !named || tag.as_bytes()[1].is_ascii_digit() {
        return 1;
    }
    text[tag.len()..].find(tag).map_or(text.len(), |end| end + 2 * tag.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_where_postgresql_ends_them() {
        let split = |text: &str| statements(text);
        assert_eq!(split("-- a; b\nUPDATE a; /* ; */ DELETE FROM b"), ["UPDATE a", "DELETE FROM b"]);
        assert_eq!(split("SELECT 'a;''b'; SELECT E'\\';'; x"), ["SELECT 'a;''b'", "SELECT E'\\';'", "x"]);
        assert_eq!(split("DO $x$ BEGIN a; END $x$; y"), ["DO $x$ BEGIN a; END $x$", "y"]);
        assert_eq!(split("SELECT \"a;b\", $1; z"), ["SELECT \"a;b\", $1", "z"]);
        assert_eq!(split(" ;; \n-- nothing"), [""; 0]);
        assert_eq!(split("SELECT 'ö;' -- ö"), ["SELECT 'ö;'"]);
    }
}

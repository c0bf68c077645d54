//! Takes secrets out of what programs say, before it is kept or shown.

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, MatchKind};
use zeroize::Zeroizing;

/// Stands where a secret stood.
pub(crate) const MARK: &str = "•••";

/// Shorter values stand in texts by chance; taking them out would hide more
/// than it protects.
const SHORTEST: usize = 8;

pub(crate) enum Redactor {
    /// There is nothing to look for.
    Nothing,
    Values(Box<AhoCorasick>),
    /// What to look for cannot be known now: nothing is let through.
    Everything,
}

impl Redactor {
    pub fn of(values: &[Zeroizing<Vec<u8>>]) -> Self {
        let mut patterns = BTreeSet::new();
        for text in values.iter().filter_map(|value| std::str::from_utf8(value).ok()) {
            // As they stand in JSON, and line by line, as a log has them.
            let quoted = serde_json::to_string(text).unwrap_or_default();
            let quoted = quoted.trim_matches('"');
            let forms = [text, text.trim(), quoted].into_iter().chain(text.lines().map(str::trim));
            patterns.extend(forms.filter(|form| form.chars().count() >= SHORTEST).map(str::to_owned));
        }
        if patterns.is_empty() {
            return Self::Nothing;
        }
        // The longest first: a value that begins with another one leaves no rest.
        match AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&patterns) {
            Ok(automaton) => Self::Values(Box::new(automaton)),
            Err(error) => {
                tracing::error!(%error, "the secrets to take out of logs are too many; all is taken out");
                Self::Everything
            }
        }
    }

    pub fn clean(&self, text: String) -> String {
        match self {
            Self::Nothing => text,
            Self::Everything => MARK.to_owned(),
            Self::Values(automaton) if automaton.is_match(&text) => {
                let mut clean = String::with_capacity(text.len());
                automaton.replace_all_with(&text, &mut clean, |_, _, clean| {
                    clean.push_str(MARK);
                    true
                });
                clean
            }
            Self::Values(_) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(values: &[&str], text: &str) -> String {
        let values: Vec<_> = values.iter().map(|value| Zeroizing::new(value.as_bytes().to_vec())).collect();
        Redactor::of(&values).clean(text.to_owned())
    }

    #[test]
    fn values_are_taken_out() {
        assert_eq!(clean(&["hunter2hunter2"], "login with hunter2hunter2!"), "login with •••!");
        assert_eq!(clean(&["hunter2hunter2"], "nothing here"), "nothing here");
        assert_eq!(clean(&[], "nothing to look for"), "nothing to look for");
        // One value is the beginning of another; none of it is left.
        assert_eq!(clean(&["password", "password-and-more"], "x password-and-more y"), "x ••• y");
        assert_eq!(clean(&["abcdabcd"], "abcdabcdabcdabcd"), "••••••");
        // Short ones stay.
        assert_eq!(clean(&["geheim!"], "geheim!"), "geheim!");
        assert_eq!(clean(&["schlüssel"], "der schlüssel."), "der •••.");
    }

    #[test]
    fn other_forms_are_taken_out() {
        assert_eq!(clean(&["pass\"word\\1"], r#"{"p": "pass\"word\\1"}"#), r#"{"p": "•••"}"#);
        let key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----\n";
        assert_eq!(clean(&[key], "line MIIEvQIBADANBgkq"), "line •••");
        assert_eq!(clean(&[key], &format!("all: {key}.")), "all: •••.");
    }

    #[test]
    fn what_cannot_be_known_is_not_shown() {
        assert_eq!(Redactor::Everything.clean("anything".into()), MARK);
    }
}

use std::fmt;

/// Names with `*` for any letters, one of which has to match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patterns(Vec<String>);

impl Patterns {
    pub fn new(patterns: impl IntoIterator<Item = String>) -> Self {
        Self(patterns.into_iter().collect())
    }

    pub fn fit(&self, word: &str) -> bool {
        self.0.iter().any(|pattern| matches(pattern.as_bytes(), word.as_bytes()))
    }

    pub fn is_any(&self) -> bool {
        self.0 == ["*"]
    }
}

impl fmt::Display for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" or "))
    }
}

/// Linear but for the last star: `*` takes as little as it can, and is asked
/// for more when the rest does not fit.
fn matches(pattern: &[u8], word: &[u8]) -> bool {
    let (mut p, mut w) = (0, 0);
    let mut star = None;
    while w < word.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, w));
                p += 1;
            }
            Some(&byte) if byte == word[w] => (p, w) = (p + 1, w + 1),
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    (p, w) = (at + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_take_anything() {
        for (pattern, word, wanted) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("x_*", "x_studio", true),
            ("x_*", "tax_x_", false),
            ("*token*", "access_token", true),
            ("*token*", "tokenised_by", true),
            ("a*b*c", "aXbXbc", true),
            ("a*b*c", "aXbXb", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), word.as_bytes()), wanted, "{pattern} {word}");
        }
    }
}

//! What becomes of one value. Everything is derived from the value and a key
//! that is made for one copy and dies with it: equal values become equal ones
//! everywhere in the copy, and nobody can tell from it what they were.

mod invent;
mod key;
mod structured;

pub use key::Key;

use crate::amounts::{self, Amounts};
use crate::rules::Transform;
use invent::Dice;

/// Longer filler is cut here.
const LONGEST_TEXT: usize = 2_000;

/// What a column demands of its values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Demands {
    /// At most so many characters.
    pub limit: Option<usize>,
    /// No two may be equal that were not.
    pub unique: bool,
    /// The value is JSON: each text in it is a value.
    pub json: bool,
}

pub struct Masker {
    key: Key,
    amounts: Amounts,
}

impl Masker {
    pub fn new(key: Key) -> Self {
        Self { key, amounts: Amounts::default() }
    }

    /// With what is known of documents that belong together.
    #[must_use]
    pub(crate) fn with(self, amounts: Amounts) -> Self {
        Self { amounts, ..self }
    }

    /// An amount of the thing of this sort and number.
    pub(crate) fn amount(&self, value: &str, thing: (char, i64)) -> Option<String> {
        amounts::multiply(value, self.amounts.factor(&self.key, thing))
    }

    /// None: there is no value any more.
    pub fn apply(&self, transform: &Transform, demands: Demands, value: &str) -> Option<String> {
        match transform {
            Transform::Keep => return Some(value.to_owned()),
            // An amount is nothing without its document: see `amount`.
            Transform::Null | Transform::Drop | Transform::Amount => return None,
            Transform::Set(constant) => return Some(constant.clone()),
            Transform::Binary => return Some(format!("\\x{}", hex::encode(crate::plan::PLACEHOLDER_PNG))),
            Transform::Empty => return Some(structured::empty(value, demands.json).to_owned()),
            Transform::Reference => return is_reference(value).then(|| value.to_owned()),
            Transform::Date => return self.date(value),
            Transform::Scale if !demands.json => return self.scale(value),
            _ if value.trim().is_empty() => return Some(value.to_owned()),
            _ if demands.json => return Some(self.json(transform, value)),
            Transform::Json | Transform::Properties => {
                let masked = self.json(transform, value);
                return Some(cut(&masked, demands.limit.unwrap_or(usize::MAX)).to_owned());
            }
            Transform::Choice if is_technical(value) => return Some(value.to_owned()),
            _ => {}
        }
        let masked = self.text(transform, value, 0);
        // An invented value may be the real one by chance.
        let masked = if masked == value { self.text(transform, value, 1) } else { masked };
        Some(self.fit(transform, demands, value, masked))
    }

    fn text(&self, transform: &Transform, value: &str, attempt: u8) -> String {
        let dice = |class: &str, value: &str| Dice::new(self.key.digest(class, attempt, value));
        let plain = normal(value);
        match transform {
            Transform::Name => {
                let parts: Vec<String> =
                    value.split(", ").map(|part| invent::name(&mut dice("name", &normal(part)))).collect();
                parts.join(", ")
            }
            Transform::Email => self.emails(value, attempt),
            Transform::Phone => {
                let digits: String = value.chars().filter(char::is_ascii_digit).collect();
                invent::phone(&mut dice("phone", &digits), value.contains(' '))
            }
            Transform::Street => invent::street(&mut dice("street", &plain)),
            Transform::City => invent::city(&mut dice("city", &plain)),
            Transform::Text => {
                let length = value.chars().count().min(LONGEST_TEXT);
                let filler = invent::text(&mut dice("text", &plain), length);
                if value.trim_start().starts_with('<') { format!("<p>{filler}</p>") } else { filler }
            }
            Transform::Digits => {
                let letters: String = value.chars().filter(|c| c.is_alphanumeric()).collect();
                invent::same_shape(&mut dice("digits", &letters), value)
            }
            Transform::Token => invent::token(&mut dice("token", value), value.chars().count()),
            Transform::Url => format!("https://example.com/{}", invent::token(&mut dice("url", &plain), 10)),
            Transform::Filename => {
                let name = invent::words(&mut dice("words", &plain), 2).to_lowercase().replace(' ', "-");
                match value.rsplit_once('.').map(|(_, ending)| ending) {
                    Some(ending)
                        if ending.len() <= 5 && ending.bytes().all(|b| b.is_ascii_alphanumeric()) =>
                    {
                        format!("{name}.{ending}")
                    }
                    _ => name,
                }
            }
            _ => invent::words(&mut dice("words", &plain), (value.chars().count() / 8).clamp(1, 6)),
        }
    }

    /// Every address, and every name beside one.
    fn emails(&self, value: &str, attempt: u8) -> String {
        let dice = |class: &str, value: &str| Dice::new(self.key.digest(class, attempt, &normal(value)));
        if !value.contains('@') {
            return invent::token(&mut dice("token", value), value.chars().count().clamp(4, 32));
        }
        let masked = value.split([',', ';', '\n']).filter(|part| !part.trim().is_empty()).map(|part| {
            let (name, address) = match part.split_once('<') {
                Some((name, rest)) => {
                    (name.trim().trim_matches('"').trim(), rest.trim_end().trim_end_matches('>'))
                }
                None => ("", part),
            };
            let address = invent::email(&mut dice("email", address));
            match name {
                "" => address,
                name => format!("\"{}\" <{address}>", invent::name(&mut dice("name", name))),
            }
        });
        masked.collect::<Vec<_>>().join(", ")
    }

    /// Makes it short enough, and different from all others where it must be.
    fn fit(&self, transform: &Transform, demands: Demands, value: &str, masked: String) -> String {
        let limit = demands.limit.unwrap_or(usize::MAX);
        let exact = matches!(transform, Transform::Digits | Transform::Token);
        if demands.unique && !exact {
            // Of the value as it is: those that differ in case alone stay apart.
            let tail = invent::token(&mut Dice::new(self.key.digest("unique", 0, value)), 12);
            return match (transform, masked.split_once('@')) {
                (Transform::Email, Some((local, domain)))
                    if !masked.contains(' ') && tail.len() + 1 + domain.len() <= limit =>
                {
                    let whole = format!("{local}.{tail}@{domain}");
                    if whole.len() <= limit { whole } else { format!("{tail}@{domain}") }
                }
                _ if limit <= tail.len() => tail[..limit].to_owned(),
                _ => format!("{} {tail}", cut(&masked, limit - tail.len() - 1)).trim_start().to_owned(),
            };
        }
        if limit == usize::MAX { masked } else { cut(&masked, limit).to_owned() }
    }

    fn date(&self, value: &str) -> Option<String> {
        let year = value.get(..4).filter(|year| year.bytes().all(|byte| byte.is_ascii_digit()))?;
        if value.len() != 10 || value.as_bytes()[4] != b'-' {
            return None;
        }
        let mut dice = Dice::new(self.key.digest("date", 0, value));
        Some(format!("{year}-{:02}-{:02}", dice.below(12) + 1, dice.below(28) + 1))
    }

    fn scale(&self, value: &str) -> Option<String> {
        let number: f64 = value.parse().ok()?;
        let decimals = value.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        let mut dice = Dice::new(self.key.digest("scale", 0, value));
        let factor = (800 + dice.below(401)) as f64 / 1000.0;
        Some(format!("{:.decimals$}", number * factor))
    }
}

/// How values are compared: a person is the same however their name is spaced.
fn normal(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

fn cut(text: &str, characters: usize) -> &str {
    match text.char_indices().nth(characters) {
        Some((end, _)) => text[..end].trim_end(),
        None => text,
    }
}

/// `res.partner,7`
fn is_reference(value: &str) -> bool {
    let Some((model, id)) = value.split_once(',') else { return false };
    !id.is_empty()
        && id.len() <= 19
        && id.bytes().all(|byte| byte.is_ascii_digit())
        && !model.is_empty()
        && model.len() <= 64
        && model
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._".contains(&byte))
}

/// One word without blanks and at-signs, such as a language or a model's name.
pub(crate) fn is_technical(value: &str) -> bool {
    value.len() <= 64
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.+:/-=;,#".contains(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masker() -> Masker {
        Masker::new(Key::of([7; 32]))
    }

    fn apply(transform: &str, value: &str) -> String {
        masker().apply(&transform.parse().unwrap(), Demands::default(), value).unwrap_or_default()
    }

    #[test]
    fn the_same_person_is_the_same_everywhere() {
        assert_eq!(apply("name", "Ada Lovelace"), apply("name", " ada  lovelace "));
        let both = apply("name", "Acme Inc., Ada Lovelace");
        assert!(both.ends_with(&format!(", {}", apply("name", "Ada Lovelace"))), "{both}");
        assert_eq!(apply("email", "Ada@Acme.example"), apply("email", "ada@acme.example"));
        let formatted = apply("email", "\"Ada Lovelace\" <ada@acme.example>, bob@x.org");
        let (ada, bob) = (apply("email", "ada@acme.example"), apply("email", "bob@x.org"));
        assert_eq!(formatted, format!("\"{}\" <{ada}>, {bob}", apply("name", "Ada Lovelace")));
        assert_eq!(apply("phone", "+32 12 34 56").replace(' ', ""), apply("phone", "+32123456"));
        assert_eq!(apply("digits", "BE12 3456").replace(' ', ""), apply("digits", "BE123456"));
        let other = Masker::new(Key::of([8; 32]));
        let another = other.apply(&Transform::Name, Demands::default(), "Ada Lovelace").unwrap();
        assert_ne!(another, apply("name", "Ada Lovelace"), "another copy, another name");
    }

    #[test]
    fn values_keep_their_kind() {
        let address = apply("email", "ada@acme.example");
        assert!(["example.com", "example.net", "example.org"].iter().any(|domain| address.ends_with(domain)));
        assert!(apply("phone", "+32 470 12 34 56").contains(" 555 01"));
        assert!(apply("text", "<div>Hello</div>").starts_with("<p>"));
        assert_eq!(apply("token", "0123456789").len(), 10);
        assert!(apply("filename", "Contract of Ada.PDF").ends_with(".PDF"));
        let shape = apply("digits", "BE-12 ab");
        assert!(shape.as_bytes()[2] == b'-' && shape.as_bytes()[0].is_ascii_uppercase(), "{shape}");
        assert!(apply("date", "1815-12-10").starts_with("1815-"));
        let scaled: f64 = apply("scale", "1000.00").parse().unwrap();
        assert!((800.0..=1200.0).contains(&scaled), "{scaled}");
        for transform in ["name", "email", "text", "words", "phone"] {
            assert_eq!(apply(transform, ""), "", "{transform}");
        }
    }

    #[test]
    fn technical_words_stay_and_others_do_not() {
        for word in ["res.partner", "en_US", "Europe/Brussels", "image/png", "INV/2026/00001", "#875a7b"] {
            assert_eq!(apply("choice", word), word);
        }
        for word in ["Ada Lovelace", "ada@acme.example", "a\tb", &"x".repeat(65)] {
            assert_ne!(apply("choice", word), *word);
        }
        assert_eq!(apply("reference", "res.partner,7"), "res.partner,7");
        for word in ["Ada,7", "res.partner,", "res.partner,7;x", "7"] {
            assert_eq!(apply("reference", word), "");
        }
    }

    #[test]
    fn limits_and_uniqueness_hold() {
        let masker = masker();
        let unique = Demands { unique: true, ..Demands::default() };
        let one = |demands, value: &str| masker.apply(&Transform::Words, demands, value).unwrap();
        assert_ne!(one(unique, "Ada"), one(unique, "ada"), "what was unique stays so");
        let short = Demands { limit: Some(5), ..unique };
        assert_eq!(one(short, "Ada Lovelace").chars().count(), 5);
        let login = masker.apply(&Transform::Email, unique, "ada@acme.example").unwrap();
        assert!(login.contains("@example.") && !login.contains(' '), "{login}");
        let short =
            masker.apply(&Transform::Email, Demands { limit: Some(24), ..unique }, "ada@acme.example");
        assert!(
            short.as_ref().is_some_and(|short| short.len() == 24 && short.contains("@example.")),
            "{short:?}"
        );
        let mut seen = std::collections::HashSet::new();
        for number in 0..20_000 {
            assert!(seen.insert(one(unique, &format!("value {number}"))));
        }
    }

    #[test]
    fn texts_in_json_are_masked_and_the_rest_stays() {
        let json = Demands { json: true, ..Demands::default() };
        let masked =
            masker().apply(&Transform::Json, json, r#"{"a": [1, "Ada Lovelace", true], "7": 100.0}"#);
        let masked: serde_json::Value = serde_json::from_str(&masked.unwrap()).unwrap();
        assert_eq!(
            (&masked["a"][0], &masked["a"][2], &masked["7"]),
            (&1.into(), &true.into(), &100.0.into())
        );
        assert_eq!(masked["a"][1], apply("words", "Ada Lovelace"));
        let translated = masker().apply(&Transform::Name, json, r#"{"en_US": "Ada Lovelace"}"#).unwrap();
        assert!(translated.contains(&apply("name", "Ada Lovelace")), "{translated}");
        let text = masker().apply(&Transform::Empty, json, "[1]").unwrap();
        assert_eq!(text, "[]");
        let definition = r#"[{"name": "3adf37f3258cfe40", "type": "char", "string": "Passport of Ada"}]"#;
        let masked = masker().apply(&Transform::Properties, json, definition).unwrap();
        assert!(masked.contains("3adf37f3258cfe40") && masked.contains("char"), "{masked}");
        assert!(!masked.contains("Ada"), "{masked}");
    }

    proptest! {
        #[test]
        fn nothing_of_a_value_is_left(value in "[A-Za-z]{9,30}", at in 0..Transform::WORDS.len()) {
            let transform: Transform = Transform::WORDS[at].0.parse().unwrap();
            if transform.hides() {
                let masked = masker().apply(&transform, Demands::default(), &value).unwrap_or_default();
                prop_assert!(!masked.contains(&value), "{} {}", transform, masked);
            }
        }

        #[test]
        fn nothing_makes_it_panic(value in any::<String>(), limit in prop::option::of(0..20usize),
                                  unique in any::<bool>(), json in any::<bool>()) {
            for (word, _) in Transform::WORDS {
                let transform: Transform = word.parse().unwrap();
                let demands = Demands { limit, unique, json };
                let masked = masker().apply(&transform, demands, &value).unwrap_or_default();
                if transform.hides() && transform != Transform::Binary && !json
                    && let Some(limit) = limit && !value.trim().is_empty()
                    && !matches!(transform, Transform::Empty) {
                    prop_assert!(masked.chars().count() <= limit);
                }
            }
        }
    }
}

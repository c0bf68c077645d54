//! The rule file: what becomes of the columns of a copy. The first rule that
//! matches a column counts; a rule with a condition counts for the rows that
//! meet it, and the next ones for the others.

mod pattern;
mod transform;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

pub use pattern::Patterns;
pub use transform::{Transform, TransformError};

use crate::catalog::{Column, Table};

/// Rules that come with Heddle, from the special to the general.
const BASE: &str = include_str!("shipped/base.toml");
const BEFORE_16: &str = include_str!("shipped/odoo11.toml");
const SINCE_16: &str = include_str!("shipped/odoo18.toml");

/// The most that a rule file may hold.
const LARGEST: usize = 1 << 20;

#[derive(Debug, Clone)]
pub struct Rule {
    pub table: Patterns,
    pub column: Patterns,
    /// What sort of column: `text`, `json`, `key`…; None: any.
    pub sort: Option<Patterns>,
    /// What Odoo calls the field: `char`, `selection`…; None: any.
    pub field: Option<Patterns>,
    /// Only tables of wizards, whose rows Odoo throws away after an hour.
    pub transient: bool,
    /// Other columns of the row and what they have to be.
    pub when: BTreeMap<String, Patterns>,
    pub transform: Transform,
    pub why: String,
    /// `odoo18.toml:12`
    pub origin: String,
}

#[derive(Debug, thiserror::Error)]
#[error("{file}:{line}: {what}")]
pub struct RulesError {
    pub file: String,
    pub line: usize,
    pub what: String,
    pub hint: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    rule: Vec<Spanned<RawRule>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    table: Words,
    column: Words,
    sort: Option<Words>,
    field: Option<Words>,
    #[serde(default)]
    transient: bool,
    #[serde(default)]
    when: BTreeMap<String, Words>,
    transform: String,
    why: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Several(Vec<String>),
}

impl From<Words> for Patterns {
    fn from(words: Words) -> Self {
        match words {
            Words::One(word) => Self::new([word]),
            Words::Several(words) => Self::new(words),
        }
    }
}

/// Rules in the order in which they are asked.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    rules: Vec<Rule>,
}

/// What a rule has to say about a column, by its index.
#[derive(Debug, Clone, Copy)]
pub struct Match<'a> {
    pub index: usize,
    pub rule: &'a Rule,
}

impl Rules {
    /// What comes with Heddle. The special rules of every series of Odoo are
    /// asked: what is absent does not match.
    pub fn shipped() -> Self {
        let mut rules = Self::default();
        for (name, text) in [("odoo18.toml", SINCE_16), ("odoo11.toml", BEFORE_16), ("base.toml", BASE)] {
            match Self::parse(name, text) {
                Ok(more) => rules.rules.extend(more.rules),
                Err(error) => unreachable!("a shipped rule file is broken: {error}"),
            }
        }
        rules
    }

    /// A project's own rules, which are asked before those of `self`.
    #[must_use]
    pub fn below(mut self, mut own: Self) -> Self {
        own.rules.append(&mut self.rules);
        own
    }

    pub fn parse(file: &str, text: &str) -> Result<Self, RulesError> {
        let fault = |span: Option<Range<usize>>, what: String, hint: &str| RulesError {
            file: file.to_owned(),
            line: line_of(text, span.map_or(0, |span| span.start)),
            what,
            hint: hint.to_owned(),
        };
        if text.len() > LARGEST {
            return Err(fault(None, "the file is larger than 1 MiB".into(), "split it by project"));
        }
        let raw: RawFile = toml::from_str(text).map_err(|error| {
            let hint =
                "a rule is a [[rule]] with table, column, transform and why; see docs/reference/rules.md";
            fault(error.span(), error.message().to_owned(), hint)
        })?;
        let mut rules = Vec::with_capacity(raw.rule.len());
        for raw in raw.rule {
            let span = raw.span();
            let line = line_of(text, span.start);
            let raw = raw.into_inner();
            let transform: Transform = raw.transform.parse().map_err(|error: TransformError| {
                fault(Some(span.clone()), error.to_string(), &error.hint())
            })?;
            if raw.why.trim().is_empty() {
                return Err(fault(Some(span), "`why` is empty".into(), "say why the rule is right"));
            }
            let rule = Rule {
                table: raw.table.into(),
                column: raw.column.into(),
                sort: raw.sort.map(Into::into),
                field: raw.field.map(Into::into),
                transient: raw.transient,
                when: raw.when.into_iter().map(|(column, words)| (column, words.into())).collect(),
                transform,
                why: raw.why,
                origin: format!("{file}:{line}"),
            };
            if rule.transform == Transform::Drop && !(rule.when.is_empty() && rule.column.is_any()) {
                return Err(fault(
                    Some(span),
                    "`drop` leaves out all rows of a table".into(),
                    "write column = \"*\" and no `when`",
                ));
            }
            rules.push(rule);
        }
        Ok(Self { rules })
    }

    pub fn len(&self) -> usize {
        self.rules.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    pub fn get(&self, index: usize) -> &Rule {
        &self.rules[index]
    }

    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// Columns that some rule's condition is on.
    pub fn conditions(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().flat_map(|rule| rule.when.keys().map(String::as_str))
    }

    /// The rules that decide on a column, in order: some with a condition, then
    /// one without. Empty or without such a last one: nothing decides.
    pub fn of<'a>(&'a self, table: &'a Table, column: &'a Column) -> Vec<Match<'a>> {
        let mut found = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            if !rule.matches(table, column) {
                continue;
            }
            found.push(Match { index, rule });
            if rule.when.is_empty() {
                break;
            }
        }
        found
    }
}

impl Rule {
    fn matches(&self, table: &Table, column: &Column) -> bool {
        let is = |patterns: &Option<Patterns>, word: &str| patterns.as_ref().is_none_or(|all| all.fit(word));
        self.column.fit(&column.name)
            && self.table.fit(&table.label())
            && is(&self.sort, column.sort.word())
            && is(&self.field, column.field.as_deref().unwrap_or("-"))
            && (!self.transient || table.transient)
            // A condition on a column that this table does not have is never met.
            && self.when.keys().all(|name| table.columns.iter().any(|other| other.name == *name))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.transform)?;
        for (column, patterns) in &self.when {
            write!(f, " where {column} is {patterns}")?;
        }
        write!(f, " ({}: {})", self.origin, self.why)
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|&&byte| byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_rules_are_understood() {
        assert!(Rules::shipped().len() > 50);
    }

    #[test]
    fn faults_have_a_line_and_a_hint() {
        let fault = |text: &str| Rules::parse("own.toml", text).unwrap_err();
        let rule = |transform: &str, more: &str| {
            format!(
                "# mine\n\n[[rule]]\ntable = \"a\"\ncolumn = \"b\"\ntransform = \"{transform}\"\n{more}\n"
            )
        };
        let error = fault(&rule("nmae", "why = \"x\""));
        assert_eq!(error.line, 3);
        assert!(error.what.contains("\"nmae\" is no transform"), "{}", error.what);
        assert!(error.hint.contains("name"), "{}", error.hint);

        let error = fault(&rule("name", "whi = \"x\""));
        assert!(error.to_string().starts_with("own.toml:7: unknown field `whi`"), "{error}");
        assert!(fault(&rule("name", "")).what.contains("missing field `why`"));
        assert!(fault(&rule("name", "why = \" \"")).what.contains("`why` is empty"));
        assert!(fault(&rule("drop", "why = \"x\"")).hint.contains("column = \"*\""));
        assert_eq!(fault("a = [\n").file, "own.toml");
    }

    #[test]
    fn the_first_match_wins_and_conditions_are_asked_in_order() {
        let text = r#"
            [[rule]]
            table = "ir_*"
            column = "value"
            when = { key = ["a.*", "b"] }
            transform = "keep"
            why = "known"
            [[rule]]
            table = "ir_*"
            column = "value"
            when = { nonsuch = "x" }
            transform = "keep"
            why = "no such column"
            [[rule]]
            table = "*"
            column = "*"
            sort = "text"
            transform = "words"
            why = "masked"
            [[rule]]
            table = "*"
            column = "value"
            transform = "keep"
            why = "too late"
        "#;
        let rules = Rules::parse("t", text).unwrap();
        let table = Table::sample("ir_config_parameter", &[("key", "text"), ("value", "text")]);
        let found: Vec<usize> = rules.of(&table, &table.columns[1]).iter().map(|found| found.index).collect();
        assert_eq!(found, [0, 2]);
        let found: Vec<usize> = rules.of(&table, &table.columns[0]).iter().map(|found| found.index).collect();
        assert_eq!(found, [2]);
    }
}

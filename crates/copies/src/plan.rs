//! What will be done to each column of a database, before anything is done.

mod row;

use std::collections::HashMap;
use std::sync::Arc;

pub use row::RowError;

use crate::amounts;
use crate::catalog::{Catalog, Column, Sort, Table};
use crate::mask::Demands;
use crate::rules::{Patterns, Rules, Transform};

/// What stands in for pictures, for PDFs and for other files. Their names in a
/// filestore are in the shipped rules.
pub const PLACEHOLDER_PNG: &[u8] = include_bytes!("shipped/placeholder.png");
pub const PLACEHOLDER_PDF: &[u8] = include_bytes!("shipped/placeholder.pdf");
pub const PLACEHOLDER_TXT: &[u8] = include_bytes!("shipped/placeholder.txt");

/// Files that a copy's attachments may name, besides those that it keeps: where
/// they are in a filestore, and what they hold.
pub fn placeholders() -> [(String, &'static [u8]); 3] {
    use sha1::Digest;
    [PLACEHOLDER_PNG, PLACEHOLDER_PDF, PLACEHOLDER_TXT].map(|file| {
        let sum = hex::encode(sha1::Sha1::digest(file));
        (format!("{}/{sum}", &sum[..2]), file)
    })
}

#[derive(Debug, Clone)]
pub struct Plan {
    pub tables: Vec<TablePlan>,
}

#[derive(Debug, Clone)]
pub struct TablePlan {
    pub table: Table,
    /// Why no rows of it are copied.
    pub dropped: Option<String>,
    /// Those that are (or would be) copied, in the table's order.
    pub columns: Vec<ColumnPlan>,
    /// What Odoo's table of translations translates, up to Odoo 15.
    translations: Option<Arc<Translations>>,
    /// The column that says which document an amount is of, and its sort.
    document: Option<(usize, char)>,
}

#[derive(Debug, Clone)]
pub struct ColumnPlan {
    pub name: String,
    pub sort: Sort,
    pub demands: Demands,
    /// Asked in order; the last one has no condition.
    pub arms: Vec<Arm>,
    /// A word of a list in a module: it says what a row is, not whose.
    pub listed: bool,
    /// Where there must be a value.
    zero: Option<&'static str>,
}

#[derive(Debug, Clone)]
pub struct Arm {
    /// Positions among the copied columns, and what they have to be.
    when: Vec<(usize, Patterns)>,
    pub transform: Transform,
    /// The rule that says so; None: what it refers to is left out.
    pub rule: Option<usize>,
}

/// By `res_partner.name`.
pub(crate) type Translations = HashMap<String, (Transform, Demands)>;

#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("{}", unclassified(columns))]
    Unclassified { columns: Vec<String> },
    #[error("the database holds a {0}, whose password would come along")]
    Foreign(String),
}

impl PlanError {
    pub fn hint(&self) -> String {
        match self {
            Self::Unclassified { columns } => {
                let (table, column) =
                    columns.first().and_then(|name| name.rsplit_once('.')).unwrap_or_default();
                format!(
                    "say what becomes of it in the project's rules: [[rule]], table = \"{table}\", column = \
                     \"{column}\", transform = \"null\" or another that it can bear, why = \"…\""
                )
            }
            Self::Foreign(_) => "take it out of the database, or ask for a copy of another one".into(),
        }
    }
}

fn unclassified(columns: &[String]) -> String {
    let (shown, rest) = columns.split_at(columns.len().min(10));
    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
    format!("no rule says what becomes of {}{more}", shown.join(", "))
}

impl Plan {
    pub fn make(catalog: &Catalog, rules: &Rules) -> Result<Self, PlanError> {
        if let Some(refused) = catalog.refused.first() {
            return Err(PlanError::Foreign(refused.clone()));
        }
        let dropped = dropped(catalog, rules);
        let mut unclassified = Vec::new();
        let mut tables = Vec::new();
        for table in catalog.tables.iter().filter(|table| !table.partitioned) {
            let mut plan = TablePlan {
                table: table.clone(),
                dropped: dropped.get(&table.oid).cloned(),
                columns: Vec::new(),
                translations: None,
                document: None,
            };
            let copied: Vec<&Column> = table.columns.iter().filter(|column| !column.generated).collect();
            if plan.dropped.is_some() {
                plan.columns = copied.iter().copied().map(ColumnPlan::dropped).collect();
            } else {
                for column in &copied {
                    match column_plan(table, column, &copied, rules, &dropped) {
                        Some(column) => plan.columns.push(column),
                        None => unclassified.push(format!("{}.{}", table.label(), column.name)),
                    }
                }
            }
            plan.document = amounts::belongs(&table.label()).and_then(|(column, sort)| {
                Some((plan.columns.iter().position(|other| other.name == column)?, sort))
            });
            if plan.document.is_none() {
                let amounts = plan.columns.iter().filter(|column| column.uses(&Transform::Amount));
                unclassified.extend(amounts.map(|column| format!("{}.{}", table.label(), column.name)));
            }
            tables.push(plan);
        }
        if !unclassified.is_empty() {
            return Err(PlanError::Unclassified { columns: unclassified });
        }
        let mut plan = Self { tables };
        plan.connect_translations();
        Ok(plan)
    }

    /// Every column of every table, without a word on what becomes of it.
    pub(crate) fn looking(catalog: &Catalog) -> Self {
        let table = |table: &Table| TablePlan {
            table: table.clone(),
            dropped: None,
            columns: table.columns.iter().map(ColumnPlan::dropped).collect(),
            translations: None,
            document: None,
        };
        Self { tables: catalog.tables.iter().filter(|table| !table.partitioned).map(table).collect() }
    }

    fn connect_translations(&mut self) {
        let translates =
            |plan: &TablePlan| plan.columns.iter().any(|column| column.uses(&Transform::Translation));
        if !self.tables.iter().any(translates) {
            return;
        }
        let mut all = Translations::new();
        for plan in &self.tables {
            for column in &plan.columns {
                if let Some(arm) = column.arms.last() {
                    let demands = Demands { unique: false, json: false, ..column.demands };
                    all.insert(
                        format!("{}.{}", plan.table.label(), column.name),
                        (arm.transform.clone(), demands),
                    );
                }
            }
        }
        let all = Arc::new(all);
        for plan in self.tables.iter_mut().filter(|plan| translates(plan)) {
            plan.translations = Some(all.clone());
        }
    }

    /// Whether amounts have to be known by their documents.
    pub(crate) fn needs_amounts(&self) -> bool {
        let uses = |table: &TablePlan| table.columns.iter().any(|column| column.uses(&Transform::Amount));
        self.tables.iter().any(uses)
    }

    pub fn table(&self, label: &str) -> Option<&TablePlan> {
        self.tables.iter().find(|plan| plan.table.label() == label)
    }
}

/// A table is left out if the rule of its first column says so. So are rows
/// that cannot be without one that is left out.
fn dropped(catalog: &Catalog, rules: &Rules) -> HashMap<u32, String> {
    let mut dropped = HashMap::new();
    for table in &catalog.tables {
        let Some(first) = table.columns.first() else { continue };
        if let Some(found) = rules.of(table, first).first()
            && found.rule.transform == Transform::Drop
        {
            dropped.insert(table.oid, format!("{} ({})", found.rule.why, found.rule.origin));
        }
    }
    loop {
        let mut more = Vec::new();
        for table in catalog.tables.iter().filter(|table| !dropped.contains_key(&table.oid)) {
            let needs = |column: &&Column| {
                !column.nullable && column.references.is_some_and(|target| dropped.contains_key(&target))
            };
            if let Some(column) = table.columns.iter().find(needs) {
                more.push((table.oid, format!("its {} leads to a table that is left out", column.name)));
            }
        }
        if more.is_empty() {
            return dropped;
        }
        dropped.extend(more);
    }
}

/// None: no rule decides, or what it decides cannot be.
fn column_plan(
    table: &Table,
    column: &Column,
    copied: &[&Column],
    rules: &Rules,
    dropped: &HashMap<u32, String>,
) -> Option<ColumnPlan> {
    let zero = if column.nullable { None } else { zero(column.sort) };
    let mut arms = Vec::new();
    if column.references.is_some_and(|target| dropped.contains_key(&target)) {
        // A column that needs a value has had its whole table left out.
        arms.push(Arm { when: Vec::new(), transform: Transform::Null, rule: None });
    } else {
        for found in rules.of(table, column) {
            if found.rule.transform == Transform::Drop {
                continue;
            }
            let mut when = Vec::new();
            for (name, patterns) in &found.rule.when {
                when.push((copied.iter().position(|other| other.name == *name)?, patterns.clone()));
            }
            arms.push(Arm { when, transform: found.rule.transform.clone(), rule: Some(found.index) });
        }
    }
    if !column.nullable && column.unique && column.sort == Sort::Text {
        // Nothing, but different in each row.
        for arm in arms.iter_mut().filter(|arm| arm.transform == Transform::Null) {
            arm.transform = Transform::Token;
        }
    }
    if arms.last().is_none_or(|arm| !arm.when.is_empty()) {
        return None;
    }
    let loses = |arm: &Arm| matches!(arm.transform, Transform::Null | Transform::Reference | Transform::Date);
    if !column.nullable && zero.is_none() && arms.iter().any(loses) {
        return None;
    }
    // What rewrites text cannot be asked of a number.
    let bearable = |arm: &Arm| match column.sort {
        Sort::Text => arm.transform != Transform::Amount,
        Sort::Json => !matches!(arm.transform, Transform::Binary | Transform::Amount),
        Sort::Binary => {
            matches!(arm.transform, Transform::Keep | Transform::Null | Transform::Set(_) | Transform::Binary)
        }
        Sort::Integer | Sort::Number => {
            matches!(
                arm.transform,
                Transform::Keep | Transform::Null | Transform::Set(_) | Transform::Scale | Transform::Amount
            )
        }
        Sort::Date => {
            matches!(arm.transform, Transform::Keep | Transform::Null | Transform::Set(_) | Transform::Date)
        }
        _ => matches!(arm.transform, Transform::Keep | Transform::Null | Transform::Set(_)),
    };
    if !arms.iter().all(bearable) {
        return None;
    }
    let demands = Demands { limit: column.limit, unique: column.unique, json: column.sort == Sort::Json };
    Some(ColumnPlan {
        name: column.name.clone(),
        sort: column.sort,
        demands,
        arms,
        listed: is_listed(column),
        zero,
    })
}

fn is_listed(column: &Column) -> bool {
    matches!(column.field.as_deref(), Some("selection" | "reference" | "many2one_reference"))
}

fn zero(sort: Sort) -> Option<&'static str> {
    Some(match sort {
        Sort::Text => "",
        Sort::Json => "{}",
        Sort::Binary => "\\x",
        Sort::Integer | Sort::Number => "0",
        Sort::Boolean => "f",
        Sort::Date => "1970-01-01",
        Sort::Time => "1970-01-01 00:00:00",
        Sort::Uuid => "00000000-0000-0000-0000-000000000000",
        Sort::Key | Sort::Other => return None,
    })
}

impl TablePlan {
    /// The whole table is copied as it is.
    pub fn is_plain(&self) -> bool {
        self.columns.iter().all(ColumnPlan::is_plain)
    }

    /// `"a", "b"`
    pub fn column_list(&self) -> String {
        let names: Vec<String> =
            self.columns.iter().map(|column| postgres::quote_identifier(&column.name)).collect();
        names.join(", ")
    }
}

impl ColumnPlan {
    fn dropped(column: &Column) -> Self {
        Self {
            name: column.name.clone(),
            sort: column.sort,
            demands: Demands { json: column.sort == Sort::Json, ..Demands::default() },
            arms: vec![Arm { when: Vec::new(), transform: Transform::Drop, rule: None }],
            listed: is_listed(column),
            zero: None,
        }
    }

    pub fn is_plain(&self) -> bool {
        self.arms.iter().all(|arm| arm.transform == Transform::Keep)
    }

    pub(crate) fn uses(&self, transform: &Transform) -> bool {
        self.arms.iter().any(|arm| arm.transform == *transform)
    }

    /// Whether values of it may have to be gone from the copy.
    pub fn hides(&self) -> bool {
        self.arms.iter().any(|arm| arm.transform.hides())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Rules {
        Rules::parse("t", text).unwrap()
    }

    fn rule(table: &str, column: &str, transform: &str) -> String {
        format!(
            "[[rule]]\ntable = \"{table}\"\ncolumn = \"{column}\"\ntransform = \"{transform}\"\nwhy = \"w\"\n"
        )
    }

    #[test]
    fn what_no_rule_knows_is_refused() {
        let table = Table::sample("note", &[("id", "int4"), ("text", "text"), ("search", "tsvector")]);
        let catalog = Catalog { tables: vec![table], ..Catalog::default() };
        let refused = |text: &str| match Plan::make(&catalog, &rules(text)) {
            Err(PlanError::Unclassified { columns }) => columns,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(""), ["note.id", "note.text", "note.search"]);
        let keep = rule("note", "id", "keep");
        assert_eq!(refused(&(keep.clone() + &rule("note", "text", "words"))), ["note.search"]);
        // A number cannot become words, a key cannot be without a value.
        assert_eq!(refused(&rule("*", "*", "words")), ["note.id", "note.search"]);
        assert_eq!(refused(&rule("*", "*", "null")), ["note.id"]);
        assert!(Plan::make(&catalog, &rules(&(keep + &rule("*", "*", "null")))).is_ok());
        assert!(Plan::make(&catalog, &Rules::shipped()).is_ok());
    }

    #[test]
    fn what_leads_to_left_out_rows_goes_too() {
        let mut queue = Table::sample("queue", &[("id", "int4")]);
        queue.oid = 7;
        let mut part = Table::sample("part", &[("id", "int4"), ("queue_id", "int4")]);
        part.columns[1].references = Some(7);
        part.oid = 8;
        let mut note = part.clone();
        note.name = "note".into();
        note.oid = 9;
        part.columns[1].nullable = false;
        let catalog = Catalog { tables: vec![queue, part, note], ..Catalog::default() };
        let plan =
            Plan::make(&catalog, &rules(&(rule("queue", "*", "drop") + &rule("*", "*", "keep")))).unwrap();
        assert!(plan.table("queue").unwrap().dropped.is_some());
        assert!(plan.table("part").unwrap().dropped.as_ref().unwrap().contains("queue_id"));
        let note = plan.table("note").unwrap();
        assert!(note.dropped.is_none());
        assert_eq!(note.columns[1].arms[0].transform, Transform::Null);
    }

    #[test]
    fn placeholders_have_the_names_that_the_rules_give_them() {
        let rules = Rules::shipped();
        let set = |value: &str| rules.iter().any(|rule| rule.transform == Transform::Set(value.to_owned()));
        for (name, file) in placeholders() {
            assert!(set(&name) && set(&name[3..]) && set(&file.len().to_string()), "{name}");
        }
    }
}

//! Rewriting the lines of a COPY stream.

use std::borrow::Cow;

use super::{ColumnPlan, TablePlan};
use crate::mask::{Demands, Masker};
use crate::rules::Transform;
use crate::text::{self, BrokenEscape, NULL};

#[derive(Debug, thiserror::Error)]
pub enum RowError {
    #[error("a row of {table} has {found} fields, {wanted} were asked for")]
    Fields { table: String, found: usize, wanted: usize },
    #[error("read a row of {0}")]
    Escape(String, #[source] BrokenEscape),
}

/// What is to become of one field.
pub(crate) struct Decision<'a> {
    pub transform: &'a Transform,
    pub demands: Demands,
}

impl TablePlan {
    /// Rewrites whole lines.
    pub fn rewrite(&self, masker: &Masker, lines: &[u8], out: &mut Vec<u8>) -> Result<(), RowError> {
        let mut fields = Vec::with_capacity(self.columns.len());
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            self.split(line, &mut fields)?;
            for (index, column) in self.columns.iter().enumerate() {
                if index > 0 {
                    out.push(b'\t');
                }
                self.field(masker, column, index, &fields, out)?;
            }
            out.push(b'\n');
        }
        Ok(())
    }

    /// The fields of a line, as they are written.
    pub(crate) fn split<'a>(&self, line: &'a [u8], fields: &mut Vec<&'a [u8]>) -> Result<(), RowError> {
        fields.clear();
        // A line of a table without columns has no fields, not one.
        if !self.columns.is_empty() {
            fields.extend(text::fields(line));
        }
        if fields.len() == self.columns.len() {
            return Ok(());
        }
        Err(RowError::Fields { table: self.table.label(), found: fields.len(), wanted: self.columns.len() })
    }

    fn field(
        &self,
        masker: &Masker,
        column: &ColumnPlan,
        index: usize,
        fields: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> Result<(), RowError> {
        let raw = fields[index];
        let decision = self.decide(column, fields)?;
        if raw == NULL || *decision.transform == Transform::Keep {
            out.extend_from_slice(raw);
            return Ok(());
        }
        let value = self.decode(raw)?.unwrap_or_default();
        let value = String::from_utf8_lossy(&value);
        let masked = match decision.transform {
            Transform::Amount => self.document(fields)?.and_then(|thing| masker.amount(&value, thing)),
            other => masker.apply(other, decision.demands, &value),
        };
        match masked {
            Some(masked) => text::encode(masked.as_bytes(), out),
            None => match column.zero {
                Some(zero) => text::encode(zero.as_bytes(), out),
                None => out.extend_from_slice(NULL),
            },
        }
        Ok(())
    }

    /// Of which document a row is.
    fn document(&self, fields: &[&[u8]]) -> Result<Option<(char, i64)>, RowError> {
        let Some((column, sort)) = self.document else { return Ok(None) };
        let id = self.decode(fields[column])?.unwrap_or_default();
        Ok(std::str::from_utf8(&id).ok().and_then(|id| id.parse().ok()).map(|id| (sort, id)))
    }

    pub(crate) fn decide<'a>(
        &'a self,
        column: &'a ColumnPlan,
        fields: &[&[u8]],
    ) -> Result<Decision<'a>, RowError> {
        let mut chosen = &Transform::Null;
        for arm in &column.arms {
            let mut met = true;
            for (position, patterns) in &arm.when {
                let value = self.decode(fields[*position])?.unwrap_or_default();
                met &= patterns.fit(&String::from_utf8_lossy(&value));
            }
            if met {
                chosen = &arm.transform;
                break;
            }
        }
        if *chosen == Transform::Translation {
            return self.translated(fields);
        }
        Ok(Decision { transform: chosen, demands: column.demands })
    }

    /// As what `model,field` in the row's `name` becomes.
    fn translated(&self, fields: &[&[u8]]) -> Result<Decision<'_>, RowError> {
        let unknown = Decision { transform: &Transform::Words, demands: Demands::default() };
        let Some(name) = self.columns.iter().position(|column| column.name == "name") else {
            return Ok(unknown);
        };
        let name = self.decode(fields[name])?.unwrap_or_default();
        let name = String::from_utf8_lossy(&name);
        let Some((model, field)) = name.split_once(',') else { return Ok(unknown) };
        let table = match model.strip_prefix("ir.actions.") {
            Some(action) => format!("ir_act_{action}"),
            None => model.to_owned(),
        };
        let column = format!("{}.{field}", table.replace('.', "_"));
        let found = self.translations.as_ref().and_then(|all| all.get(&column));
        Ok(found.map_or(unknown, |(transform, demands)| Decision { transform, demands: *demands }))
    }

    pub(crate) fn decode<'a>(&self, raw: &'a [u8]) -> Result<Option<Cow<'a, [u8]>>, RowError> {
        text::decode(raw).map_err(|source| RowError::Escape(self.table.label(), source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, Table};
    use crate::mask::Key;
    use crate::plan::Plan;
    use crate::rules::Rules;

    #[test]
    fn lines_are_rewritten_column_by_column() {
        let table = Table::sample("note", &[("id", "int4"), ("kind", "text"), ("text", "text")]);
        let catalog = Catalog { tables: vec![table], ..Catalog::default() };
        let rules = Rules::parse(
            "t",
            r#"
            [[rule]]
            table = "note"
            column = ["id", "kind"]
            transform = "keep"
            why = "w"
            [[rule]]
            table = "note"
            column = "text"
            when = { kind = "public" }
            transform = "keep"
            why = "w"
            [[rule]]
            table = "*"
            column = "*"
            transform = "set a\\tb"
            why = "w"
            "#,
        );
        let plan = Plan::make(&catalog, &rules.unwrap()).unwrap();
        let note = plan.table("note").unwrap();
        let masker = Masker::new(Key::of([1; 32]));
        let mut out = Vec::new();
        note.rewrite(&masker, b"1\tpublic\tAda\\nB\n2\t\\N\tsecret\n3\tx\t\\N\n", &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "1\tpublic\tAda\\nB\n2\t\\N\ta\\\\tb\n3\tx\t\\N\n");
        let error = note.rewrite(&masker, b"1\t2\n", &mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "a row of note has 2 fields, 3 were asked for");
    }
}

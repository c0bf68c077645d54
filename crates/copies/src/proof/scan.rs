//! Reading every row of a database: once for the values that rules hide, once
//! to look for them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use futures::{StreamExt, TryStreamExt};
use serde_json::Value;
use tokio_postgres::Client;

use super::ProofError;
use super::matcher::{Matcher, SHORTEST};
use crate::catalog::Sort;
use crate::copy::table::chunks;
use crate::mask::is_technical;
use crate::plan::{ColumnPlan, Plan, RowError, TablePlan};
use crate::rules::Transform;
use crate::text::NULL;

/// Longer values are told by parts of them.
const WHOLE: usize = 200;
const PART: usize = 64;

/// Chunks that are searched at the same time.
const AHEAD: usize = 4;

/// Shorter runs of letters are not taken for base64.
const BASE64_RUN: usize = 16;

/// Adds the values of every column that a rule hides, and of what is left out.
/// The numbers of those that another rule keeps, as a document's number or a
/// technical word, and so are no secret.
pub async fn collect(
    client: &Client,
    plan: &Plan,
    matcher: &mut Matcher,
    names: &mut Vec<String>,
) -> Result<Vec<u32>, ProofError> {
    let mut kept: HashSet<Vec<u8>> = HashSet::new();
    for table in &plan.tables {
        let looked_at = |column: &ColumnPlan| match column.sort {
            Sort::Text => column.hides() || column.uses(&Transform::Choice),
            Sort::Json | Sort::Binary | Sort::Uuid => column.hides(),
            _ => false,
        };
        let mut columns = Vec::new();
        for (index, column) in table.columns.iter().enumerate().filter(|(_, column)| looked_at(column)) {
            names.push(format!("{}.{}", table.table.label(), column.name));
            columns.push((index, names.len() as u32 - 1));
        }
        if columns.is_empty() {
            continue;
        }
        let mut rows = Box::pin(chunks(rows(client, table).await?));
        while let Some(chunk) = rows.try_next().await.map_err(|error| read(table, error))? {
            let mut fields = Vec::new();
            for line in chunk.split_inclusive(|&byte| byte == b'\n') {
                table.split(line.strip_suffix(b"\n").unwrap_or(line), &mut fields)?;
                for &(index, name) in &columns {
                    let column = &table.columns[index];
                    if fields[index] == NULL {
                        continue;
                    }
                    let decision = table.decide(column, &fields)?;
                    let value = table.decode(fields[index])?.unwrap_or_default();
                    if *decision.transform == Transform::Choice {
                        if value.len() >= SHORTEST && is_technical(&String::from_utf8_lossy(&value)) {
                            kept.insert(value.into_owned());
                        }
                    } else if decision.transform.hides() && !(column.listed && is_a_word(decision.transform))
                    {
                        remember(matcher, &value, column.sort, name);
                    }
                }
            }
            // Others want the thread too.
            tokio::task::yield_now().await;
        }
    }
    Ok(kept.iter().filter_map(|value| matcher.number(value)).collect())
}

/// What a list's word becomes without having been a secret: another word of the
/// list, or nothing, with the whole row.
fn is_a_word(transform: &Transform) -> bool {
    matches!(transform, Transform::Set(_) | Transform::Drop)
}

/// `2026-11-21 21:17:02`: in every table.
fn is_time(value: &[u8]) -> bool {
    value.len() >= 10
        && value[4] == b'-'
        && value[7] == b'-'
        && value.iter().all(|byte| byte.is_ascii_digit() || b"-:. TZ+".contains(byte))
}

fn remember(matcher: &mut Matcher, value: &[u8], sort: Sort, name: u32) {
    match sort {
        Sort::Json => {
            if let Ok(parsed) = serde_json::from_slice::<Value>(value) {
                leaves(&parsed, &mut |leaf| remember(matcher, leaf.as_bytes(), Sort::Text, name));
            }
        }
        Sort::Binary => {
            let bytes = value.strip_prefix(b"\\x").and_then(|digits| hex::decode(digits).ok());
            if let Some(bytes) = bytes {
                parts(&bytes, &mut |part| matcher.add(part, name));
            }
        }
        _ => {
            // Something of it has to be told from anything else.
            let value = value.trim_ascii();
            if is_time(value) {
                return;
            }
            if value.iter().filter(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii()).count()
                >= SHORTEST
            {
                parts(value, &mut |part| matcher.add(part, name));
            }
        }
    }
}

fn parts(value: &[u8], add: &mut dyn FnMut(&[u8])) {
    if value.len() <= WHOLE {
        return add(value);
    }
    for from in [0, (value.len() - PART) / 2, value.len() - PART] {
        add(&value[from..from + PART]);
    }
}

fn leaves(value: &Value, found: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => found(text),
        Value::Array(items) => items.iter().for_each(|item| leaves(item, found)),
        Value::Object(members) => {
            for (key, member) in members {
                found(key);
                leaves(member, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What was found: how often, by the column that it is in and the value.
#[derive(Debug, Default)]
pub struct Hits {
    pub bytes: u64,
    pub by_place: BTreeMap<(String, u32), u64>,
}

/// Looks at every field of every row that the client sees.
pub async fn search(client: &Client, plan: &Plan, matcher: &Arc<Matcher>) -> Result<Hits, ProofError> {
    let mut all = Hits::default();
    for table in plan.tables.iter().filter(|table| !table.columns.is_empty()) {
        let shared = Arc::new(table.clone());
        let searched = chunks(rows(client, table).await?).map(|chunk| {
            let (table, matcher) = (shared.clone(), matcher.clone());
            async move {
                let chunk = chunk.map_err(|error| read(&table, error))?;
                let searching = tokio::task::spawn_blocking(move || search_lines(&table, &chunk, &matcher));
                Ok::<_, ProofError>(searching.await.map_err(ProofError::Task)??)
            }
        });
        let mut searched = std::pin::pin!(searched.buffered(AHEAD));
        while let Some(hits) = searched.try_next().await? {
            all.bytes += hits.bytes;
            for (place, count) in hits.by_place {
                *all.by_place.entry(place).or_default() += count;
            }
        }
    }
    Ok(all)
}

fn search_lines(table: &TablePlan, lines: &[u8], matcher: &Matcher) -> Result<Hits, RowError> {
    let mut hits = Hits { bytes: lines.len() as u64, ..Hits::default() };
    let mut fields = Vec::new();
    for line in lines.split_inclusive(|&byte| byte == b'\n') {
        table.split(line.strip_suffix(b"\n").unwrap_or(line), &mut fields)?;
        for (column, raw) in table.columns.iter().zip(&fields) {
            let Some(value) = table.decode(raw)? else { continue };
            if value.len() < SHORTEST {
                continue;
            }
            search_value(&value, column.sort, matcher, &mut |number| {
                let place = format!("{}.{}", table.table.label(), column.name);
                *hits.by_place.entry((place, number)).or_default() += 1;
            });
        }
    }
    Ok(hits)
}

/// As it is, and as what it may be the writing of.
fn search_value(value: &[u8], sort: Sort, matcher: &Matcher, found: &mut dyn FnMut(u32)) {
    matcher.find(value, &mut *found);
    match sort {
        Sort::Binary => {
            if let Some(Ok(bytes)) = value.strip_prefix(b"\\x").map(hex::decode) {
                matcher.find(&bytes, &mut *found);
                unwrapped(&bytes, matcher, found);
            }
        }
        Sort::Json if value.contains(&b'\\') => {
            if let Ok(parsed) = serde_json::from_slice::<Value>(value) {
                leaves(&parsed, &mut |leaf| {
                    matcher.find(leaf.as_bytes(), &mut *found);
                });
            }
            unwrapped(value, matcher, found);
        }
        _ => unwrapped(value, matcher, found),
    }
}

/// What stands in it as base64.
fn unwrapped(value: &[u8], matcher: &Matcher, found: &mut dyn FnMut(u32)) {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let part_of = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
    for run in value.split(|byte| !part_of(byte)) {
        if run.len() < BASE64_RUN {
            continue;
        }
        let alphabet = if run.iter().any(|byte| b"-_".contains(byte)) { &URL_SAFE } else { &STANDARD };
        // Four letters are three bytes; one that is left over is none.
        let whole = if run.len() % 4 == 1 { &run[..run.len() - 1] } else { run };
        if let Ok(bytes) = GeneralPurpose::new(alphabet, config).decode(whole) {
            matcher.find(&bytes, &mut *found);
        }
    }
}

async fn rows(client: &Client, table: &TablePlan) -> Result<tokio_postgres::CopyOutStream, ProofError> {
    // As a query: generated columns are looked at too.
    let statement =
        format!("COPY (SELECT {} FROM ONLY {}) TO STDOUT", table.column_list(), table.table.quoted());
    client.copy_out(&statement).await.map_err(|error| read(table, error))
}

fn read(table: &TablePlan, error: tokio_postgres::Error) -> ProofError {
    ProofError::Read(table.table.label(), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(value: &[u8], sort: Sort) -> bool {
        let mut matcher = Matcher::default();
        matcher.add("Ada Lövelace".as_bytes(), 0);
        matcher.prepare();
        let mut found = false;
        search_value(value, sort, &matcher, &mut |_| found = true);
        found
    }

    #[test]
    fn values_are_found_under_their_wrapping() {
        let name = "Ada Lövelace";
        assert!(found(format!("by {name}.").as_bytes(), Sort::Text));
        assert!(!found(b"by Ada Lovelace.", Sort::Text));
        let hexed = format!("\\x00{}", hex::encode(name));
        assert!(found(hexed.as_bytes(), Sort::Binary));
        assert!(found(br#"{"en_US": "\"Ada L\u00f6velace\""}"#, Sort::Json));
        let wrapped = base64::engine::general_purpose::STANDARD.encode(format!("hello {name}!"));
        assert!(found(format!("key={wrapped};").as_bytes(), Sort::Text));
        let wrapped = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!("{name}??>"));
        assert!(found(format!("\"{wrapped}\"").as_bytes(), Sort::Json));
    }

    #[test]
    fn long_values_are_told_by_their_parts() {
        let mut matcher = Matcher::default();
        let long = "0123456789 abcdefghij ".repeat(20);
        remember(&mut matcher, long.as_bytes(), Sort::Text, 0);
        for value in [&b"---------- -"[..], b"2026-11-21 21:17:02", b"2026-11-21"] {
            remember(&mut matcher, value, Sort::Text, 0);
        }
        assert!((2..=3).contains(&matcher.len()), "{}", matcher.len());
    }
}

//! How rows become hashes, and hashes a signed head. Every value is written
//! with its length before it, so that no two rows are written the same.

use database::audit::{Block, NO_PROJECT};
use protocol::audit::{AuditHead, AuditRow};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{AuditKey, head};

/// What a chain begins with.
pub(super) const BEGINNING: [u8; 32] = [0; 32];

struct Writer(Vec<u8>);

impl Writer {
    fn new(purpose: &str) -> Self {
        let mut writer = Self(Vec::new());
        writer.bytes(purpose.as_bytes());
        writer
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend((bytes.len() as u64).to_be_bytes());
        self.0.extend(bytes);
    }

    fn number(&mut self, number: i64) {
        self.0.extend(number.to_be_bytes());
    }

    fn maybe(&mut self, bytes: Option<&[u8]>) {
        self.0.push(u8::from(bytes.is_some()));
        self.bytes(bytes.unwrap_or_default());
    }

    /// Members of an object in the order of their names, whatever order they came in.
    fn json(&mut self, value: &Value) {
        match value {
            Value::Object(members) => {
                self.0.push(b'{');
                self.number(members.len() as i64);
                let mut sorted: Vec<_> = members.iter().collect();
                sorted.sort_by_key(|(name, _)| name.as_str());
                for (name, value) in sorted {
                    self.bytes(name.as_bytes());
                    self.json(value);
                }
            }
            Value::Array(values) => {
                self.0.push(b'[');
                self.number(values.len() as i64);
                values.iter().for_each(|value| self.json(value));
            }
            Value::String(text) => {
                self.0.push(b'"');
                self.bytes(text.as_bytes());
            }
            plain => {
                self.0.push(b'=');
                self.bytes(plain.to_string().as_bytes());
            }
        }
    }
}

/// Of the row and, through the hash before it, of all rows before it.
pub(crate) fn row_hash(previous: &[u8; 32], row: &AuditRow) -> [u8; 32] {
    // Taken apart, so that a new field is not forgotten here.
    let AuditRow {
        id,
        at,
        project,
        actor,
        via,
        address,
        request,
        run,
        act,
        subjects,
        detail,
        project_name: _,
        actor_name: _,
    } = row;
    let mut writer = Writer::new("heddle audit row 1");
    writer.bytes(previous);
    writer.number(*id);
    writer.number(at.as_microsecond());
    writer.maybe(project.as_ref().map(|id| &id.as_bytes()[..]));
    writer.bytes(actor.as_bytes());
    writer.bytes(via.as_bytes());
    writer.maybe(address.as_ref().map(|text| text.as_bytes()));
    writer.maybe(request.as_ref().map(|text| text.as_bytes()));
    writer.maybe(run.as_ref().map(|id| &id.as_bytes()[..]));
    writer.bytes(act.as_bytes());
    writer.number(subjects.len() as i64);
    subjects.iter().for_each(|id| writer.bytes(id.as_bytes()));
    writer.json(detail);
    Sha256::digest(&writer.0).into()
}

/// What a head's signature is of.
pub(super) fn message(head: &AuditHead) -> Vec<u8> {
    let AuditHead { project, block, rows, after, through, hash, sealed_at, key, signature: _ } = head;
    let mut writer = Writer::new("heddle audit head 1");
    writer.maybe(project.as_ref().map(|id| &id.as_bytes()[..]));
    for number in [*block, *rows, *after, *through, sealed_at.as_microsecond()] {
        writer.number(number);
    }
    writer.bytes(hash.as_bytes());
    writer.bytes(key.as_bytes());
    writer.0
}

/// The block that goes on from `last` with these rows, which are all of the
/// chain up to the id `through`.
pub(crate) fn block_of(
    chain: Uuid,
    last: Option<&Block>,
    rows: &[AuditRow],
    through: i64,
    sealed_at: jiff::Timestamp,
    key: &AuditKey,
) -> Block {
    let previous = last.map_or(BEGINNING, |block| block.hash.as_slice().try_into().unwrap_or(BEGINNING));
    let mut hashes = Vec::with_capacity(rows.len() * 32);
    let mut hash = previous;
    for row in rows {
        hash = row_hash(&hash, row);
        hashes.extend(hash);
    }
    debug_assert!(rows.iter().all(|row| row.project.unwrap_or(NO_PROJECT) == chain));
    let mut block = Block {
        chain,
        number: last.map_or(0, |block| block.number) + 1,
        after: last.map_or(0, |block| block.through),
        through,
        ids: rows.iter().map(|row| row.id).collect(),
        hashes,
        rows: last.map_or(0, |block| block.rows) + rows.len() as i64,
        previous: previous.to_vec(),
        hash: hash.to_vec(),
        sealed_at,
        key: key.public_bytes().to_vec(),
        signature: Vec::new(),
    };
    block.signature = key.sign(&message(&head(&block)));
    block
}

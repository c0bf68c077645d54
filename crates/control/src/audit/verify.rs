//! Whether a chain is as it was sealed. Told the chain's blocks one after the
//! other, wherever they come from.

use std::collections::{BTreeMap, BTreeSet};
use std::{fmt, io};

use protocol::audit::{AuditBlock, AuditHead, AuditLine, AuditRow};
use serde::Serialize;
use uuid::Uuid;

use super::chain::{BEGINNING, message, row_hash};
use super::key::signed_by;

/// More are counted only.
const MOST: usize = 1000;

model::written_enum! {
    pub enum FindingKind {
        /// The row, or its hash, is not what was sealed.
        Changed = "changed",
        /// The row was sealed, and is not there.
        Removed = "removed",
        /// The row was put where everything had been sealed.
        Inserted = "inserted",
        /// The row does not stand in its place.
        Reordered = "reordered",
        /// A block is missing, or does not go on from the one before it.
        Broken = "broken",
        /// A block is not signed by the key that signs this chain.
        Signature = "signature",
        /// The chain ends before the end that was kept elsewhere.
        CutOff = "cut-off",
        /// The chain is whole, and another than the one whose head was kept elsewhere.
        Replaced = "replaced",
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub kind: FindingKind,
    /// Whose chain; None: of what belongs to no project.
    pub project: Option<Uuid>,
    pub block: i64,
    /// The row's id, where it is about one.
    pub row: Option<i64>,
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.kind)?;
        if let Some(row) = self.row {
            write!(f, "row {row} ")?;
        }
        write!(f, "in block {}: {}", self.block, self.what)
    }
}

/// What a look at one chain came to.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Verified {
    pub project: Option<Uuid>,
    pub blocks: i64,
    pub rows: i64,
    /// Written down after the last block; nothing can be said of them yet.
    pub unsealed: i64,
    /// The key that the chain is signed with.
    pub key: Option<String>,
    pub findings: Vec<Finding>,
    /// Beyond those that are listed.
    pub more_findings: u64,
}

impl Verified {
    pub fn sound(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Goes through one chain.
pub struct Verifier {
    /// Those that may have signed it; empty: the first one that did.
    keys: Vec<String>,
    /// Heads that were kept elsewhere.
    kept: Vec<AuditHead>,
    hash: [u8; 32],
    through: i64,
    done: Verified,
}

impl Verifier {
    /// `keys`: public keys that may sign. None given, the first that is met is
    /// taken for the right one. `kept`: heads of this chain from elsewhere.
    pub fn new(project: Option<Uuid>, keys: &[String], kept: &[AuditHead]) -> Self {
        let mut keys = keys.to_vec();
        if keys.is_empty() {
            keys.extend(kept.first().map(|head| head.key.clone()));
        }
        Self {
            keys,
            kept: kept.iter().filter(|head| head.project == project).cloned().collect(),
            hash: BEGINNING,
            through: 0,
            done: Verified { project, ..Verified::default() },
        }
    }

    fn find(&mut self, kind: FindingKind, block: i64, row: Option<i64>, what: impl Into<String>) {
        if self.done.findings.len() == MOST {
            self.done.more_findings += 1;
            return;
        }
        let finding = Finding { kind, project: self.done.project, block, row, what: what.into() };
        self.done.findings.push(finding);
    }

    /// The next block, with the rows that are in its range now, in their order.
    pub fn block(&mut self, block: &AuditBlock, rows: &[AuditRow]) {
        let head = &block.head;
        let number = head.block;
        self.goes_on(block);
        self.signature(head);
        let mut there: BTreeMap<i64, &AuditRow> = BTreeMap::new();
        let mut last = i64::MIN;
        for row in rows {
            if there.insert(row.id, row).is_some() || row.id < last {
                self.find(
                    FindingKind::Reordered,
                    number,
                    Some(row.id),
                    "it stands after a later row, or twice",
                );
            }
            last = last.max(row.id);
        }
        let sealed: BTreeSet<i64> = block.ids.iter().copied().collect();
        for id in there.keys().filter(|id| !sealed.contains(id)) {
            self.find(FindingKind::Inserted, number, Some(*id), "it was not there when its time was sealed");
        }
        let mut previous = parse(&block.previous);
        let mut before = head.after;
        let start = head.rows - block.ids.len() as i64;
        for (place, (id, recorded)) in block.ids.iter().zip(&block.hashes).enumerate() {
            if *id <= before || *id > head.through {
                self.find(FindingKind::Reordered, number, Some(*id), "it is sealed out of its order");
            }
            before = *id;
            match there.get(id) {
                None => self.find(FindingKind::Removed, number, Some(*id), "it was sealed, and is not there"),
                Some(row) if row.project != self.done.project => {
                    self.find(
                        FindingKind::Changed,
                        number,
                        Some(*id),
                        "it says that it is another project's",
                    );
                }
                Some(row) if hex::encode(row_hash(&previous, row)) != *recorded => self.find(
                    FindingKind::Changed,
                    number,
                    Some(*id),
                    "it is not what was sealed after the row before it",
                ),
                Some(_) => {}
            }
            previous = parse(recorded);
            self.compare(start + place as i64 + 1, recorded, number, Some(*id));
        }
        if block.ids.len() != block.hashes.len() || block.ids.is_empty() {
            self.find(FindingKind::Broken, number, None, "it does not have a hash for each row");
        }
        if hex::encode(previous) != head.hash {
            self.find(FindingKind::Broken, number, None, "its hash is not its last row's");
        }
        if start != self.done.rows {
            self.find(
                FindingKind::Broken,
                number,
                None,
                "its rows are not counted on from the block before it",
            );
        }
        self.done.rows = head.rows;
        self.done.blocks += 1;
        self.hash = parse(&head.hash);
        self.through = head.through;
    }

    fn goes_on(&mut self, block: &AuditBlock) {
        let head = &block.head;
        if head.project != self.done.project {
            self.find(FindingKind::Broken, head.block, None, "it is of another chain");
        }
        if head.block != self.done.blocks + 1 {
            let missing = format!("block {} should stand here", self.done.blocks + 1);
            self.find(FindingKind::Broken, head.block, None, missing);
            // Named once, and not again at every block from here on.
            self.done.blocks = head.block - 1;
            self.done.rows = head.rows - block.ids.len() as i64;
        } else if parse(&block.previous) != self.hash || head.after != self.through {
            self.find(FindingKind::Broken, head.block, None, "it does not go on from the block before it");
        }
    }

    fn signature(&mut self, head: &AuditHead) {
        if self.keys.is_empty() {
            self.keys.push(head.key.clone());
        }
        self.done.key.get_or_insert_with(|| head.key.clone());
        if !signed_by(&head.key, &message(head), &head.signature) {
            self.find(FindingKind::Signature, head.block, None, "its head is not what was signed");
        } else if !self.keys.contains(&head.key) {
            let what = format!("it is signed by another key: {}", head.key);
            self.find(FindingKind::Signature, head.block, None, what);
        }
    }

    /// With the heads that were kept, at the row where they were made.
    fn compare(&mut self, rows: i64, hash: &str, block: i64, id: Option<i64>) {
        if self.kept.iter().any(|kept| kept.rows == rows && kept.hash != hash) {
            let what = "up to here, it is another chain than the one whose head was kept";
            self.find(FindingKind::Replaced, block, id, what);
        }
    }

    /// Rows that the chain's end says were sealed, in no block.
    pub fn strays(&mut self, rows: &[AuditRow]) {
        for row in rows {
            let number = self.done.blocks;
            self.find(
                FindingKind::Inserted,
                number,
                Some(row.id),
                "it is in no block, and its time is sealed",
            );
        }
    }

    /// A chain as it was exported: each block before its rows, the head at the end.
    pub fn export(
        lines: impl Iterator<Item = io::Result<String>>,
        keys: &[String],
        kept: &[AuditHead],
    ) -> io::Result<Verified> {
        let mut verifier: Option<Self> = None;
        let mut open: Option<(AuditBlock, Vec<AuditRow>)> = None;
        let (mut last, mut end) = (None, None);
        let mut lost = Vec::new();
        for (place, line) in lines.enumerate() {
            let parsed = serde_json::from_str(&line?);
            match (parsed, &mut open) {
                (Ok(AuditLine::Block(block)), _) => {
                    let verifier = verifier.get_or_insert_with(|| Self::new(block.head.project, keys, kept));
                    last = Some(block.head.clone());
                    if let Some((block, rows)) = open.replace((block, Vec::new())) {
                        verifier.block(&block, &rows);
                    }
                }
                (Ok(AuditLine::Row(row)), Some((_, rows))) => rows.push(row),
                (Ok(AuditLine::Head(head)), _) => end = Some(head),
                (Ok(AuditLine::Row(_)) | Err(_), _) => lost.push(place + 1),
            }
        }
        let mut verifier = verifier.unwrap_or_else(|| Self::new(None, keys, kept));
        if let Some((block, rows)) = &open {
            verifier.block(block, rows);
        }
        let number = verifier.done.blocks;
        for line in lost {
            let what = format!("line {line} is not a line of an exported chain");
            verifier.find(FindingKind::Broken, number, None, what);
        }
        if end != last || end.is_none() {
            verifier.find(
                FindingKind::CutOff,
                number,
                None,
                "the file does not end with its last block's head",
            );
        }
        Ok(verifier.end(0))
    }

    pub fn end(mut self, unsealed: i64) -> Verified {
        self.done.unsealed = unsealed;
        for kept in std::mem::take(&mut self.kept) {
            if !signed_by(&kept.key, &message(&kept), &kept.signature) {
                let what = "the head that was kept is not what was signed";
                self.find(FindingKind::Signature, kept.block, None, what);
            } else if kept.rows > self.done.rows {
                let what = format!(
                    "the chain ends with {} rows in {} blocks; it had {} rows, and block {}, at {}",
                    self.done.rows, self.done.blocks, kept.rows, kept.block, kept.sealed_at
                );
                self.find(FindingKind::CutOff, self.done.blocks, None, what);
            }
        }
        self.done
    }
}

/// What is no hash equals none that is.
fn parse(hash: &str) -> [u8; 32] {
    hex::decode(hash).ok().and_then(|bytes| bytes.try_into().ok()).unwrap_or([0xff; 32])
}

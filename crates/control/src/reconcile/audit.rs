//! Seals what was written down, by any number of controls: one at a time.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use database::audit::{Block, NO_PROJECT};
use protocol::audit::AuditHead;
use uuid::Uuid;

use crate::audit::{block_of, head, shown};
use crate::{Control, Error, Result};

/// Rows in one transaction.
const AT_ONCE: u32 = 1000;

/// Transactions in one turn.
const MOST: u32 = 200;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub blocks: u64,
    pub rows: u64,
}

/// Seals all rows that are final. Without a key, nothing is sealed.
pub async fn tick(control: &Control) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut heads = Heads::read(control.settings().audit_heads.as_deref()).await?;
    let mut marked = false;
    for _ in 0..MOST {
        let sealed = seal(control, &mut heads, &mut outcome).await?;
        if sealed {
            continue;
        }
        // What was marked is done. A new mark is often final at once.
        if marked {
            break;
        }
        let mut connection = control.database().await?;
        let transaction = database::begin(&mut connection).await?;
        database::audit::mark(&transaction).await?;
        database::commit(transaction).await?;
        marked = true;
    }
    Ok(outcome)
}

/// Whether there was something to seal.
async fn seal(control: &Control, heads: &mut Heads<'_>, outcome: &mut Outcome) -> Result<bool> {
    let Some(key) = &control.settings().audit_key else { return Ok(false) };
    let mut connection = control.database().await?;
    let transaction = database::begin(&mut connection).await?;
    if !database::audit::turn(&transaction).await? {
        return Ok(false);
    }
    let horizon = database::audit::horizon(&transaction).await?;
    if horizon.last <= horizon.sealed {
        return Ok(false);
    }
    let rows = database::audit::range(&transaction, horizon.sealed, horizon.last, AT_ONCE).await?;
    let all = rows.len() < AT_ONCE as usize;
    let through = rows.last().filter(|_| !all).map_or(horizon.last, |row| row.id);
    let mut chains: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for row in rows {
        chains.entry(row.project.map_or(NO_PROJECT, |id| id.0)).or_default().push(shown(row));
    }
    let mut signed = Vec::new();
    for (chain, mut rows) in chains {
        let last = database::audit::heads(&transaction, Some(chain)).await?.pop();
        // Where the horizon was turned back, what is sealed stays so.
        rows.retain(|row| last.as_ref().is_none_or(|block| row.id > block.through));
        if rows.is_empty() {
            continue;
        }
        heads.check(&transaction, chain, last.as_ref()).await?;
        let block = block_of(chain, last.as_ref(), &rows, through, horizon.now, key);
        database::audit::append_block(&transaction, &block).await?;
        signed.push(head(&block));
        outcome.blocks += 1;
        outcome.rows += rows.len() as u64;
    }
    database::audit::advance(&transaction, through).await?;
    database::commit(transaction).await?;
    heads.keep(signed).await?;
    Ok(true)
}

/// The heads that this control has signed last, in a file, a line each.
struct Heads<'a> {
    path: Option<&'a Path>,
    last: BTreeMap<Uuid, AuditHead>,
}

impl<'a> Heads<'a> {
    async fn read(path: Option<&'a Path>) -> Result<Self> {
        let mut last = BTreeMap::new();
        if let Some(path) = path {
            let fault = |source| Error::AuditHeads { what: "read", path: path.to_owned(), source };
            let text = match tokio::fs::read_to_string(path).await {
                Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
                text => text.map_err(fault)?,
            };
            for line in text.lines() {
                let head: AuditHead = serde_json::from_str(line).map_err(|error| fault(error.into()))?;
                last.insert(head.project.unwrap_or(NO_PROJECT), head);
            }
        }
        Ok(Self { path, last })
    }

    /// The chain still has the block whose head was kept.
    async fn check(&self, on: &impl database::On, chain: Uuid, newest: Option<&Block>) -> Result<()> {
        let (Some(kept), Some(path)) = (self.last.get(&chain), self.path) else { return Ok(()) };
        let there = match newest {
            Some(block) if block.number == kept.block => Some(block.clone()),
            Some(block) if block.number > kept.block => {
                database::audit::blocks(on, chain, kept.block - 1, 1).await?.pop()
            }
            _ => None,
        };
        if there.is_some_and(|block| block.number == kept.block && hex::encode(block.hash) == kept.hash) {
            return Ok(());
        }
        Err(Error::AuditTurnedBack { chain, block: kept.block, path: path.to_owned() })
    }

    async fn keep(&mut self, signed: Vec<AuditHead>) -> Result<()> {
        let Some(path) = self.path.filter(|_| !signed.is_empty()) else { return Ok(()) };
        self.last.extend(signed.into_iter().map(|head| (head.project.unwrap_or(NO_PROJECT), head)));
        let lines = self
            .last
            .values()
            .map(|head| serde_json::to_string(head).expect("a head is representable as JSON") + "\n");
        let text: String = lines.collect();
        let new = path.with_extension("new");
        let write = async {
            tokio::fs::write(&new, text).await?;
            tokio::fs::rename(&new, path).await
        };
        write.await.map_err(|source| Error::AuditHeads { what: "write", path: path.to_owned(), source })
    }
}

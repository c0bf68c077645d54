use jiff::Timestamp;
use model::{ProjectId, RunId};
use uuid::Uuid;

use crate::query::{Columns, Only, Query, Read, query};
use crate::{On, Result};

const ADVANCE: Query = query!("audit/advance");
const APPEND_BLOCK: Query = query!("audit/append_block");
const BECAUSE_OF: Query = query!("audit/because_of");
const BLOCKS: Query = query!("audit/blocks");
const HEADS: Query = query!("audit/heads");
const HORIZON: Query = query!("audit/horizon");
const LIST: Query = query!("audit/list");
const MARK: Query = query!("audit/mark");
const OF_CHAIN: Query = query!("audit/of_chain");
const RANGE: Query = query!("audit/range");
const REFUSE: Query = query!("audit/refuse");
const STRAYS: Query = query!("audit/strays");
const TURN: Query = query!("audit/turn");
const UNSEALED: Query = query!("audit/unsealed");

/// The chain of what belongs to no project.
pub const NO_PROJECT: Uuid = Uuid::nil();

/// What was written down of a change.
#[derive(Debug, Clone)]
pub struct Row {
    pub id: i64,
    pub at: Timestamp,
    pub project: Option<ProjectId>,
    pub actor: String,
    pub via: String,
    pub address: Option<String>,
    pub request: Option<String>,
    pub run: Option<RunId>,
    pub act: String,
    pub subjects: Vec<Uuid>,
    pub detail: serde_json::Value,
}

impl Read for Row {
    /// Never fails on what somebody has written over it: that is to be found
    /// out, by its hash.
    fn read(columns: &Columns<'_>) -> Result<Self> {
        let (subjects, detail): (&str, &str) = (columns.get("subjects")?, columns.get("detail")?);
        Ok(Self {
            id: columns.get("id")?,
            at: columns.get("at")?,
            project: columns.id_if("project_id")?,
            actor: columns.get("actor")?,
            via: columns.get("via")?,
            address: columns.get("address")?,
            request: columns.get("request")?,
            run: columns.id_if("run_id")?,
            act: columns.get("act")?,
            subjects: uuids(subjects).unwrap_or_else(|| vec![Uuid::max()]),
            detail: serde_json::from_str(detail).unwrap_or_else(|_| detail.into()),
        })
    }
}

/// PostgreSQL's text of an array.
fn uuids(text: &str) -> Option<Vec<Uuid>> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    if inner.is_empty() {
        return Some(Vec::new());
    }
    inner.split(',').map(|one| one.parse().ok()).collect()
}

/// As people read it.
#[derive(Debug, Clone)]
pub struct Listed {
    pub row: Row,
    pub project: Option<String>,
    /// The actor's login or name, where there is one that the reader may know.
    pub actor_name: Option<String>,
}

impl Read for Listed {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            row: Row::read(columns)?,
            project: columns.get("project")?,
            actor_name: columns.get("actor_name")?,
        })
    }
}

#[derive(Debug, Clone, Default)]
pub struct Filter<'a> {
    /// A project, or `NO_PROJECT`.
    pub chain: Option<Uuid>,
    /// An act, or what comes before the dot in it.
    pub act: Option<&'a str>,
    pub subject: Option<Uuid>,
    pub since: Option<Timestamp>,
    /// Only older ones than this.
    pub before: Option<i64>,
    pub at_most: i64,
}

/// Rows of one chain that were sealed together.
#[derive(Debug, Clone)]
pub struct Block {
    pub chain: Uuid,
    pub number: i64,
    pub after: i64,
    pub through: i64,
    pub ids: Vec<i64>,
    /// 32 bytes for each row.
    pub hashes: Vec<u8>,
    /// Of the chain, so far.
    pub rows: i64,
    pub previous: Vec<u8>,
    pub hash: Vec<u8>,
    pub sealed_at: Timestamp,
    pub key: Vec<u8>,
    pub signature: Vec<u8>,
}

impl Read for Block {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self {
            chain: columns.get("chain")?,
            number: columns.get("number")?,
            after: columns.get("after")?,
            through: columns.get("through")?,
            ids: columns.get("ids")?,
            hashes: columns.get("hashes")?,
            rows: columns.get("rows")?,
            previous: columns.get("previous")?,
            hash: columns.get("hash")?,
            sealed_at: columns.get("sealed_at")?,
            key: columns.get("key")?,
            signature: columns.get("signature")?,
        })
    }
}

/// Newest first.
pub async fn list(on: &impl On, filter: &Filter<'_>) -> Result<Vec<Listed>> {
    LIST.all(
        on,
        &[&filter.chain, &filter.act, &filter.since, &filter.before, &filter.at_most, &filter.subject],
    )
    .await
}

/// How far the rows are sealed.
#[derive(Debug, Clone, Copy)]
pub struct Horizon {
    /// Every row up to this id is in a block.
    pub sealed: i64,
    /// No row up to this id comes any more, and none that is there is undone.
    pub last: i64,
    pub now: Timestamp,
}

impl Read for Horizon {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self { sealed: columns.get("sealed")?, last: columns.get("final")?, now: columns.get("now")? })
    }
}

/// Whether it is the caller's turn to seal, until its transaction ends.
pub async fn turn(on: &impl On) -> Result<bool> {
    Ok(TURN.one::<Only<bool>>(on, &[]).await?.0)
}

pub async fn horizon(on: &impl On) -> Result<Horizon> {
    HORIZON.one(on, &[]).await
}

/// In a transaction that writes nothing before.
pub async fn mark(on: &impl On) -> Result<()> {
    MARK.run(on, &[]).await.map(drop)
}

pub async fn advance(on: &impl On, sealed: i64) -> Result<()> {
    ADVANCE.run(on, &[&sealed]).await.map(drop)
}

/// Rows of every chain, in order.
pub async fn range(on: &impl On, after: i64, through: i64, at_most: u32) -> Result<Vec<Row>> {
    RANGE.all(on, &[&after, &through, &i64::from(at_most)]).await
}

/// A chain's rows in a range, in order.
pub async fn of_chain(on: &impl On, chain: Uuid, after: i64, through: i64) -> Result<Vec<Row>> {
    OF_CHAIN.all(on, &[&chain, &after, &through]).await
}

/// A chain's rows that the sealing has passed by. It passes none.
pub async fn strays(on: &impl On, chain: Uuid) -> Result<Vec<Row>> {
    STRAYS.all(on, &[&chain]).await
}

pub async fn unsealed(on: &impl On, chain: Uuid) -> Result<i64> {
    Ok(UNSEALED.one::<Only<i64>>(on, &[&chain]).await?.0)
}

/// The last block of each chain, or of one.
pub async fn heads(on: &impl On, chain: Option<Uuid>) -> Result<Vec<Block>> {
    HEADS.all(on, &[&chain]).await
}

pub async fn blocks(on: &impl On, chain: Uuid, after: i64, at_most: u32) -> Result<Vec<Block>> {
    BLOCKS.all(on, &[&chain, &after, &i64::from(at_most)]).await
}

pub async fn append_block(on: &impl On, block: &Block) -> Result<()> {
    APPEND_BLOCK
        .run(
            on,
            &[
                &block.chain,
                &block.number,
                &block.after,
                &block.through,
                &block.ids,
                &block.hashes,
                &block.rows,
                &block.previous,
                &block.hash,
                &block.sealed_at,
                &block.key,
                &block.signature,
            ],
        )
        .await
        .map(drop)
}

/// What is written down in this transaction from here on was led to by a run.
pub async fn because_of(on: &impl On, run: RunId) -> Result<()> {
    BECAUSE_OF.run(on, &[&run.to_string()]).await.map(drop)
}

/// Whether it was written down that somebody was refused something.
pub async fn refuse(on: &impl On, attempt: &str, target: Option<&str>) -> Result<bool> {
    Ok(REFUSE.one::<Only<bool>>(on, &[&attempt, &target]).await?.0)
}

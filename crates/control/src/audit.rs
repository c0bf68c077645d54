//! What was written down of every change, and the chains it is sealed in.

mod chain;
mod key;
mod verify;

pub use key::AuditKey;
pub use verify::{Finding, FindingKind, Verified, Verifier};

pub(crate) use chain::block_of;

use database::audit::{Filter, NO_PROJECT};
use jiff::Timestamp;
use model::RunId;
use protocol::api::Page;
use protocol::audit::{AuditBlock, AuditBlocks, AuditChain, AuditChains, AuditHead, AuditRow, AuditSealed};
use uuid::Uuid;

use crate::{Control, Refusal, Result, Slice};

/// Instead of a project: what belongs to none.
pub const PLATFORM: &str = "-";

/// Blocks and rows in one answer.
const MOST_BLOCKS: u32 = 200;
const MOST_ROWS: usize = 2000;

/// Which of what was written down to list.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// A project's name or id, or `PLATFORM`.
    pub project: Option<String>,
    /// An act, or the part before the dot.
    pub act: Option<String>,
    /// An id, or a tenant's name.
    pub subject: Option<String>,
    pub since: Option<Timestamp>,
}

impl Control {
    /// Newest first; `slice` goes on with what is older than the row of an id.
    pub async fn audit(&self, filter: &AuditFilter, slice: &Slice<i64>) -> Result<Page<AuditRow>> {
        let database = self.database().await?;
        let chain = match &filter.project {
            Some(project) => Some(chain_of(&database, project).await?),
            None => None,
        };
        let subject = match &filter.subject {
            None => None,
            Some(subject) => match subject.parse::<Uuid>() {
                Ok(id) => Some(id),
                Err(_) => Some(crate::tenant::find(&database, subject).await?.id.0),
            },
        };
        let filter = Filter {
            chain,
            act: filter.act.as_deref(),
            subject,
            since: filter.since,
            before: slice.after,
            at_most: slice.rows(),
        };
        let rows = database::audit::list(&database, &filter).await?.into_iter().map(|listed| AuditRow {
            project_name: listed.project,
            actor_name: listed.actor_name,
            ..shown(listed.row)
        });
        Ok(slice.page(rows.collect(), |row| row.id.to_string()))
    }

    /// The head of each chain that the caller may read.
    pub async fn audit_chains(&self) -> Result<AuditChains> {
        let database = self.database().await?;
        let projects = database::project::list(&database, None, i64::MAX).await?;
        let heads = database::audit::heads(&database, None).await?;
        let items = heads
            .iter()
            .map(|block| AuditChain {
                name: projects.iter().find(|one| one.id.0 == block.chain).map(|one| one.name.clone()),
                head: head(block),
            })
            .collect();
        Ok(AuditChains { key: self.settings().audit_key.as_ref().map(AuditKey::public), items })
    }

    /// A chain's blocks after one, each with the rows that are in its range
    /// now. `project`: its name or id, or `PLATFORM`.
    pub async fn audit_blocks(&self, project: &str, after: i64) -> Result<AuditBlocks> {
        let database = self.database().await?;
        let chain = chain_of(&database, project).await?;
        let mut found = database::audit::blocks(&database, chain, after, MOST_BLOCKS + 1).await?;
        let mut rows = 0;
        let fit = found
            .iter()
            .take_while(|block| {
                let before = rows;
                rows += block.ids.len();
                before < MOST_ROWS
            })
            .count()
            .min(MOST_BLOCKS as usize);
        let more = fit < found.len();
        found.truncate(fit);
        let mut items = Vec::with_capacity(fit);
        if let (Some(first), Some(last)) = (found.first(), found.last()) {
            // Before the first, there is nothing either.
            let from = if first.number == 1 { i64::MIN } else { first.after };
            let rows = database::audit::of_chain(&database, chain, from, last.through).await?;
            let mut rows = rows.into_iter().map(shown).peekable();
            for block in &found {
                let within = std::iter::from_fn(|| rows.next_if(|row| row.id <= block.through)).collect();
                items.push(AuditSealed { block: written(block), rows: within });
            }
        }
        let (mut strays, mut unsealed) = (Vec::new(), 0);
        if !more {
            strays = database::audit::strays(&database, chain).await?.into_iter().map(shown).collect();
            unsealed = database::audit::unsealed(&database, chain).await?;
        }
        Ok(AuditBlocks { items, more, strays, unsealed })
    }

    /// Writes down that whom it acts for was refused what exists and is not
    /// theirs, in a transaction of its own. `target` is a name or an id of what
    /// was asked for; None: of nothing in particular. False: there is no such
    /// thing, or there were too many in this minute.
    pub async fn record_refusal(&self, attempt: &str, target: Option<&str>) -> Result<bool> {
        // PostgreSQL takes no NUL in a text.
        let target = target.map(|target| target.replace('\0', ""));
        Ok(database::audit::refuse(&self.database().await?, attempt, target.as_deref()).await?)
    }
}

/// What follows in the transaction is written down as led to by the run.
pub(crate) async fn because_of(on: &impl database::On, run: RunId) -> Result<()> {
    Ok(database::audit::because_of(on, run).await?)
}

async fn chain_of(on: &impl database::On, project: &str) -> Result<Uuid> {
    match project {
        PLATFORM => Ok(NO_PROJECT),
        "" => Err(Refusal::invalid("name a project, or - for what belongs to none").into()),
        project => Ok(crate::project::find(on, project).await?.id.0),
    }
}

pub(crate) fn shown(row: database::audit::Row) -> AuditRow {
    AuditRow {
        id: row.id,
        at: row.at,
        project: row.project.map(|id| id.0),
        actor: row.actor,
        via: row.via,
        address: row.address,
        request: row.request,
        run: row.run.map(|id| id.0),
        act: row.act,
        subjects: row.subjects,
        detail: row.detail,
        project_name: None,
        actor_name: None,
    }
}

pub(crate) fn head(block: &database::audit::Block) -> AuditHead {
    AuditHead {
        project: Some(block.chain).filter(|chain| *chain != NO_PROJECT),
        block: block.number,
        rows: block.rows,
        after: block.after,
        through: block.through,
        hash: hex::encode(&block.hash),
        sealed_at: block.sealed_at,
        key: hex::encode(&block.key),
        signature: hex::encode(&block.signature),
    }
}

fn written(block: &database::audit::Block) -> AuditBlock {
    AuditBlock {
        head: head(block),
        previous: hex::encode(&block.previous),
        ids: block.ids.clone(),
        hashes: block.hashes.chunks(32).map(hex::encode).collect(),
    }
}

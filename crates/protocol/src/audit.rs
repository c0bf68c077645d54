//! What was written down of changes, and the chains it is sealed in: part of
//! the public API.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// What was written down of a change, as it is sealed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditRow {
    pub id: i64,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// None: what was changed belongs to no project.
    pub project: Option<Uuid>,
    /// `user:<id>`, `key:<id>`, `worker:<id>`, `schedule:<id>`, `platform`, or `role:<name>` for whoever reached the
    /// database past Heddle.
    pub actor: String,
    /// Through what: `session`, `api_key`, `worker`, `schedule`, `platform` or `sql`.
    pub via: String,
    /// From where.
    pub address: Option<String>,
    /// The request's id, as control's log has it.
    pub request: Option<String>,
    /// The run that led to it.
    pub run: Option<Uuid>,
    /// `<table>.created`, `.changed` or `.removed`; `refused`.
    pub act: String,
    /// What was changed, first, and what that is about.
    pub subjects: Vec<Uuid>,
    /// A value; or, of a change, the values before and after. Of what may be secret, that it has changed.
    #[schema(value_type = Object)]
    pub detail: serde_json::Value,
    /// For people; not sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_name: Option<String>,
    /// For people; not sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_name: Option<String>,
}

/// The end of a chain, signed: whoever keeps it elsewhere can tell later
/// whether the chain is still the same up to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditHead {
    /// Whose chain; None: of what belongs to no project.
    pub project: Option<Uuid>,
    pub block: i64,
    /// How many rows the chain has.
    pub rows: i64,
    /// All the chain's rows whose id is greater than `after` and at most `through` are in the block.
    pub after: i64,
    pub through: i64,
    /// SHA-256 of the last row and, through the hashes before it, of all.
    pub hash: String,
    #[schema(value_type = String, format = DateTime)]
    pub sealed_at: Timestamp,
    /// The public key (Ed25519), and the signature of all the above by it.
    pub key: String,
    pub signature: String,
}

/// Rows of a chain that were sealed together, without the rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditBlock {
    pub head: AuditHead,
    /// The hash that the block goes on from.
    pub previous: String,
    pub ids: Vec<i64>,
    /// Of each row, with those before it.
    pub hashes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditSealed {
    pub block: AuditBlock,
    /// What the chain has of rows in the block's range now.
    pub rows: Vec<AuditRow>,
}

/// A part of a chain, from one block on.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditBlocks {
    pub items: Vec<AuditSealed>,
    /// Whether there are further blocks.
    pub more: bool,
    /// At the chain's end: rows that the sealing has passed by. It passes none; somebody has put them there.
    pub strays: Vec<AuditRow>,
    /// At the chain's end: how many rows wait to be sealed.
    pub unsealed: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditChains {
    /// The public key that control signs with now.
    pub key: Option<String>,
    pub items: Vec<AuditChain>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditChain {
    /// The project's name; None: of what belongs to no project.
    pub name: Option<String>,
    pub head: AuditHead,
}

/// A line of an exported chain: its blocks, each before its rows, and its head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditLine {
    Block(AuditBlock),
    Row(AuditRow),
    Head(AuditHead),
}

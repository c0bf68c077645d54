//! Copies of a tenant's database that hold nobody's data and do nothing
//! outside: rules say what becomes of each column, the copy is a stream that is
//! rewritten between two databases, and a proof looks for what should be gone.
//!
//! It is given two databases that accept connections, and knows nothing of how
//! they came to be, of runs, or of files. The source is only ever read.

mod amounts;
pub mod catalog;
pub mod copy;
pub mod database;
pub mod mask;
pub mod neutralise;
pub mod plan;
pub mod proof;
pub mod rules;
pub mod text;

pub use catalog::{Catalog, Column, Sort, Table};
pub use copy::{Copied, CopyError, Options, copy_database};
pub use database::{Database, DatabaseError};
pub use mask::Key;
pub use neutralise::{Identity, NeutraliseError, Neutralised, neutralise};
pub use plan::{Plan, PlanError};
pub use proof::{Finding, FindingKind, Proof, ProofError, Question, prove};
pub use rules::{Rules, RulesError};

//! All that Heddle knows about Odoo: where it is installed, how it is
//! configured and started, what its log and its exit codes mean, when it is
//! ready, and what a copied database must have replaced.
//!
//! Nothing in here runs a tenant's program or opens a database: programs are
//! described as [`model::program::ProgramSpec`] and statements are returned as
//! text, for those who hold the process driver and the connection.

pub mod addon;
pub mod config;
pub mod log;
pub mod modules;
pub mod password;
pub mod programs;
pub mod ready;
mod release;
pub mod source;
pub mod sql;

pub use release::Series;
pub use source::{Source, SourceError};

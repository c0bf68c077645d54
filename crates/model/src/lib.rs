//! Heddle's nouns and the decisions made about them: ids, states and their
//! transitions, restore planning, route matching.
//!
//! Pure: nothing in here does I/O, reads the clock or draws random numbers;
//! whoever calls passes those in. Only new ids hold a time and random bits.

mod id;
mod name;

pub mod access;
pub mod alert;
pub mod archive;
pub mod cluster;
pub mod lsn;
pub mod maintenance;
pub mod peek;
pub mod policy;
pub mod program;
pub mod project;
pub mod restore;
pub mod retention;
pub mod route;
pub mod run;
pub mod schedule;
pub mod snapshot;
pub mod state;
pub mod tenant;

pub use id::*;
pub use name::{DatabaseName, EnvironmentPath, InvalidName, SecretName, Slug, Subdomain};

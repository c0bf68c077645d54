//! The `ops` schema of the management database: its migrations, its queries
//! (one `.sql` file each under `queries/<noun>/`), and the rows they answer
//! with, as `model`'s types. Nothing in here decides anything.

mod claims;
mod connection;
mod error;
mod guard;
mod pool;
mod query;

pub mod access;
pub mod alert;
pub mod api_key;
pub mod approval;
pub mod audit;
pub mod backup;
pub mod build;
pub mod clock;
pub mod cluster;
pub mod environment;
pub mod event;
pub mod lease;
pub mod lineage;
pub mod maintenance_window;
pub mod member;
pub mod metric;
pub mod migrate;
pub mod observation;
pub mod peek;
pub mod policy;
pub mod project;
pub mod request;
pub mod restore;
pub mod route;
pub mod run;
pub mod schedule;
pub mod secret;
pub mod session;
pub mod sign_in_failure;
pub mod snapshot;
pub mod tenant;
pub mod tenant_database;
pub mod user;
pub mod worker;

pub use claims::{Claims, Role};
pub use connection::{Connection, Transaction, begin, commit};
pub use error::{Error, Forbidden, Refused, Result};
pub use guard::{Guarded, State, sources};
pub use migrate::{Migrated, migrate};
pub use pool::{Pool, PoolUsage, Sizes};
pub use query::On;

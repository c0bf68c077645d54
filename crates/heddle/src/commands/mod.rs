//! The commands, a file each. A command's doc comment is its help text.

pub mod approval;
pub mod archive;
pub mod audit;
pub mod build;
pub mod control;
pub mod doctor;
pub mod env;
pub mod key;
pub mod login;
pub mod logs;
pub mod member;
pub mod policy;
pub mod project;
pub mod restore;
pub mod router;
pub mod run;
pub mod secret;
pub mod settings;
pub mod snapshot;
pub mod status;
pub mod tenant;
pub mod up;
pub mod user;
pub mod wal;
pub mod worker;

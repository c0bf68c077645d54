//! A PostgreSQL cluster's life: finding the programs, making and copying data
//! directories, configuration, recovery, roles, and what is asked of a running
//! cluster.
//!
//! It knows nothing of tenants' runs, of the repository's layout or of who
//! runs programs: [`Cluster::program`] says what is to be run, a driver of
//! `runtime` does so.
//!
//! What works on files or calls PostgreSQL's tools blocks its thread for
//! milliseconds to seconds; what talks to a running cluster is async.

mod backup;
mod binaries;
mod cluster;
mod connection;
mod control_file;
mod copy;
mod disk;
mod fault;
mod initdb;
mod management;
mod peek;
mod recovery;
mod replication;
mod roles;
mod secret;
mod settings;
mod shell;
mod sibling;
mod single_user;
mod sql;
mod tool;
mod user;
mod wal;

pub use backup::{BackupStop, OnlineBackup};
pub use binaries::{Binaries, BinariesError, Version};
pub use cluster::{Archive, Cluster, ConfigError};
pub use connection::{ConnectError, NotReady, Unready, connect, wait_ready};
pub use control_file::{
    ControlFile, ControlFileError, ResetWalError, State, give_identifier, identify, new_system_identifier,
    reset_wal,
};
pub use copy::{Copied, CopyError, copy_cluster};
pub use disk::FileError;
pub use fault::{RecoveryFault, since_last_start};
pub use initdb::{InitError, InitOptions, initdb};
pub use management::{ManagementError, prepare_management};
pub use peek::{Reader, configure_peek, lock_for_reading};
pub use recovery::{
    RecoveryError, finish_recovery, fork_of, history_fork, is_recovery_pending, write_recovery,
};
pub use replication::{Identified, Received, Replication, ReplicationError, Slot};
pub use roles::{alter_password, create_tenant_database, ensure_database, ensure_login, rename_database};
pub use secret::{random_password, verifier};
pub use shell::ShellCommand;
pub use sibling::{Sibling, SiblingError, make_sibling};
pub use single_user::{SingleUserError, single_user};
pub use sql::{quote_identifier, quote_literal};
pub use tool::{ToolError, client_program};
pub use user::{OsUser, UserError};
pub use wal::{
    current_lsn, emit_marker, is_in_recovery, restore_point, switch_wal, system_identifier, timeline,
};

/// The superuser of every cluster. It has no password: only the operating
/// system's user that Heddle itself runs as can log in as it, over the socket.
pub const SUPERUSER: &str = "heddle";

/// The database that every cluster has, for questions about the cluster itself.
pub const MAINTENANCE_DATABASE: &str = "postgres";

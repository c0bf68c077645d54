//! Process plumbing: settings, telemetry, locks, tasks, shutdown, fault points.
//!
//! Knows no noun of what the processes are for.

pub mod fault;
pub mod lock;
pub mod secretfile;
pub mod settings;
pub mod shutdown;
pub mod tasks;
pub mod telemetry;
pub mod usage;

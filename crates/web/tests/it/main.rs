//! The web against a real control on a real PostgreSQL.

mod api;
mod approvals;
mod console;
mod contract;
mod internal;
mod live;
mod metrics;
mod openapi;
mod refusals;
mod site;

#[path = "../../../database/tests/it/scratch.rs"]
#[allow(dead_code)]
mod scratch;
